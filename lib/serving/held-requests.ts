import { LoopTimeout, loopNowMs } from '../redis/loop-clock.js';

/** The most requests that wait for a connection at once. */
const MAX_HELD = 10_000;

/** A request that waits for a connection. */
export interface HeldRequest {
  /** Carries the request out: there is a connection. */
  go(): void;
  /** Gives the request up: no connection in time, too many requests wait, the executor is closed, or no message can be made. */
  fail(reason: 'redis' | 'shed' | 'closed' | 'failed', cause?: Error): void;
  /**
   * Only a request whose answer is waited for has this method. It tells who waits that there is no answer, and returns a
   * request to be held in its place that sends the message without a waiter, or undefined where the command only reads.
   */
  stopWaiting?(): HeldRequest | undefined;
}

interface Entry {
  readonly request: HeldRequest;
  /** When it fails unless there is a connection, by the loop's clock. */
  readonly dueMs: number;
}

/** Holds requests that wait for a connection, in the order in which they were made: MAX_HELD at most, each for `holdMs`. */
export class HeldRequests {
  #entries: Entry[] = [];
  #timeout: LoopTimeout | undefined;
  #isClosed = false;

  constructor(readonly holdMs: number) {}

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

  /** Carries all requests out, in their order: there is a connection. */
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
    const expired = this.#entries.splice(0, firstAlive === -1 ? this.#entries.length : firstAlive);
    const next = this.#entries[0];
    if (next) this.#timeout = new LoopTimeout(() => this.#expire(), next.dueMs - nowMs, false);
    for (const { request } of expired) request.fail('redis', new Error('there was no connection'));
  }

  #takeAll(): readonly Entry[] {
    const all = this.#entries;
    this.#entries = [];
    this.#timeout?.clear();
    this.#timeout = undefined;
    return all;
  }
}
