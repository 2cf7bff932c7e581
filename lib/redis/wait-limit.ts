import { loopNowMs, onLoopTick } from './loop-clock.js';

interface Wait {
  readonly dueMs: number;
  readonly onLate: () => void;
}

/** Calls back each wait that lasts longer than `limitMs` of the loop's clock, whatever commands and connections it is for. */
export class WaitLimit {
  /** In the order of their beginning, which is that of `dueMs`, since all have the same limit. */
  readonly #waits = new Set<Wait>();
  #stopTicks: (() => void) | undefined;

  constructor(readonly limitMs: number) {}

  /** Begins a wait: `onLate` is called after `limitMs`, unless the returned function is called before. */
  begin(onLate: () => void): () => void {
    this.#stopTicks ??= onLoopTick(() => this.#check());
    const wait = { dueMs: loopNowMs() + this.limitMs, onLate };
    this.#waits.add(wait);
    return () => this.#waits.delete(wait);
  }

  #check(): void {
    const nowMs = loopNowMs();
    for (const wait of this.#waits) {
      if (nowMs < wait.dueMs) return;
      this.#waits.delete(wait);
      wait.onLate();
    }
    this.#stopTicks?.();
    this.#stopTicks = undefined;
  }
}
