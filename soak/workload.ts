import { setTimeout as pause } from 'node:timers/promises';
import { ANY, type Operation } from './checker.js';
import type { Random } from './random.js';
import type { PageAnswer } from './site.js';

const ANSWER_MS = 5000;
const SLOWEST_PAGE_MS = 8;
const SHARED_KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];

type Asked = Pick<Operation, 'kind' | 'key' | 'value'>;

/** A session of the harness: its number in the history, and the cookie that names it. */
interface Session {
  readonly number: number;
  readonly cookie: string;
}

/** Visitors of several sites of one Redis, and the history of what they asked. */
export class Workload {
  readonly history: Operation[] = [];
  readonly #sessions: Session[] = [];
  #asked = 0;
  #values = 0;
  #numbers = 0;
  #on = true;

  constructor(
    readonly urls: readonly string[],
    readonly random: Random,
    readonly startedMs = performance.now(),
  ) {}

  /** Visitors come and go until stop(): each has a session of its own, and asks one thing, or two at once, of it. */
  async run(visitors: number): Promise<void> {
    await Promise.all(Array.from({ length: visitors }, (_, i) => this.#visit(`visitor${i}`)));
  }

  stop(): void {
    this.#on = false;
  }

  async #visit(user: string): Promise<void> {
    let session: Session | undefined;
    while (this.#on) {
      session ??= await this.#login(user);
      if (!session) continue;
      const asked = Array.from({ length: this.random.whole(1, 2) }, () => this.#choose());
      const answers = await Promise.all(asked.map((one) => this.#ask(session as Session, one)));
      // an id that was given up is still asked for at the end; from here on it can only be nobody's, or as it was
      if (asked.some(({ kind }) => kind === 'logout')) {
        await this.#ask(session, { kind: 'read' });
        session = undefined;
      } else if (this.random.next() < 0.02) {
        const old: Session = session;
        session = await this.#login(user, old);
        await this.#ask(old, { kind: 'read' });
      } else if (answers.includes('gone')) session = undefined;
    }
  }

  #choose(): Asked {
    const chance = this.random.next();
    if (chance < 0.02) return { kind: 'logout' };
    if (chance < 0.2) return { kind: 'read' };
    const key = this.random.one(SHARED_KEYS);
    if (chance < 0.35) return { kind: 'delete', key };
    return { kind: chance < 0.6 ? 'take-back' : 'set', key, value: String(++this.#values) };
  }

  /** A new session; the one before, if there was one, is to end with it, as by a logout. */
  async #login(user: string, old?: Session): Promise<Session | undefined> {
    const number = ++this.#numbers;
    const { response } = await this.#send(old, number, { kind: 'login', key: 'user', value: user });
    if (old) {
      const { key: _, value: __, ...login } = this.history.findLast((one) => one.session === number) as Operation;
      this.history.push({ ...login, kind: 'logout', session: old.number });
    }
    const [cookie] = response?.headers.getSetCookie() ?? [];
    if (!response?.ok || !cookie) return undefined;
    const session = { number, cookie: cookie.split(';', 1)[0] as string };
    this.#sessions.push(session);
    return session;
  }

  async #ask(session: Session, asked: Asked): Promise<'there' | 'gone' | 'unknown'> {
    const { answer } = await this.#send(session, session.number, asked);
    if (!answer) return 'unknown';
    return isOf(session, answer) ? 'there' : 'gone';
  }

  /** Sends a request to any of the sites and writes down what was asked and answered. */
  async #send(session: Session | undefined, number: number, asked: Asked) {
    const { kind, key = '', value = '' } = asked;
    const takesMs = String(this.random.whole(0, SLOWEST_PAGE_MS));
    const query = new URLSearchParams({ key, value, user: value, takesMs });
    const id = ++this.#asked;
    const startMs = performance.now() - this.startedMs;
    const note = (outcome: Operation['outcome'], saw?: Operation['saw'], takenBack = false) => {
      const endMs = performance.now() - this.startedMs;
      const operation = { ...asked, id, session: number, startMs, endMs, outcome, ...(saw && { saw }) };
      // what was saved at once, and what may have been, is a set
      if (kind !== 'take-back') this.history.push(operation);
      else if (!takenBack) {
        this.history.push({ ...operation, kind: 'set' });
        if (outcome !== 'acknowledged') this.history.push({ ...operation, restored: ANY });
      } else this.history.push({ ...operation, restored: typeof saw === 'object' ? saw[key] : undefined });
    };
    try {
      const response = await fetch(`${this.random.one(this.urls)}/${kind}?${query}`, {
        method: 'POST',
        headers: session ? { cookie: session.cookie } : {},
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (!response.ok) {
        await response.arrayBuffer();
        note('failed');
        await pause(10); // as one does who is told to come again
        return { response };
      }
      const answer = (await response.json()) as PageAnswer;
      const saw = session && kind !== 'login' ? (isOf(session, answer) ? answer.saw : 'gone') : undefined;
      note('acknowledged', saw, answer.takenBack);
      return { response, answer };
    } catch {
      note('unknown');
      await pause(20);
      return {};
    }
  }

  /** When all is well again: every session there ever was is asked for, at every site, by several at once. */
  async readAll(): Promise<void> {
    const waiting = [...this.#sessions];
    const reader = async () => {
      for (let session = waiting.pop(); session; session = waiting.pop()) await this.#ask(session, { kind: 'read' });
    };
    await Promise.all(Array.from({ length: 8 }, reader));
  }
}

/** A page tells the id it has read, not its secret's signature: an id that is nobody's is answered with a new one. */
const isOf = ({ cookie }: Session, { sid, saw }: PageAnswer): boolean =>
  decodeURIComponent(cookie).startsWith(`connect.sid=s:${sid}.`) && 'user' in saw;
