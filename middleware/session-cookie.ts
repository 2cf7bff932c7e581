import type { IncomingMessage } from 'node:http';
import session, { type SessionOptions } from 'express-session';

/**
 * Makes a function that reads a session's id from the text of a Cookie header; undefined where there is none that this site has
 * signed. express-session itself reads it, from a request with this header alone, so that it accepts what it accepts on a page.
 */
export function sessionIdReader({ name, secret, ...others }: SessionOptions): (cookie: string) => string | undefined {
  const { key } = others as { key?: string };
  const store = new NothingStored();
  // Without a valid cookie the id is genid()'s.
  const options = { name, key, secret, store, genid: () => '', resave: false, saveUninitialized: false };
  const read = session(options as SessionOptions);
  return (cookie) => {
    const req = { headers: { cookie }, url: '/' } as IncomingMessage & { sessionID?: string };
    read(req as never, { writeHead() {}, end() {} } as never, () => {});
    return req.sessionID || undefined;
  };
}

/** Never answers: when express-session looks for the session, its id is known already. */
class NothingStored extends session.Store {
  get(): void {}
  set(): void {}
  destroy(): void {}
}
