import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { IntelligentSessionError, redisFault } from '../errors/errors.js';
import type { Availability } from '../redis/availability.js';
import { wasLost, wasNotSent } from '../redis/lost-connection.js';
import { LoopTimeout } from '../redis/loop-clock.js';
import { tellsOfReplica } from '../redis/roles.js';
import { UnfinishedWork } from '../redis/unfinished-work.js';
import { UnconfirmedError } from './unconfirmed-error.js';

/** One attempt of a call. */
interface Attempt {
  /** Is aborted when the call was given up: then the attempt must send nothing. */
  readonly signal: AbortSignal;
  /** An earlier attempt sent the write, and got no answer. */
  readonly mayHaveRun: boolean;
  /** Is to be called before a write is sent. What only reads never calls it. */
  willWrite(): void;
}
type Work<T> = (attempt: Attempt) => Promise<T>;

/** The pause between two attempts of one call: a Cluster's client may refuse at once, again and again. */
const PAUSE_MS = 20;

/**
 * Carries out calls. Each has `limitMs` at most: within that time it waits for Redis, and is sent again where it got no answer, since
 * every call may safely run twice. If it is not known by then whether a write was made, the call rejects with an UnconfirmedError.
 */
export class NotificationCalls {
  readonly #unfinished: UnfinishedWork;
  #isClosing = false;
  /** Each ends the wait of one call for Redis. They are removed with their calls: Redis may be away for hours. */
  readonly #wakers = new Set<() => void>();

  constructor(
    readonly availability: Availability,
    /** How long one call may take. */
    readonly limitMs: number,
  ) {
    this.#unfinished = new UnfinishedWork(availability.client);
    availability.on('back', () => this.#wake());
  }

  /** Runs a call. `id` is that of the notification that is written; `mayHaveRun`: a call before this one, for the same write, got no answer. */
  run<T>(work: Work<T>, id?: string, mayHaveRun = false): Promise<T> {
    const call = this.#run(work, id, mayHaveRun);
    this.#unfinished.track(call);
    return call;
  }

  async #run<T>(work: Work<T>, id: string | undefined, mayHaveRunBefore: boolean): Promise<T> {
    const end = new AbortController();
    const timeout = new LoopTimeout(() => end.abort(), this.limitMs);
    const late = once(end.signal, 'abort');
    let isUnderWay = false;
    // While either of the two is true, it is unknown whether the write was made.
    let isWriteUnderWay = false;
    let mayHaveRun = mayHaveRunBefore;
    const willWrite = () => {
      isWriteUnderWay = true;
    };
    let lastError: unknown;
    const attempts = async (): Promise<T> => {
      for (;;) {
        await this.#connected(end.signal);
        end.signal.throwIfAborted();
        isUnderWay = true;
        try {
          return await work({ signal: end.signal, mayHaveRun, willWrite });
        } catch (error) {
          lastError = error;
          if (!isPassing(error)) throw error;
          if (isWriteUnderWay && isWithoutAnswer(error)) mayHaveRun = true;
        } finally {
          isUnderWay = false;
          isWriteUnderWay = false;
        }
        await pause(PAUSE_MS, undefined, { signal: end.signal });
      }
    };
    const result = attempts();
    result.catch(() => {}); // its error may come after the call was given up
    try {
      return await Promise.race([result, late.then(() => Promise.reject(end.signal.reason))]);
    } catch (error) {
      if (error instanceof UnconfirmedError) throw withId(error, id);
      const isLate = end.signal.aborted;
      if (mayHaveRun || (isLate && isWriteUnderWay))
        throw new UnconfirmedError(
          'ERR_INTELLIGENT_SESSION_UNCONFIRMED',
          `Redis gave no answer within ${this.limitMs} ms: it may be written or not. The same call again is safe`,
          id,
          lastError,
        );
      if (!isLate) throw redisFault(error);
      const isUnanswered = lastError === undefined ? isUnderWay : isWithoutAnswer(lastError);
      if (lastError !== undefined && !isUnanswered) throw redisFault(lastError);
      throw isUnanswered && !this.#isClosing ? this.#noAnswer() : this.#notReady();
    } finally {
      timeout.clear();
      end.abort(); // what still waits sends nothing
    }
  }

  /** Resolves when commands can be sent. Rejects when the call was given up, or close() was called. */
  async #connected(signal: AbortSignal): Promise<void> {
    while (!this.#isClosing && !signal.aborted)
      try {
        return await this.availability.ready();
      } catch {
        await this.#back(signal);
      }
    signal.throwIfAborted();
    throw this.#notReady();
  }

  /** Resolves when Redis is back, when the call was given up, or when this is closed. */
  async #back(signal: AbortSignal): Promise<void> {
    if (this.#isClosing || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#wakers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wakers.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#wakers]) wake();
  }

  #noAnswer = (): IntelligentSessionError =>
    new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_NOT_READY',
      `Redis gave no answer within ${this.limitMs} ms. Nothing was written`,
    );

  #notReady = (): IntelligentSessionError =>
    new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_NOT_READY',
      this.#isClosing ? 'This was closed: nothing was written' : `${this.availability.why}. Nothing was written`,
    );

  /** Resolves when all calls have ended, when `timeoutMs` is over, or at once where Redis is away; calls that begin later fail. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosing = true;
    await this.#unfinished.settled(timeoutMs);
    this.#wake();
  }
}

/** Adds the notification's id to the error of a durable write, which knows of no notification. */
const withId = (error: UnconfirmedError, id: string | undefined): UnconfirmedError =>
  Object.assign(error, { id: error.id ?? id });

/** Was the command sent, and is its outcome not known? The texts are those of command-limit.ts and durable-writes.ts. */
const isWithoutAnswer = (error: unknown): boolean =>
  !wasNotSent(error) &&
  (wasLost(error) || (error instanceof Error && /^(no answer within|the connection was lost)/.test(error.message)));

/** Is the error of a passing state: a lost connection, a failover, a server that is starting? */
const isPassing = (error: unknown): boolean =>
  wasNotSent(error) ||
  isWithoutAnswer(error) ||
  (error instanceof Error &&
    (error.name === 'ClusterAllFailedError' ||
      tellsOfReplica(error.message) ||
      /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK)/.test(error.message)));
