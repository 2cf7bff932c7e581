import type { SessionData } from 'express-session';
import { applicationFault, IntelligentSessionError } from '../errors/errors.js';

/** Carries an error that a function of the application threw to where it is reported: there it goes on as it was thrown. */
export class ApplicationError extends Error {
  constructor(override readonly cause: Error) {
    super();
  }
}

/** Calls a function of the application. An error that it throws arrives as an ApplicationError. */
export function callApplication<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw error instanceof Error && !(error instanceof ApplicationError) ? new ApplicationError(error) : error;
  }
}

/** Throws what `act` throws, the application's own errors as they were thrown: for what is given to the application. */
export function throwingAsThrown<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw asThrown(error);
  }
}

export const asThrown = (error: unknown): unknown => (error instanceof ApplicationError ? error.cause : error);

interface ApplicationFunctions {
  readonly serializer: {
    parse(text: string): SessionData | Promise<SessionData>;
    stringify(session: SessionData): string;
  };
  readonly ttl: number | ((session: SessionData) => number);
  readonly user?: ((session: SessionData) => string | number | null | undefined) | undefined;
  readonly merge?: ((base: never, mine: never, theirs: never) => object) | undefined;
}

/** Calls option `merge`. What it throws is the cause of an error of ours, and so is what can't become a session. */
function callMerge<T>(act: () => T): T {
  let merged: unknown;
  try {
    merged = act();
  } catch (error) {
    const cause = error instanceof Error ? { cause: applicationFault(error) } : undefined;
    throw mergeError('threw an error', cause);
  }
  // a promise that nobody waits for must not end the process when it is rejected
  if (merged instanceof Promise) merged.catch(() => {});
  if (Object.prototype.toString.call(merged) !== '[object Object]') throw mergeError('gave no plain object');
  return merged as T;
}

const mergeError = (what: string, options?: { readonly cause: Error }): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_MERGE',
    `option "merge" ${what}: this request's changes were not saved`,
    options,
  );

/** The store's options with the application's functions wrapped, so that every error of theirs is known as theirs. */
export function wrapApplicationFunctions<T extends ApplicationFunctions>(options: T): T {
  const { serializer, ttl, user, merge } = options;
  return {
    ...options,
    // the codec takes a shorter way for JSON, and knows it by its identity
    serializer:
      (serializer as unknown) === JSON
        ? serializer
        : {
            // what parse() throws says only that the text can't be read
            parse: (text: string) => serializer.parse(text),
            stringify: (session: SessionData) => callApplication(() => serializer.stringify(session)),
          },
    ttl: typeof ttl === 'function' ? (session: SessionData) => callApplication(() => ttl(session)) : ttl,
    user: user && ((session: SessionData) => callApplication(() => user(session))),
    merge: merge && ((base: never, mine: never, theirs: never) => callMerge(() => merge(base, mine, theirs))),
  };
}
