import { OptionError } from '../errors/errors.js';
import { describeValue } from '../options/check-options.js';
import type { Availability } from '../redis/availability.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { UnfinishedWork } from '../redis/unfinished-work.js';
import { WaitLimit } from '../redis/wait-limit.js';

export type Callback<T = void> = (error?: unknown, result?: T) => void;

/** What a method returns where its result goes to a callback: this promise tells nothing. */
export const GIVEN_TO_CALLBACK: Promise<unknown> = Promise.resolve();

/** Throws for a callback that is no function: calling it later would end the process, where nobody catches the error. */
export function checkCallback(callback: unknown): void {
  if (!callback || typeof callback === 'function') return;
  const message = `RedisSessionStore: for a callback, expected a function, or none, got ${describeValue(callback)}`;
  throw new OptionError(message, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
}

interface CallOptions {
  /** The callback gets no error: only the event `fault` tells of it. @default false */
  readonly hidesError?: boolean;
  /** The callback gets an error after the store's time limit. A scan of all sessions takes as long as it takes. @default true */
  readonly limited?: boolean;
}

/**
 * The calls of the store's methods. Each gives its result to a callback, within the time that a page may wait, or as a promise, or
 * nobody waits for it; all report their faults.
 */
export class StoreCalls {
  readonly #unfinished: UnfinishedWork;
  readonly #waitLimit: WaitLimit;

  constructor(
    readonly availability: Availability,
    /** How long a callback waits: option `maxWaitMs`, or a longer `commandTimeout` of the caller's own client. */
    limitMs: number,
    /** Reports an error, and gives it as the caller gets it. Never throws. */
    readonly reported: (cause: unknown) => Error,
  ) {
    this.#unfinished = new UnfinishedWork(availability.client);
    this.#waitLimit = new WaitLimit(limitMs);
  }

  /**
   * Runs `work` when Redis can be reached. If it fails, it is run once more where `isRepeatable` says so, by default if the
   * command was not sent.
   */
  readonly whenConnected = <T>(
    work: () => Promise<T>,
    isRepeatable: (error: unknown) => boolean = wasNotSent,
  ): Promise<T> => {
    const { availability } = this;
    const result = availability.client.status === 'ready' ? work() : availability.ready().then(work);
    return result.catch((error) => {
      if (!isRepeatable(error)) throw error;
      return availability.ready().then(work);
    });
  };

  /** Runs `work` for a caller who waits for its result. */
  run<T>(callback: Callback<T> | undefined, work: () => T | Promise<T>, options: CallOptions = {}): Promise<T> {
    checkCallback(callback);
    let result: Promise<T>;
    try {
      const value = work();
      if (callback && !(value instanceof Promise)) {
        // in a later turn of the event loop, as express-session's MemoryStore does: sockets are read in between
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

  /** Runs `work` for a caller who does not wait: its error is only reported. If `work` gives undefined, there was nothing to do. */
  runInBackground(work: () => Promise<unknown> | undefined): void {
    try {
      const result = work()?.catch((error) => this.reported(error));
      if (result) this.#unfinished.track(result);
    } catch (error) {
      this.reported(error);
    }
  }

  /** Resolves when all calls have ended, or after `timeoutMs`; at once where Redis is away. */
  ended(timeoutMs: number): Promise<void> {
    return this.#unfinished.settled(timeoutMs);
  }

  #asPromise<T>(result: Promise<T>): Promise<T> {
    const reported = result.catch((cause) => {
      throw this.reported(cause);
    });
    // A promise that nobody looks at (req.session.destroy() without a callback) must not end the process: the event tells.
    reported.catch(() => {});
    return reported;
  }

  /** Calls the callback once, and outside the promise, so that what it throws is an uncaught exception of the application's. */
  #giveTo<T>(callback: Callback<T>, result: Promise<T>, { hidesError = false, limited = true }: CallOptions): void {
    let isWaiting = true;
    const fail = (cause: unknown) => {
      isWaiting = false;
      const error = this.reported(cause);
      process.nextTick(callback, hidesError ? null : error);
    };
    // The limit is for the whole call, whatever it waits for: a connection, several commands, an earlier save.
    // How the work ends after that is told to nobody: the callback has had its error.
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
