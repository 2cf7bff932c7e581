import { LoopTimeout, loopNowMs } from '../redis/loop-clock.js';

/** The most requests that are held at once. */
const MAX_HELD = 10_000;

/** A request that can't be sent yet: there is no connection, the item key is not known, or others are held before it. */
export interface HeldRequest {
  /** Carries the request out: it can be sent. */
  go(): void;
  /**
   * Gives the request up: it could not be sent in time (`redis`), too many are held (`shed`), the executor is closed, or, only
   * called by the request itself, no message can be made of it (`failed`).
   */
  fail(reason: 'redis' | 'shed' | 'closed' | 'failed', cause?: Error): void;
  /**
   * Only a request whose answer is waited for has this method. It tells who waits that there is no answer, and returns a
   * request to be held in its place that sends the message without a waiter, or undefined where the command only reads.
   */
  stopWaiting?(): HeldRequest | undefined;
}

interface Entry {
  readonly request: HeldRequest;
  /** When it fails unless it was sent, by the loop's clock. */
  readonly dueMs: number;
}

/**
 * Holds requests in the order in which they were made: MAX_HELD at most, each for `holdMs`. One whose connection was lost before it
 * was sent comes back, behind the others and for another `holdMs`.
 */
export class HeldRequests {
  #entries: Entry[] = [];
  #timeout: LoopTimeout | undefined;
  #isClosed = false;

  constructor(
    readonly holdMs: number,
    /** Why nothing can be sent at present; undefined where there is just no connection. */
    readonly why: () => Error | undefined = () => undefined,
  ) {}

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Does somebody wait for the answer of any of the requests? */
  get isAwaited(): boolean {
    return this.#entries.some(({ request }) => request.stopWaiting !== undefined);
  }

  add(request: HeldRequest): void {
    if (this.#isClosed) return request.fail('closed');
    if (this.#entries.length >= MAX_HELD) return request.fail('shed');
    this.#entries.push({ request, dueMs: loopNowMs() + this.holdMs });
    this.#timeout ??= new LoopTimeout(() => this.#expire(), this.holdMs, false);
  }

  /** Ends the wait for answers. A request that is to be sent all the same keeps its place. */
  stopWaiting(): void {
    const entries = this.#entries;
    this.#entries = [];
    const kept = entries.flatMap(({ request, dueMs }) => {
      const remaining = request.stopWaiting ? request.stopWaiting() : request;
      return remaining ? { request: remaining, dueMs } : [];
    });
    // A caller that was just told that there is no answer may have made another request meanwhile.
    this.#entries = [...kept, ...this.#entries];
  }

  /** Carries all requests out, in their order: they can be sent. */
  flush(): void {
    for (const { request } of this.#takeAll()) request.go();
  }

  close(): void {
    this.#isClosed = true;
    for (const { request } of this.#takeAll()) request.fail('closed');
  }

  #expire(): void {
    this.#timeout = undefined;
    const nowMs = loopNowMs();
    const firstAlive = this.#entries.findIndex(({ dueMs }) => dueMs > nowMs);
    // All are held equally long, so those at the front are due first.
    const expired = this.#entries.splice(0, firstAlive === -1 ? this.#entries.length : firstAlive);
    const next = this.#entries[0];
    if (next) this.#timeout = new LoopTimeout(() => this.#expire(), next.dueMs - nowMs, false);
    const why = this.why() ?? new Error('there was no connection');
    for (const { request } of expired) request.fail('redis', why);
  }

  #takeAll(): readonly Entry[] {
    const all = this.#entries;
    this.#entries = [];
    this.#timeout?.clear();
    this.#timeout = undefined;
    return all;
  }
}
