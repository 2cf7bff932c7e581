import { LoopTimeout, loopNowMs } from '../redis/loop-clock.js';

const MAX_HELD = 10_000;

/** A request that waits for a connection. */
export interface HeldRequest {
  /** There is a connection: it is carried out. */
  go(): void;
  /** It is given up: there was no connection in time, too many wait, or the executor is closed. */
  fail(reason: 'redis' | 'shed' | 'closed', cause?: Error): void;
  /** Of one whose answer is waited for: nobody waits any longer. What is to be sent all the same takes its place. */
  stopWaiting?(): HeldRequest | undefined;
}

interface Entry {
  readonly request: HeldRequest;
  readonly dueMs: number;
}

/** What waits for a connection, in the order in which it was asked: a bounded number, each for a while. */
export class HeldRequests {
  #entries: Entry[] = [];
  #timeout: LoopTimeout | undefined;
  #isClosed = false;

  constructor(readonly holdMs: number) {}

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Does one of them wait for an answer? */
  get isAwaited(): boolean {
    return this.#entries.some(({ request }) => request.stopWaiting !== undefined);
  }

  add(request: HeldRequest): void {
    if (this.#isClosed) return request.fail('closed');
    if (this.#entries.length >= MAX_HELD) return request.fail('shed');
    this.#entries.push({ request, dueMs: loopNowMs() + this.holdMs });
    this.#timeout ??= new LoopTimeout(() => this.#expire(), this.holdMs, false);
  }

  /** Nobody waits for answers any longer; what is to be sent all the same keeps its turn. */
  stopWaiting(): void {
    const entries = this.#entries;
    this.#entries = [];
    const kept = entries.flatMap(({ request, dueMs }) => {
      const other = request.stopWaiting ? request.stopWaiting() : request;
      return other ? { request: other, dueMs } : [];
    });
    // Who hears that nobody waits may have sent something meanwhile.
    this.#entries = [...kept, ...this.#entries];
  }

  /** There is a connection: all go, before anything that comes after them. */
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
    const alive = this.#entries.findIndex(({ dueMs }) => dueMs > nowMs);
    const expired = this.#entries.splice(0, alive === -1 ? this.#entries.length : alive);
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
