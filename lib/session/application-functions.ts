import { types } from 'node:util';
import type { SessionData } from 'express-session';
import { applicationFault, IntelligentSessionError } from '../errors/errors.js';
import { isPlain } from './merge-growing.js';

/**
 * Wraps what a function of the application threw, so that it is not taken for a fault of Redis. The wrapper comes off where the
 * error is reported.
 */
export class ApplicationError extends Error {
  constructor(override readonly cause: unknown) {
    super();
  }
}

/** Calls a function of the application. What it throws, an Error or anything else, arrives as an ApplicationError. */
export function callApplication<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw error instanceof ApplicationError ? error : new ApplicationError(error);
  }
}

/** Calls `act`, and throws what a function of the application threw without the wrapper: where the application is the caller. */
export function throwingAsThrown<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw asThrown(error);
  }
}

/** An error without the wrapper, if it has one. */
export const asThrown = (error: unknown): unknown => (error instanceof ApplicationError ? error.cause : error);

/** Is this a promise, of any library? */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function';

/** A promise came where none is awaited. Its rejection, which nobody else handles, must not end the process. */
export function ignoreRejection(given: unknown): void {
  if (types.isPromise(given)) given.catch(() => {});
}

interface ApplicationFunctions {
  readonly serializer: {
    parse(text: string): SessionData | Promise<SessionData>;
    stringify(session: SessionData): string;
  };
  readonly ttl: number | ((session: SessionData) => number);
  readonly user?: ((session: SessionData) => string | number | null | undefined) | undefined;
  readonly merge?: ((base: never, mine: never, theirs: never) => object) | undefined;
}

/** Calls option `merge`. Where it throws, or gives no plain object, that is an error of ours; an Error that it threw is its `cause`. */
function callMerge<T>(act: () => T): T {
  let merged: unknown;
  try {
    merged = act();
  } catch (error) {
    const cause = error instanceof Error ? { cause: applicationFault(error) } : undefined;
    throw mergeError('threw an error', cause);
  }
  ignoreRejection(merged);
  if (!isPlain(merged) || isThenable(merged)) throw mergeError('gave no plain object');
  return merged as T;
}

const mergeError = (what: string, options?: { readonly cause: Error }): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_MERGE',
    `option "merge" ${what}: this request's changes were not saved`,
    options,
  );

/** The store's options, with the application's functions wrapped: what they throw can be told from a fault of Redis. */
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
