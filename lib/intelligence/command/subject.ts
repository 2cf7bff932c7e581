import { createHash, createHmac, randomBytes } from 'node:crypto';

// What is kept belongs to a subject: of an anonymous visitor that is the first session's id, or a random one after a logout; of a
// user it follows from the user's id.

/** The end of a user's subject. No id that express-session makes has it. */
const USER_MARK = '~';
const USER_LENGTH = 44;

/**
 * The subject of a user. With a secret it is an HMAC of the user's id, so that keys and channels name no one; without one it is a
 * hash, which whoever guesses an id can find.
 */
export function userSubject(user: string, secret: string | undefined): string {
  const hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret);
  return hash.update(`intelligent-session user:${user}`).digest('base64url') + USER_MARK;
}

export const isUserSubject = (subject: string): boolean =>
  subject.length === USER_LENGTH && subject.endsWith(USER_MARK);

/** A subject for who was logged out, and has the same session on. */
export const newAnonymousSubject = (): string => randomBytes(18).toString('base64url');
