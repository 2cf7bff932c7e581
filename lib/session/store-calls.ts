import { argumentError } from '../options/check-arguments.js';
import type { Availability } from '../redis/availability.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { UnfinishedWork } from '../redis/unfinished-work.js';
import { WaitLimit } from '../redis/wait-limit.js';

export type Callback<T = void> = (error?: unknown, result?: T) => void;

/** A method returns this where its result goes to a callback. */
export const GIVEN_TO_CALLBACK: Promise<unknown> = Promise.resolve();

/** Throws for a callback that is no function: calling it later would end the process, where nobody catches the error. */
export function checkCallback(method: string, callback: unknown): void {
  if (callback && typeof callback !== 'function') throw argumentError(method, 'a function, or none', callback);
}

interface CallOptions {
  /** A callback hears nothing of an error; it is an event all the same. @default false */
  readonly ignoresError?: boolean;
  /** A callback waits for `maxWaitMs` at most. A scan of all sessions takes as long as it takes. @default true */
  readonly limited?: boolean;
}

/**
 * How a method of the store gives its result: to a callback, within the time that a page may wait, or as a promise. run() gives the
 * result and reports faults, whenReady() waits for a connection.
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

  /** Runs `work` when Redis can be reached; once more where `isRepeatable` says so, by default if the command was not sent. */
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
    checkCallback('A method of RedisSessionStore', callback);
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

  /** Runs `work` for a caller who does not wait: its error is an event. If `work` gives undefined, there was nothing to do. */
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
    // The limit is for the whole call, whatever it waits for: a connection, several commands, an earlier save.
    // What becomes of the work afterwards is not told: the caller has had its error.
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
