import { loopNowMs, onLoopTick } from './loop-clock.js';

interface Wait {
  readonly dueMs: number;
  readonly onLate: () => void;
}

/** Calls back whoever has waited for `limitMs` of the loop's clock, whatever number of commands and connections that takes. */
export class WaitLimit {
  /** The oldest stands first and is due first, since all have the same limit. */
  readonly #waits = new Set<Wait>();
  #stop: (() => void) | undefined;

  constructor(readonly limitMs: number) {}

  /** Calls `onLate` when the time has come, unless the returned function is called before. */
  begin(onLate: () => void): () => void {
    this.#stop ??= onLoopTick(() => this.#check());
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
    this.#stop?.();
    this.#stop = undefined;
  }
}
