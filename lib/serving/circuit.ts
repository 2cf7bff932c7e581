/** So many time-outs without an answer between them. */
const TIMEOUTS = 5;
const PROBE_MS = 100;

/** Nobody waits while it is open, but one message in 100 ms asks for an answer; the answer closes it. */
class Circuit {
  #timeouts = 0;
  #probedMs = Number.NEGATIVE_INFINITY;

  get isOpen(): boolean {
    return this.#timeouts >= TIMEOUTS;
  }

  /** true if this one opened it */
  timedOut(): boolean {
    return ++this.#timeouts === TIMEOUTS;
  }

  /** true if this one closed it */
  answered(): boolean {
    const wasOpen = this.isOpen;
    this.#timeouts = 0;
    return wasOpen;
  }

  mayProbe(nowMs: number): boolean {
    if (nowMs - this.#probedMs < PROBE_MS) return false;
    this.#probedMs = nowMs;
    return true;
  }
}

/**
 * Spares requests the wait for a worker that does not answer: the only sign of it in a Cluster, or where it is frozen. One
 * circuit for each route (the sessions of one worker, as far as can be told), and one for all of them.
 */
export class Circuits {
  readonly #all = new Circuit();
  readonly #routes = new Map<string, Circuit>();

  constructor(readonly onChange: (state: 'open' | 'closed') => void) {}

  /** 'wait': the request waits; 'probe': it does not, but its message asks for an answer; 'pass': neither. */
  ask(route: string, nowMs: number): 'wait' | 'probe' | 'pass' {
    const open = this.#all.isOpen ? this.#all : this.#routes.get(route);
    if (!open?.isOpen) return 'wait';
    return open.mayProbe(nowMs) ? 'probe' : 'pass';
  }

  timedOut(route: string): void {
    let one = this.#routes.get(route);
    if (!one) {
      if (this.#routes.size >= 1000) this.#routes.clear(); // ids of anything
      one = new Circuit();
      this.#routes.set(route, one);
    }
    const opened = [this.#all.timedOut(), one.timedOut()];
    if (opened.includes(true)) this.onChange('open');
  }

  answered(route: string): void {
    const closed = [this.#all.answered(), this.#routes.get(route)?.answered()];
    this.#routes.delete(route);
    if (closed.includes(true)) this.onChange('closed');
  }

  get open(): number {
    return [this.#all, ...this.#routes.values()].filter((circuit) => circuit.isOpen).length;
  }
}
