/** setTimeout() takes no longer time, and calls at once instead. */
const MAX_TIMEOUT_MS = 2_147_483_647;

/** Calls back at the time at which a list of notifications changes by itself. It keeps no process alive. */
export class ListTimer {
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(readonly onDue: () => void) {}

  /** Calls back in `inMs` ms, and no more at a time that was set before. */
  set(inMs: number): void {
    this.clear();
    this.#dueMs = performance.now() + Math.max(0, inMs);
    this.#wait();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(): void {
    const leftMs = this.#dueMs - performance.now();
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        if (performance.now() < this.#dueMs) this.#wait();
        else this.onDue();
      },
      // a timer may be a part of a ms early
      Math.min(Math.ceil(leftMs) + 1, MAX_TIMEOUT_MS),
    ).unref();
  }
}
