import type { SessionData } from 'express-session';
import { applicationFault, IntelligentSessionError } from '../errors/errors.js';

/** Wraps an error that a function of the application threw, until it is reported: there it is unwrapped, as it was thrown. */
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

/** Calls `act`, and unwraps the application's own errors: for code that throws straight to the application. */
export function throwingAsThrown<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw asThrown(error);
  }
}

/** An error as the application threw it: without the wrapper, where it has one. */
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

/** Calls option `merge`. Where it throws, or gives no plain object, that is an error of ours, with what it threw as `cause`. */
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

/** The store's options with the application's functions wrapped, so that their errors can be told from those of Redis. */
export function wrapApplicationFunctions<T extends ApplicationFunctions>(options: T): T {
  const { serializer, ttl, user, merge } = options;
  return {
    ...options,
    // the codec has a faster way for the object JSON itself, so that object is not wrapped
    serializer:
      (serializer as unknown) === JSON
        ? serializer
        : {
            // whatever parse() throws, the session counts as unreadable: its errors need no wrapper
            parse: (text: string) => serializer.parse(text),
            stringify: (session: SessionData) => callApplication(() => serializer.stringify(session)),
          },
    ttl: typeof ttl === 'function' ? (session: SessionData) => callApplication(() => ttl(session)) : ttl,
    user: user && ((session: SessionData) => callApplication(() => user(session))),
    merge: merge && ((base: never, mine: never, theirs: never) => callMerge(() => merge(base, mine, theirs))),
  };
}
