import { randomBytes } from 'node:crypto';
import session, { type SessionOptions, type Store } from 'express-session';
import { OptionError } from '../lib/errors/errors.js';
import { warn } from '../lib/errors/warnings.js';
import { ignoreRejection } from '../lib/session/application-functions.js';

/** The options for express-session, without its store. Throws an OptionError where express-session would refuse them. */
export function expressSessionOptions(
  given: Omit<SessionOptions, 'secret' | 'store'>,
  secret: string | string[] | undefined,
): SessionOptions {
  if (!secret)
    warn(
      'INTELLIGENT_SESSION_NO_SECRET',
      'no secret: set option "secret" or SESSION_SECRET; until then sessions end with this process',
    );
  const options = {
    resave: false,
    saveUninitialized: true,
    ...(withoutUndefined(given) as typeof given),
    ...(given.genid && { genid: ignoringRejections(given.genid) }),
    secret: secret ?? randomBytes(32).toString('hex'),
  };
  check(options);
  return options;
}

/** An async genid() gives no text, which is reported where its session is used. */
const ignoringRejections = (genid: NonNullable<SessionOptions['genid']>): typeof genid => {
  return (req) => {
    const id = genid(req);
    ignoreRejection(id);
    return id;
  };
};

/** express-session treats an option that is undefined and one that is not there differently. */
const withoutUndefined = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/**
 * express-session throws for some wrong options at each request only: here it is made to throw before anything is connected.
 */
function check(options: SessionOptions): void {
  const NoStore = session.Store as unknown as new () => Store;
  const Cookie = session.Cookie as unknown as new (options: object) => {
    serialize(name: string, value: string): string;
  };
  try {
    session({ ...options, store: new NoStore() });
    const { cookie = {}, name, key } = options as SessionOptions & { key?: string };
    if (typeof cookie !== 'function') new Cookie(cookie).serialize(name ?? key ?? 'connect.sid', '');
  } catch (error) {
    throw new OptionError(`intelligentSession(): option "session": ${(error as Error).message}`);
  }
}
