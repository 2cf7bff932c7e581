import { createHash, createHmac, randomBytes } from 'node:crypto';

// A subject is the id under which somebody's data are kept: an anonymous visitor's is the id of the first session, or a random
// text after a logout; a user's is computed from the user's id.

/** The end of a user's subject. No id that express-session makes has it. */
const USER_MARK = '~';
/** The 43 characters that 32 bytes of SHA-256 are in base64url, and the mark. */
const USER_LENGTH = 44;

/**
 * The subject of a user. With a secret it is an HMAC of the user's id, so that keys and channels name no one; without one it is a
 * hash, which whoever guesses a user's id can compute.
 */
export function userSubject(user: string, secret: string | undefined): string {
  const hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret);
  return hash.update(`intelligent-session user:${user}`).digest('base64url') + USER_MARK;
}

export const isUserSubject = (subject: string): boolean =>
  subject.length === USER_LENGTH && subject.endsWith(USER_MARK);

/** A subject for a visitor who was logged out and goes on with the same session. 18 random bytes are 24 characters, so it is no user's. */
export const newAnonymousSubject = (): string => randomBytes(18).toString('base64url');

const { toString: objectToString } = Object.prototype;

/**
 * A user's id as a text, undefined for a value that is no id. An id is a text, a number, or an object with a toString() of its
 * own, as MongoDB's ObjectId. The toString() of JavaScript's own objects is not used: that of the list [7] gives "7", and a
 * list must not pass for the user 7.
 */
export function userIdOf(user: unknown): string | undefined {
  if (typeof user === 'string' || typeof user === 'bigint') return String(user);
  if (typeof user === 'number') return Number.isFinite(user) ? String(user) : undefined;
  if (typeof user !== 'object' || user === null || Array.isArray(user)) return undefined;
  if (user instanceof Date || user instanceof Error || user instanceof RegExp) return undefined;
  const { toString } = user;
  if (typeof toString !== 'function' || toString === objectToString) return undefined;
  const text: unknown = toString.call(user);
  return typeof text === 'string' && !text.startsWith('[object ') ? text : undefined;
}
