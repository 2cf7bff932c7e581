/** So many time-outs without an answer between them, each of another session where it is not one session's circuit. */
const TIMEOUTS = 5;
const PROBE_MS = 100;
/** Session ids and command names can be anything: what is remembered of them is bounded. */
const MOST = 1000;

/** Nobody waits while it is open, but one message in 100 ms asks for an answer; the answer closes it. */
class Circuit {
  #timeouts = 0;
  /** whose they are: one visitor who asks much, or asks for long lists, does not open what is others' too */
  readonly #sessions = new Set<string>();
  #probedMs = Number.NEGATIVE_INFINITY;

  get isOpen(): boolean {
    return this.#timeouts >= TIMEOUTS;
  }

  /** true if this one opened it; with `sid`, a session counts once */
  timedOut(sid?: string): boolean {
    if (sid !== undefined) {
      if (this.isOpen || this.#sessions.has(sid)) return false;
      this.#sessions.add(sid);
    }
    return ++this.#timeouts === TIMEOUTS;
  }

  /** true if this one closed it */
  answered(): boolean {
    const wasOpen = this.isOpen;
    this.#timeouts = 0;
    this.#sessions.clear();
    return wasOpen;
  }

  mayProbe(nowMs: number): boolean {
    if (nowMs - this.#probedMs < PROBE_MS) return false;
    this.#probedMs = nowMs;
    return true;
  }
}

/** What a request goes by: which worker it reaches, as far as can be told, and which of the application's own commands it is. */
export interface Target {
  readonly route: string;
  readonly sid: string;
  /** undefined: a built-in command */
  readonly ownCommand: string | undefined;
}

/**
 * Spares requests the wait for an answer that does not come: the only sign of a worker that is frozen, and in a Cluster of
 * one that is not there. One circuit for all workers and one a route (the sessions of one worker, as far as can be told):
 * time-outs of the built-in commands open them, a session's once; and one a session, which may wait behind its own long lists.
 * An application's own command may be slow by itself, so its time-outs say nothing of others: it has a circuit of its own.
 */
export class Circuits {
  readonly #all = new Circuit();
  readonly #routes = new Map<string, Circuit>();
  readonly #sessions = new Map<string, Circuit>();
  readonly #ownCommands = new Map<string, Circuit>();

  constructor(
    /** with the application's own command whose circuit opened; `oneSession`: of all others only one session's did */
    readonly onChange: (state: 'open' | 'closed', ownCommand?: string, oneSession?: boolean) => void,
  ) {}

  /** 'wait': the request waits; 'probe': it does not, but its message asks for an answer; 'pass': neither. */
  ask({ route, sid, ownCommand }: Target, nowMs: number): 'wait' | 'probe' | 'pass' {
    const own = ownCommand === undefined ? undefined : this.#ownCommands.get(ownCommand);
    const mayBeOpen = [this.#all, this.#routes.get(route), this.#sessions.get(sid), own];
    const open = mayBeOpen.find((circuit) => circuit?.isOpen);
    if (!open) return 'wait';
    return open.mayProbe(nowMs) ? 'probe' : 'pass';
  }

  timedOut({ route, sid, ownCommand }: Target): void {
    const opened =
      ownCommand === undefined
        ? [
            this.#all.timedOut(sid),
            circuitOf(this.#routes, route).timedOut(sid),
            circuitOf(this.#sessions, sid).timedOut(),
          ]
        : [circuitOf(this.#ownCommands, ownCommand).timedOut()];
    const [all, ofRoute, ofSession] = opened;
    if (opened.includes(true)) this.onChange('open', ownCommand, !all && !ofRoute && ofSession === true);
  }

  /** Any answer says that the worker is there. */
  answered({ route, sid, ownCommand }: Target): void {
    const own = ownCommand === undefined ? undefined : this.#ownCommands.get(ownCommand);
    const shared = [this.#all, this.#routes.get(route), this.#sessions.get(sid), own];
    const closed = shared.map((circuit) => circuit?.answered());
    this.#routes.delete(route);
    this.#sessions.delete(sid);
    if (ownCommand !== undefined) this.#ownCommands.delete(ownCommand);
    if (closed.includes(true)) this.onChange('closed');
  }

  get open(): number {
    const all = [this.#all, ...this.#routes.values(), ...this.#sessions.values(), ...this.#ownCommands.values()];
    return all.filter((circuit) => circuit.isOpen).length;
  }
}

function circuitOf(circuits: Map<string, Circuit>, name: string): Circuit {
  const known = circuits.get(name);
  if (known) return known;
  if (circuits.size >= MOST) circuits.clear();
  const circuit = new Circuit();
  circuits.set(name, circuit);
  return circuit;
}
