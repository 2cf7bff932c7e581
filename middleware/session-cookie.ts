import type { IncomingMessage } from 'node:http';
import session, { type SessionOptions } from 'express-session';

/**
 * Reads a session's id from the text of a Cookie header: undefined where there is none that this site has signed. It is
 * express-session itself that reads it, from a request that has nothing else, so that what counts is what counts on a page.
 */
export function sessionIdReader({ name, secret, ...others }: SessionOptions): (cookie: string) => string | undefined {
  const { key } = others as { key?: string };
  const store = new NothingStored();
  const options = { name, key, secret, store, genid: () => '', resave: false, saveUninitialized: false };
  const read = session(options as SessionOptions);
  return (cookie) => {
    const req = { headers: { cookie }, url: '/' } as IncomingMessage & { sessionID?: string };
    read(req as never, { writeHead() {}, end() {} } as never, () => {});
    return req.sessionID || undefined;
  };
}

/** Lets a request stand as it is when its session is looked for: its id is known by then. */
class NothingStored extends session.Store {
  get(): void {}
  set(): void {}
  destroy(): void {}
}
