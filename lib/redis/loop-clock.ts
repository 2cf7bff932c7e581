/** The clock's resolution: fine enough for limits of 100 ms and more. */
const TICK_MS = 20;
/** No tick counts for more: while the event loop is blocked nothing can be read, so a stall is not Redis' delay. */
const LONGEST_TICK_MS = 40;

let elapsedMs = 0;
let tickedAtMs = 0;
let timer: NodeJS.Timeout | undefined;
let users = 0;
const listeners = new Set<() => void>();

/**
 * A clock that counts only time in which the event loop could have read from its sockets: a stall of a second counts as
 * one tick. It runs while somebody uses it, and keeps no process alive.
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
 * A timeout by the loop's clock. When its time has come, the sockets are read once more before `callback` is called: an
 * answer that has arrived meanwhile is not late.
 */
export class LoopTimeout {
  readonly #dueMs: number;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;

  /** A timeout that is not `held` keeps no process alive. */
  constructor(
    readonly callback: () => void,
    ms: number,
    readonly held = true,
  ) {
    use();
    this.#dueMs = loopNowMs() + ms;
    this.#arm(ms);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const leftMs = this.#dueMs - loopNowMs();
      if (leftMs >= 1) this.#arm(leftMs);
      // timers come before the sockets in a turn of the event loop, an immediate after them
      else this.#turn = setImmediate(() => this.#end(true));
    }, ms);
    if (!this.held) this.#timer.unref();
  }

  #end(called: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
    release();
    if (called) this.callback();
  }

  clear(): void {
    this.#end(false);
  }
}

/** A signal that is aborted after `ms` of the loop's clock; `clear` it when what it bounds has ended. */
export function loopSignal(ms: number): { readonly signal: AbortSignal; abort(): void; clear(): void } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timeout = new LoopTimeout(abort, ms);
  return { signal: controller.signal, abort, clear: () => timeout.clear() };
}
