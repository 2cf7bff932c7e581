import type { SessionData } from 'express-session';
import { callApplication } from './application-functions.js';
import type { resolveStoreOptions } from './options.js';

type UserOption = ReturnType<typeof resolveStoreOptions>['user'];

/**
 * Makes the function that says to which user a session belongs, by option `user`. What is no text, no number and no id (a
 * promise, NaN, a list, a plain object) is nobody, and `onInvalid` hears of it.
 */
export function userOfSession(
  option: UserOption,
  onInvalid: (what: string) => void,
): (session: SessionData) => string | undefined {
  if (!option) return () => undefined;
  return (session) => {
    const user: unknown = option(session);
    if (user === undefined || user === null || user === '' || user === false) return undefined;
    const id = callApplication(() => userIdOf(user));
    if (id !== undefined && id !== '') return id;
    // a promise that nobody waits for must not end the process when it is rejected
    if (user instanceof Promise) user.catch(() => {});
    onInvalid('option "user" gave neither a text nor a number: such a session is nobody’s');
    return undefined;
  };
}

const { toString: objectToString } = Object.prototype;

/**
 * An id as a text. It is a text, a number, or an object with a toString() of its own, as MongoDB's ObjectId. The toString() of
 * JavaScript's own objects does not say whose a session is: a list that holds another user's id must not become that user.
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
