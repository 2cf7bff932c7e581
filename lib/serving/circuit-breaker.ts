/** A circuit opens after so many time-outs without an answer between them. */
const TIMEOUTS = 5;
const TRIAL_EVERY_MS = 100;
/** Session ids and command names can be anything, so what is remembered of them is bounded. */
const MAX_CIRCUITS = 1000;

/** While it is open, nobody waits; one message in 100 ms is a half-open trial, whose answer closes it. */
class Circuit {
  #timeouts = 0;
  /** Whose time-outs were counted: one visitor who asks much, or for long lists, does not open what is others' too. */
  readonly #sessions = new Set<string>();
  #lastTrialMs = Number.NEGATIVE_INFINITY;

  get isOpen(): boolean {
    return this.#timeouts >= TIMEOUTS;
  }

  /** Counts a time-out, with `sid` one a session. True if this one opened the circuit. */
  timedOut(sid?: string): boolean {
    if (sid !== undefined) {
      if (this.isOpen || this.#sessions.has(sid)) return false;
      this.#sessions.add(sid);
    }
    return ++this.#timeouts === TIMEOUTS;
  }

  /** True if this answer closed the circuit. */
  answered(): boolean {
    const wasOpen = this.isOpen;
    this.#timeouts = 0;
    this.#sessions.clear();
    return wasOpen;
  }

  mayTry(nowMs: number): boolean {
    if (nowMs - this.#lastTrialMs < TRIAL_EVERY_MS) return false;
    this.#lastTrialMs = nowMs;
    return true;
  }
}

/** Which circuits a request goes through, besides the one of all. */
export interface CircuitNames {
  /** The worker that it reaches, as far as can be told. */
  readonly route: string;
  readonly sid: string;
  /** One of the application's own commands; undefined: a built-in one. */
  readonly ownCommand: string | undefined;
}

/** Whose time-outs opened a circuit: those of several sessions (`workers`), of one session, or of an application's own command. */
export type CircuitScope = 'workers' | 'session' | { readonly ownCommand: string };

/**
 * Spares requests the wait for an answer that does not come: that is the only sign of a worker that is frozen, and in a Cluster
 * of one that is not there. There is one circuit for all workers and one for each route: time-outs of the built-in commands open
 * them, a session's once. There is one for each session, which may wait behind its own long lists. An application's own command
 * may be slow by itself, so its time-outs say nothing of others: it has a circuit of its own.
 */
export class CircuitBreakers {
  readonly #all = new Circuit();
  readonly #routes = new Map<string, Circuit>();
  readonly #sessions = new Map<string, Circuit>();
  readonly #ownCommands = new Map<string, Circuit>();

  constructor(
    readonly hooks: {
      /** A circuit has opened. */
      opened(scope: CircuitScope): void;
      closed(): void;
    },
  ) {}

  /** 'wait': the request waits; 'trial': it does not, but its message asks for an answer; 'pass': neither. */
  admit(names: CircuitNames, nowMs: number): 'wait' | 'trial' | 'pass' {
    const open = this.#known(names).find((circuit) => circuit?.isOpen);
    if (!open) return 'wait';
    return open.mayTry(nowMs) ? 'trial' : 'pass';
  }

  timedOut({ route, sid, ownCommand }: CircuitNames): void {
    if (ownCommand !== undefined) {
      if (circuitOf(this.#ownCommands, ownCommand).timedOut()) this.hooks.opened({ ownCommand });
      return;
    }
    const ofWorkers = [this.#all.timedOut(sid), circuitOf(this.#routes, route).timedOut(sid)];
    const ofSession = circuitOf(this.#sessions, sid).timedOut();
    if (ofWorkers.includes(true)) this.hooks.opened('workers');
    else if (ofSession) this.hooks.opened('session');
  }

  /** Any answer says that the worker is there. */
  answered(names: CircuitNames): void {
    const closed = this.#known(names).map((circuit) => circuit?.answered());
    this.#routes.delete(names.route);
    this.#sessions.delete(names.sid);
    if (names.ownCommand !== undefined) this.#ownCommands.delete(names.ownCommand);
    if (closed.includes(true)) this.hooks.closed();
  }

  /** How many circuits are open. */
  get open(): number {
    const all = [this.#all, ...this.#routes.values(), ...this.#sessions.values(), ...this.#ownCommands.values()];
    return all.filter((circuit) => circuit.isOpen).length;
  }

  #known({ route, sid, ownCommand }: CircuitNames): (Circuit | undefined)[] {
    const own = ownCommand === undefined ? undefined : this.#ownCommands.get(ownCommand);
    return [this.#all, this.#routes.get(route), this.#sessions.get(sid), own];
  }
}

function circuitOf(circuits: Map<string, Circuit>, name: string): Circuit {
  const known = circuits.get(name);
  if (known) return known;
  if (circuits.size >= MAX_CIRCUITS) circuits.clear();
  const circuit = new Circuit();
  circuits.set(name, circuit);
  return circuit;
}
