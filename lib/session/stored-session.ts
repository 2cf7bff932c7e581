import type { SessionData } from 'express-session';

/** Cookies that were given here to sessions that were stored without one. */
const given = new WeakSet<object>();

/**
 * A stored value as a session that express-session can take, with its data as they are; undefined for what is no session (a
 * list, a number, a text, null). Another program may have written it: where it has no cookie of express-session's, it gets one.
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

/** Was this session stored without a cookie? Then the cookie options of the site say how its cookie is. */
export const isWithoutCookie = ({ cookie }: SessionData): boolean => given.has(cookie);

const isAbsent = (value: unknown): boolean => value === undefined || value === null;
const isText = (value: unknown): boolean => isAbsent(value) || typeof value === 'string';

/** Is this a cookie that express-session and its Cookie take without throwing? An own `__proto__` could make them throw. */
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
