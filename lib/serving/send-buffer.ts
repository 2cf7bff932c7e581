import { LoopTimeout, loopNowMs } from '../redis/loop-clock.js';
import type { Letter } from './outbox.js';

const MOST = 10_000;

/** Messages that nobody waits for, kept for a while in their order when there is no connection; a bounded number of them. */
export class SendBuffer {
  #held: { readonly letter: Letter; readonly dueMs: number }[] = [];
  #timeout: LoopTimeout | undefined;

  constructor(
    readonly post: (letter: Letter) => void,
    readonly holdMs: number,
  ) {}

  hold(letter: Letter): void {
    if (this.#held.length >= MOST) return letter.settle('shed');
    this.#held.push({ letter, dueMs: loopNowMs() + this.holdMs });
    this.#timeout ??= new LoopTimeout(() => this.#expire(), this.holdMs, false);
  }

  /** There is a connection: all go, before anything that comes after them. */
  flush(): void {
    for (const { letter } of this.#empty()) this.post(letter);
  }

  /** There will be none: all fail. */
  fail(error: unknown): void {
    for (const { letter } of this.#empty()) letter.settle('sent', error);
  }

  #expire(): void {
    this.#timeout = undefined;
    const nowMs = loopNowMs();
    const alive = this.#held.findIndex(({ dueMs }) => dueMs > nowMs);
    const expired = this.#held.splice(0, alive === -1 ? this.#held.length : alive);
    const next = this.#held[0];
    if (next) this.#timeout = new LoopTimeout(() => this.#expire(), next.dueMs - nowMs, false);
    for (const { letter } of expired) letter.settle('sent', new Error('there was no connection'));
  }

  #empty() {
    const held = this.#held;
    this.#held = [];
    this.#timeout?.clear();
    this.#timeout = undefined;
    return held;
  }
}
