import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { IntelligentSessionError, redisFault } from '../errors/errors.js';
import type { Availability } from '../redis/availability.js';
import { wasLost, wasNotSent } from '../redis/lost-connection.js';
import { LoopTimeout } from '../redis/loop-clock.js';
import { tellsOfReplica } from '../redis/roles.js';
import { UnfinishedWork } from '../redis/unfinished-work.js';
import { UnconfirmedError } from './unconfirmed-error.js';

/** `signal` says that the call was given up: nothing is sent then. */
type Attempt<T> = (signal: AbortSignal, isAgain: boolean) => Promise<T>;

/** Between two tries of one call: a Cluster's client may refuse at once, again and again. */
const PAUSE_MS = 20;

/**
 * Carries calls out: each waits for Redis for a time at most, and what got no answer is sent again within that time, since
 * each of them may be carried out twice. What is not known to be written by then is an UnconfirmedError.
 */
export class NotificationCalls {
  readonly #unfinished: UnfinishedWork;
  #isClosing = false;
  /** The next event `back`; all who wait for Redis share one wait. */
  #back: Promise<unknown> | undefined;

  constructor(
    readonly availability: Availability,
    /** How long one call may take. */
    readonly limitMs: number,
  ) {
    this.#unfinished = new UnfinishedWork(availability.client);
  }

  /** `isAgain`: an attempt before got no answer, and may have been carried out. `id` is the notification that a write is about. */
  run<T>(work: Attempt<T>, id?: string): Promise<T> {
    const call = this.#run(work, id);
    this.#unfinished.track(call);
    return call;
  }

  async #run<T>(work: Attempt<T>, id: string | undefined): Promise<T> {
    const end = new AbortController();
    const timeout = new LoopTimeout(() => end.abort(), this.limitMs);
    const late = once(end.signal, 'abort');
    /** what makes it unknown whether it was written: an attempt that is under way, or one that got no answer */
    let [isUnderWay, isUnknown] = [false, false];
    let last: unknown;
    const attempts = async (): Promise<T> => {
      for (;;) {
        await this.#connected(end.signal);
        end.signal.throwIfAborted();
        isUnderWay = true;
        try {
          return await work(end.signal, isUnknown);
        } catch (error) {
          last = error;
          if (!isPassing(error)) throw error;
          if (isWithoutAnswer(error)) isUnknown = true;
        } finally {
          isUnderWay = false;
        }
        await pause(PAUSE_MS, undefined, { signal: end.signal });
      }
    };
    const given = attempts();
    given.catch(() => {}); // it may come after the call was given up
    try {
      return await Promise.race([given, late.then(() => Promise.reject(end.signal.reason))]);
    } catch (error) {
      if (error instanceof UnconfirmedError) throw withId(error, id);
      const isLate = end.signal.aborted;
      if (isUnknown || (isLate && isUnderWay))
        throw new UnconfirmedError(
          'ERR_INTELLIGENT_SESSION_UNCONFIRMED',
          `Redis gave no answer within ${this.limitMs} ms: it may be written or not. The same call again is safe`,
          id,
          last,
        );
      if (!isLate) throw redisFault(error);
      throw last === undefined ? this.#notReady() : redisFault(last);
    } finally {
      timeout.clear();
      end.abort();
    }
  }

  /** Resolves when commands can be sent, however long Redis is away. */
  async #connected(signal: AbortSignal): Promise<void> {
    while (!this.#isClosing && !signal.aborted)
      try {
        return await this.availability.ready();
      } catch {
        this.#back ??= once(this.availability, 'back').finally(() => {
          this.#back = undefined;
        });
        await this.#back;
      }
    signal.throwIfAborted();
    throw this.#notReady();
  }

  #notReady = (): IntelligentSessionError =>
    new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_NOT_READY',
      this.#isClosing ? 'This was closed: nothing was written' : `${this.availability.why}. Nothing was written`,
    );

  /** Resolves when all calls have ended, after `timeoutMs`, or where Redis is away; what begins later fails. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosing = true;
    await this.#unfinished.settled(timeoutMs);
  }
}

/** An error that a durable write made, which knows of no notification. */
const withId = (error: UnconfirmedError, id: string | undefined): UnconfirmedError =>
  Object.assign(error, { id: error.id ?? id });

/** Was the command sent, and is its outcome not known? */
const isWithoutAnswer = (error: unknown): boolean =>
  !wasNotSent(error) &&
  (wasLost(error) || (error instanceof Error && /^(no answer within|the connection was lost)/.test(error.message)));

/** Does the error tell of a state that passes: a connection that was lost, a failover, a server that starts? */
const isPassing = (error: unknown): boolean =>
  wasNotSent(error) ||
  isWithoutAnswer(error) ||
  (error instanceof Error &&
    (error.name === 'ClusterAllFailedError' ||
      tellsOfReplica(error.message) ||
      /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK)/.test(error.message)));
