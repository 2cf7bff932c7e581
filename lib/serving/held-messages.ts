import { LoopTimeout, loopNowMs } from '../redis/loop-clock.js';
import type { PublishResult } from '../transport/publisher.js';

const MOST = 10_000;

export interface Held {
  /** There is a connection. */
  go(): void;
  /** There was none in time, there will be none (`sent`, with the fault), or too many wait (`shed`). */
  fail(posted: PublishResult, error?: unknown): void;
}

/** What waits for a connection, in the order in which it was asked: a bounded number, each for a while. */
export class HeldMessages {
  #held: { held: Held; readonly dueMs: number }[] = [];
  #timeout: LoopTimeout | undefined;

  constructor(readonly holdMs: number) {}

  add(held: Held): void {
    if (this.#held.length >= MOST) return held.fail('shed');
    this.#held.push({ held, dueMs: loopNowMs() + this.holdMs });
    this.#timeout ??= new LoopTimeout(() => this.#expire(), this.holdMs, false);
  }

  /** Another one takes its turn, or nobody does. */
  replace(held: Held, other?: Held): void {
    const i = this.#held.findIndex((one) => one.held === held);
    if (i === -1) return;
    if (other) (this.#held[i] as { held: Held }).held = other;
    else this.#held.splice(i, 1);
  }

  /** There is a connection: all go, before anything that comes after them. */
  flush(): void {
    for (const { held } of this.#empty()) held.go();
  }

  /** There will be none: all fail. */
  fail(error: unknown): void {
    for (const { held } of this.#empty()) held.fail('sent', error);
  }

  #expire(): void {
    this.#timeout = undefined;
    const nowMs = loopNowMs();
    const alive = this.#held.findIndex(({ dueMs }) => dueMs > nowMs);
    const expired = this.#held.splice(0, alive === -1 ? this.#held.length : alive);
    const next = this.#held[0];
    if (next) this.#timeout = new LoopTimeout(() => this.#expire(), next.dueMs - nowMs, false);
    for (const { held } of expired) held.fail('sent', new Error('there was no connection'));
  }

  #empty() {
    const all = this.#held;
    this.#held = [];
    this.#timeout?.clear();
    this.#timeout = undefined;
    return all;
  }
}
