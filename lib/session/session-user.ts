import type { SessionData } from 'express-session';
import { userIdOf } from '../intelligence/command/subject.js';
import { callApplication, ignoreRejection } from './application-functions.js';
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
    // false, too: `isIn && id` gives it for nobody
    if (user === undefined || user === null || user === '' || user === false) return undefined;
    const id = callApplication(() => userIdOf(user));
    if (id !== undefined && id !== '') return id;
    ignoreRejection(user);
    onInvalid('option "user" gave neither a text nor a number: such a session is nobody’s');
    return undefined;
  };
}
