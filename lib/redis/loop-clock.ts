/** The time between two ticks, the clock's resolution: fine enough for limits of 100 ms and more. */
const TICK_MS = 20;
/** A tick counts for this at most: while the event loop is blocked nothing can be read, so a stall is not Redis' delay. */
const LONGEST_TICK_MS = 40;

let elapsedMs = 0;
let tickedAtMs = 0;
let timer: NodeJS.Timeout | undefined;
let users = 0;
const listeners = new Set<() => void>();

/**
 * The present time of a clock that counts only time in which the event loop could have read from its sockets: a stall of a
 * second counts as one tick. The clock runs while it has users (timeouts and tick listeners), and keeps no process alive.
 */
export function loopNowMs(): number {
  return elapsedMs + Math.min(performance.now() - tickedAtMs, LONGEST_TICK_MS);
}

function use(): void {
  if (users++ > 0) return;
  tickedAtMs = performance.now();
  timer = setInterval(tick, TICK_MS).unref();
}

function release(): void {
  if (--users > 0) return;
  elapsedMs = loopNowMs();
  clearInterval(timer);
}

/** Calls `listener` at every tick (20 ms) until the returned function is called. */
export function onLoopTick(listener: () => void): () => void {
  listeners.add(listener);
  use();
  return () => {
    if (listeners.delete(listener)) release();
  };
}

function tick(): void {
  elapsedMs = loopNowMs();
  tickedAtMs = performance.now();
  for (const listener of listeners) listener();
}

/**
 * A timeout by the loop's clock. When its time has come, the sockets are read once more before `callback` is called, so that an
 * answer that has arrived, but was not read yet, can still clear the timeout.
 */
export class LoopTimeout {
  readonly #dueMs: number;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
  #afterReading: NodeJS.Immediate | undefined;

  constructor(
    readonly callback: () => void,
    ms: number,
    readonly keepsProcessAlive = true,
  ) {
    use();
    this.#dueMs = loopNowMs() + ms;
    this.#arm(ms);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const leftMs = this.#dueMs - loopNowMs();
      if (leftMs >= 1) this.#arm(leftMs);
      // a turn of the event loop runs timers first, then reads sockets, then runs immediates
      else this.#afterReading = setImmediate(() => this.#end(true));
    }, ms);
    if (!this.keepsProcessAlive) this.#timer.unref();
  }

  #end(isDue: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#afterReading);
    release();
    if (isDue) this.callback();
  }

  clear(): void {
    this.#end(false);
  }
}

/** A signal that is aborted after `ms` of the loop's clock. Call `clear` when the work that it limits has ended. */
export function loopSignal(ms: number): { readonly signal: AbortSignal; abort(): void; clear(): void } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timeout = new LoopTimeout(abort, ms);
  return { signal: controller.signal, abort, clear: () => timeout.clear() };
}
