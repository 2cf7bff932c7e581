import { argumentError } from '../options/check-arguments.js';
import type { Availability } from '../redis/availability.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { UnfinishedWork } from '../redis/unfinished-work.js';
import { WaitLimit } from '../redis/wait-limit.js';

export type Callback<T = void> = (error?: unknown, result?: T) => void;

/** What a method returns whose result goes to a callback. */
export const GIVEN_TO_CALLBACK: Promise<unknown> = Promise.resolve();

/** A callback that can't be called would end the process later, where nobody catches the error. */
export function checkCallback(method: string, callback: unknown): void {
  if (callback && typeof callback !== 'function') throw argumentError(method, 'a function, or none', callback);
}

interface CallOptions {
  /** The caller hears nothing of an error; it is an event all the same. @default false */
  readonly ignoresError?: boolean;
  /** The caller waits for `maxWaitMs` at most. A scan of all sessions takes as long as it takes. @default true */
  readonly limited?: boolean;
}

/**
 * How a method of the store gives its result: to a callback or as a promise, and within the time that a page may wait. The
 * commands behind it wait for a Redis that can be reached.
 */
export class StoreCalls {
  readonly #unfinished: UnfinishedWork;
  readonly #waitLimit: WaitLimit;

  constructor(
    readonly availability: Availability,
    maxWaitMs: number,
    /** Reports an error, and returns it as the caller gets it. */
    readonly onFault: (cause: unknown) => Error,
  ) {
    this.#unfinished = new UnfinishedWork(availability.client);
    this.#waitLimit = new WaitLimit(maxWaitMs);
  }

  /** Runs `work` when Redis can be reached; once more where its connection was lost before the command was sent. */
  readonly whenReady = <T>(
    work: () => Promise<T>,
    isRepeatable: (error: unknown) => boolean = wasNotSent,
  ): Promise<T> => {
    if (this.availability.client.status !== 'ready') return this.availability.ready().then(work);
    return work().catch((error) => {
      if (!isRepeatable(error)) throw error;
      return this.availability.ready().then(work);
    });
  };

  /** Runs `work` for a caller who waits for its result. */
  run<T>(callback: Callback<T> | undefined, work: () => T | Promise<T>, options: CallOptions = {}): Promise<T> {
    checkCallback('store', callback);
    let result: Promise<T>;
    try {
      const value = work();
      if (callback && !(value instanceof Promise)) {
        setImmediate(callback, null, value);
        return GIVEN_TO_CALLBACK as Promise<T>;
      }
      result = Promise.resolve(value);
    } catch (error) {
      result = Promise.reject(error);
    }
    this.#unfinished.track(result);
    if (!callback) return this.#asPromise(result);
    this.#giveTo(callback, result, options);
    return GIVEN_TO_CALLBACK as Promise<T>;
  }

  /** Runs `work` for a caller who does not wait: an error of it is an event. */
  runInBackground(work: () => Promise<unknown> | undefined): void {
    try {
      const result = work()?.catch((error) => this.onFault(error));
      if (result) this.#unfinished.track(result);
    } catch (error) {
      this.onFault(error);
    }
  }

  /** Resolves when all calls have ended, after `timeoutMs`, or where Redis is away. */
  ended(timeoutMs: number): Promise<void> {
    return this.#unfinished.settled(timeoutMs);
  }

  #asPromise<T>(result: Promise<T>): Promise<T> {
    const reported = result.catch((cause) => {
      throw this.onFault(cause);
    });
    // A promise that nobody looks at (req.session.destroy() without a callback) must not end the process: the event tells.
    reported.catch(() => {});
    return reported;
  }

  /** Calls the callback once, and outside the promise: what it throws is an error of the application. */
  #giveTo<T>(callback: Callback<T>, result: Promise<T>, { ignoresError = false, limited = true }: CallOptions): void {
    let isWaiting = true;
    const fail = (cause: unknown) => {
      isWaiting = false;
      const error = this.onFault(cause);
      process.nextTick(callback, ignoresError ? null : error);
    };
    // The limit is of the call: however many commands, connections and saves before its own it waits for.
    const onLate = () => fail(new Error(`no answer within ${this.#waitLimit.limitMs} ms`));
    const stopLimit = limited ? this.#waitLimit.begin(onLate) : () => {};
    result.then(
      (value) => {
        stopLimit();
        if (isWaiting) process.nextTick(callback, null, value);
      },
      (cause) => {
        stopLimit();
        if (isWaiting) fail(cause);
      },
    );
  }
}
