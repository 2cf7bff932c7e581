import type { SessionData } from 'express-session';

/** Cookies that a session was given here, since what is stored has none. */
const given = new WeakSet<object>();

/**
 * What is stored as a session that express-session can take, its data as they are; undefined for what is none (a list, a
 * number, a text, null). Another program may have written it: without a cookie of express-session's, it is given one.
 */
export function asSession(value: unknown): SessionData | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const session = value as SessionData;
  if (!isCookie(Object.hasOwn(session, 'cookie') ? session.cookie : undefined)) {
    const cookie = { path: '/', httpOnly: true, originalMaxAge: null };
    given.add(cookie);
    Object.defineProperty(session, 'cookie', { value: cookie, enumerable: true, configurable: true, writable: true });
  }
  return session;
}

/** Was this session stored without a cookie? Then a site's own cookie options say how its cookie is. */
export const isWithoutCookie = ({ cookie }: SessionData): boolean => given.has(cookie);

const isAbsent = (value: unknown): boolean => value === undefined || value === null;
const isText = (value: unknown): boolean => isAbsent(value) || typeof value === 'string';

/** Neither express-session nor its cookie throws for it. */
function isCookie(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || Object.hasOwn(value, '__proto__'))
    return false;
  const { expires, originalMaxAge, maxAge, path, domain, sameSite, priority } = value as Record<string, unknown>;
  return (
    (isAbsent(expires) || ((typeof expires === 'string' || expires instanceof Date) && isDate(expires))) &&
    (isAbsent(originalMaxAge) || typeof originalMaxAge === 'number') &&
    (isAbsent(maxAge) || typeof maxAge === 'number') &&
    [path, domain, priority].every(isText) &&
    (isText(sameSite) || typeof sameSite === 'boolean')
  );
}

const isDate = (value: string | Date): boolean => !Number.isNaN(new Date(value).getTime());
