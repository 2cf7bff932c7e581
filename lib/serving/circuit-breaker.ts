/** A circuit opens after this many time-outs without an answer between them. */
const TIMEOUTS_TO_OPEN = 5;
const TRIAL_INTERVAL_MS = 100;
/**
 * The most circuits of one kind: there may be any number of session ids and command names. Beyond it all of that kind are forgotten, without
 * closed(): those that are to be open open again by five time-outs.
 */
const MAX_CIRCUITS = 1000;

/** While a circuit is open, no request waits; one message in 100 ms is a half-open trial, whose answer closes the circuit. */
class Circuit {
  #timeouts = 0;
  /** The sessions of which a time-out was counted: one each, so that no single visitor opens a circuit that others share. */
  readonly #sessions = new Set<string>();
  #lastTrialMs = Number.NEGATIVE_INFINITY;

  get isOpen(): boolean {
    return this.#timeouts >= TIMEOUTS_TO_OPEN;
  }

  /** Counts a time-out; with `sid`, only the first of that session. Returns true if this time-out has opened the circuit. */
  timedOut(sid?: string): boolean {
    if (sid !== undefined) {
      if (this.isOpen || this.#sessions.has(sid)) return false;
      this.#sessions.add(sid);
    }
    return ++this.#timeouts === TIMEOUTS_TO_OPEN;
  }

  /** Notes an answer. Returns true if it has closed the circuit. */
  answered(): boolean {
    const wasOpen = this.isOpen;
    this.#timeouts = 0;
    this.#sessions.clear();
    return wasOpen;
  }

  /** May a trial be sent now? If so, this begins the next interval. */
  mayTry(nowMs: number): boolean {
    if (nowMs - this.#lastTrialMs < TRIAL_INTERVAL_MS) return false;
    this.#lastTrialMs = nowMs;
    return true;
  }
}

/** The circuits that a request goes through, besides the one that all requests share. */
export interface CircuitNames {
  /** The request's route (Publisher.routeOf): requests of one route mostly reach the same worker. */
  readonly route: string;
  readonly sid: string;
  /** The name of the command where it is one of the application's own; undefined for a built-in command. */
  readonly ownCommand: string | undefined;
}

/** Whose time-outs opened a circuit: those of several sessions (`workers`), of one session, or of an application's own command. */
export type CircuitScope = 'workers' | 'session' | { readonly ownCommand: string };

/**
 * Keeps requests from waiting for answers that do not come. Time-outs are the only sign of a frozen worker, and with pub/sub in a
 * Cluster of a missing worker. There is one circuit for all workers, and one for each route: time-outs of the built-in commands open them,
 * and of each session only one time-out counts. There is one for each session, whose requests may wait behind its own long
 * lists. An application's own command may simply be slow: its time-outs say nothing about workers, and open its own circuit.
 */
export class CircuitBreakers {
  readonly #all = new Circuit();
  readonly #routes = new Map<string, Circuit>();
  readonly #sessions = new Map<string, Circuit>();
  readonly #ownCommands = new Map<string, Circuit>();

  constructor(
    readonly hooks: {
      /** A circuit has opened. Of several that one time-out opens, the widest is told. */
      opened(scope: CircuitScope): void;
      /** An answer has closed a circuit; others may still be open. */
      closed(): void;
    },
  ) {}

  /** 'wait': the request waits for its answer; 'trial': nobody waits, but its message asks for an answer; 'pass': neither. */
  admit(names: CircuitNames, nowMs: number): 'wait' | 'trial' | 'pass' {
    const open = this.#existing(names).find((circuit) => circuit?.isOpen);
    if (!open) return 'wait';
    return open.mayTry(nowMs) ? 'trial' : 'pass';
  }

  timedOut({ route, sid, ownCommand }: CircuitNames): void {
    if (ownCommand !== undefined) {
      if (circuitOf(this.#ownCommands, ownCommand).timedOut()) this.hooks.opened({ ownCommand });
      return;
    }
    const haveOpened = [this.#all.timedOut(sid), circuitOf(this.#routes, route).timedOut(sid)];
    const hasSessionOpened = circuitOf(this.#sessions, sid).timedOut();
    if (haveOpened.includes(true)) this.hooks.opened('workers');
    else if (hasSessionOpened) this.hooks.opened('session');
  }

  /** Closes the circuits of a request that was answered: any answer says that the worker is there. */
  answered(names: CircuitNames): void {
    const closed = this.#existing(names).map((circuit) => circuit?.answered());
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

  /** The circuits of these names; undefined for each that no time-out has made yet. */
  #existing({ route, sid, ownCommand }: CircuitNames): (Circuit | undefined)[] {
    const ofCommand = ownCommand === undefined ? undefined : this.#ownCommands.get(ownCommand);
    return [this.#all, this.#routes.get(route), this.#sessions.get(sid), ofCommand];
  }
}

/** Gives the circuit of that name, and makes it where there is none. */
function circuitOf(circuits: Map<string, Circuit>, name: string): Circuit {
  const known = circuits.get(name);
  if (known) return known;
  if (circuits.size >= MAX_CIRCUITS) circuits.clear();
  const circuit = new Circuit();
  circuits.set(name, circuit);
  return circuit;
}
