/** What somebody asked of a session, and how it was answered. Times are of one clock, in ms. */
export interface Operation {
  readonly id: number;
  /** which session, by a number of the harness' own; each login makes a new one */
  readonly session: number;
  readonly kind: 'login' | 'logout' | 'set' | 'delete' | 'read' | 'take-back';
  readonly key?: string;
  /** of a set, or of a login, which sets a key too: no two operations on a session write the same */
  readonly value?: string;
  /** of a take-back, whose save of `value` failed and which then saved the key as it had read it: that value, or none; ANY */
  readonly restored?: string | typeof ANY | undefined;
  readonly startMs: number;
  readonly endMs: number;
  /** `failed` (an error was answered) may have been executed, as `unknown` (no answer) may */
  readonly outcome: 'acknowledged' | 'failed' | 'unknown';
  /** the session as the request read it, before its own change; `gone`: its id is nobody's */
  readonly saw?: Readonly<Record<string, string>> | 'gone';
}

/** A take-back that was not acknowledged does not say what it has read. */
export const ANY = Symbol('any value');

export type Rule =
  'lost-change' | 'undone-deletion' | 'not-taken-back' | 'never-made' | 'revived-session' | 'lost-session';

export interface Violation {
  readonly rule: Rule;
  readonly session: number;
  readonly key?: string;
  /** those that contradict each other, and what else was asked of that key or session, in order */
  readonly history: readonly Operation[];
}

const isAcknowledged = ({ outcome }: Operation): boolean => outcome === 'acknowledged';
/** What was not acknowledged may be executed at any time after it was asked. */
const endOf = (operation: Operation): number =>
  isAcknowledged(operation) ? operation.endMs : Number.POSITIVE_INFINITY;

/**
 * Finds what no order of the operations can explain. Each takes effect at one moment between its start and its end, or, not
 * acknowledged, at any later one or never; each read shows what had taken effect at one moment of its own. At most one
 * violation of a rule is told for each key of a session.
 */
export function check(history: readonly Operation[]): Violation[] {
  const sessions = new Map<number, Operation[]>();
  for (const operation of history) {
    const list = sessions.get(operation.session) ?? [];
    sessions.set(operation.session, list);
    list.push(operation);
  }
  return [...sessions.values()].flatMap((operations) => [...checkLife(operations), ...checkKeys(operations)]);
}

/** A session is there from its login until somebody asks to log out, and never again once it was gone. */
function checkLife(operations: readonly Operation[]): Violation[] {
  const found: Violation[] = [];
  const session = operations[0]?.session as number;
  const logouts = operations.filter(({ kind }) => kind === 'logout');
  const isGone = ({ saw }: Operation) => saw === 'gone';
  const logins = operations.filter((one) => one.kind === 'login' && isAcknowledged(one));
  const lost = operations.find(
    (one) => isGone(one) && logins.length > 0 && !logouts.some(({ startMs }) => startMs < one.endMs),
  );
  if (lost) found.push({ rule: 'lost-session', session, history: [...logins, lost] });
  const ends = operations.filter((one) => (one.kind === 'logout' && isAcknowledged(one)) || isGone(one));
  const [end] = ends.sort((a, b) => a.endMs - b.endMs);
  const revived = end && operations.find((one) => isAlive(one) && one.startMs > end.endMs);
  if (revived) found.push({ rule: 'revived-session', session, history: [end, revived] });
  return found;
}

const isSet = ({ kind }: Operation): boolean => kind === 'set' || kind === 'login';
const isAlive = ({ saw }: Operation): boolean => typeof saw === 'object';

function checkKeys(operations: readonly Operation[]): Violation[] {
  const reads = operations.filter(isAlive);
  const keys = new Set<string>();
  for (const { key, saw } of operations)
    for (const name of [key, ...(typeof saw === 'object' ? Object.keys(saw) : [])])
      if (name !== undefined) keys.add(name);
  return [...keys].flatMap((key) => {
    const writes = operations.filter((one) => one.key === key && (isSet(one) || /^(delete|take-back)$/.test(one.kind)));
    const found = new Map<Rule, Violation>();
    for (const read of reads) {
      const contradiction = contradictionOf(read, key, writes);
      if (!contradiction || found.has(contradiction.rule)) continue;
      const { rule, by } = contradiction;
      const around = writes.filter(({ startMs }) => startMs < read.endMs).slice(-6);
      const all = [...new Set([...(by ? [by] : []), ...around, read])].sort((a, b) => a.startMs - b.startMs);
      found.set(rule, { rule, session: read.session, key, history: all });
    }
    return [...found.values()];
  });
}

/** Why a read can't have seen what it saw of a key: `by` is the acknowledged change that it should have seen. */
function contradictionOf(
  read: Operation,
  key: string,
  writes: readonly Operation[],
): { rule: Rule; by?: Operation } | undefined {
  const saw = read.saw as Readonly<Record<string, string>>;
  const before = writes.filter((one) => isAcknowledged(one) && one.endMs < read.startMs);
  const value = Object.hasOwn(saw, key) ? saw[key] : undefined;
  if (value === undefined) {
    // absent at the start, and after any deletion that may have come since
    const deletions = writes.filter((one) => isDeletion(one) && one.startMs < read.endMs);
    const by = before.find((set) => isSet(set) && !deletions.some((one) => endOf(one) > set.startMs));
    return by && { rule: 'lost-change', by };
  }
  const origins = writes.filter((one) => mayWrite(one, value) && one.startMs < read.endMs);
  if (origins.every(({ restored }) => restored === ANY)) return { rule: 'never-made' };
  const takenBack = before.find((one) => one.kind === 'take-back' && isAcknowledged(one) && one.value === value);
  if (takenBack) return { rule: 'not-taken-back', by: takenBack };
  const contradictions = origins.map((origin) =>
    before.find((one) => one.kind !== 'take-back' && one.startMs > endOf(origin)),
  );
  const by = contradictions[0];
  if (!by || contradictions.includes(undefined)) return undefined;
  return { rule: by.kind === 'delete' ? 'undone-deletion' : 'lost-change', by };
}

const isDeletion = ({ kind, restored }: Operation): boolean =>
  kind === 'delete' || (kind === 'take-back' && (restored === undefined || restored === ANY));

/** May an operation leave this value? A take-back that of its failed save too, until it has ended. */
function mayWrite({ kind, value: written, restored }: Operation, value: string): boolean {
  if (kind === 'take-back') return written === value || restored === value || restored === ANY;
  return kind !== 'delete' && written === value;
}

/** A violation in a few lines. */
export function describe({ rule, session, key, history }: Violation): string {
  const lines = history.map(({ id, kind, key: of, value, startMs, endMs, outcome, saw }) => {
    const what = [kind, of, value].filter((one) => one !== undefined).join(' ');
    const seen =
      saw === undefined ? '' : `, saw ${saw === 'gone' ? saw : JSON.stringify(key === undefined ? saw : saw[key])}`;
    return `    #${id} ${startMs.toFixed(0)} to ${endMs.toFixed(0)} ms: ${what}: ${outcome}${seen}`;
  });
  return [`${rule}: session ${session}${key === undefined ? '' : `, key ${key}`}`, ...lines].join('\n');
}
