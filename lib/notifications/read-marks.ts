import { redisFault } from '../errors/errors.js';
import { isUserSubject } from '../intelligence/command/subject.js';
import { goneKey, seenKey } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { changesChannel } from '../transport/protocol.js';
import { type DurableOptions, DurableWrites, type WriteOutcome } from './durable-writes.js';
import type { ReadList } from './read-list.js';
import { isRead, SINCE } from './read-state.js';

/** mark.lua says what they are. */
type MarkReply = [outcome: number | string, untold: string];
const markScript = new Script<MarkReply>(loadScript('lib/notifications/mark.lua'), 2);
const mergeScript = new Script<number>(loadScript('lib/notifications/merge-seen.lua'));
const dropScript = new Script<number>(loadScript('lib/notifications/drop-seen.lua'));

/** Who reads: a user, or an anonymous visitor. */
export interface Reader {
  readonly subject: string;
  /** For how long from now on it is kept what they have read. */
  readonly ttlSeconds: number;
}

/** What is to be marked as read of one list: all up to `upTo`, and the notification at `position`. */
export interface Mark {
  readonly list: ReadList;
  readonly upTo: number;
  readonly position?: number;
}

/** With more single positions than this of a list, raise() looks whether they can be one. */
const MANY_POSITIONS = 8;

/** Writes what readers have read: a hash `seen` for each of them. */
export class ReadMarks {
  readonly #durable: DurableWrites | undefined;

  constructor(
    readonly target: RedisTarget,
    readonly namespace: string,
    durable: DurableOptions | undefined,
    maxWaitMs: number,
    readonly fault: (error: Error) => void,
  ) {
    if (durable) this.#durable = new DurableWrites(target, durable, maxWaitMs);
  }

  /** True: something was unread. Undefined: what is kept of the reader has ended or was erased, and nothing was kept. */
  mark(reader: Reader, marks: readonly Mark[]): Promise<boolean | undefined> {
    return this.#mark(reader, marks, true);
  }

  /** Replaces many single positions of a list by the one up to which all is read. Never rejects: the next read tries it again. */
  async raise(reader: Reader, lists: readonly ReadList[]): Promise<void> {
    const marks = lists.flatMap((list): Mark[] => {
      if (!list.state || list.state.positions.size <= MANY_POSITIONS) return [];
      let upTo = 0;
      for (const item of [...list.items].reverse()) {
        // Why not beyond `last`, watermarkUpTo() says. What is older than the reader's first question may count as read; it was not read.
        if (!isRead(list.state, item) || item.position > list.list.last) break;
        upTo = item.position;
      }
      return upTo > list.state.upTo ? [{ list, upTo }] : [];
    });
    if (marks.length > 0) await this.#mark(reader, marks, false).catch(() => {});
  }

  /** Does a read that is sent after carry() find what it carries? Not in a Cluster, where the two have different nodes. */
  get carriesInOrder(): boolean {
    return this.target.sharesCalls && this.target.ordersKeys;
  }

  /**
   * Adds what a visitor has read to what a user has. A repeat adds nothing twice. `gone` is not looked at: what a visitor brings who logs in
   * after the user's data were erased is kept. One script; in a Cluster HGETALL, and two scripts if something is kept of the visitor.
   */
  async carry(from: string, { subject, ttlSeconds }: Reader): Promise<void> {
    const { client } = this.target;
    const [key, usersKey] = [seenKey(this.namespace, from), seenKey(this.namespace, subject)];
    const args = [ttlSeconds * 1000, SINCE];
    if (this.carriesInOrder) {
      // by its text: a call that goes again, after a NOSCRIPT, would come after the reads behind it
      await mergeScript.eval(client, [usersKey, key, ...args], 2);
      return;
    }
    const fields = Object.entries(await client.hgetall(key)).flat();
    if (fields.length === 0) return;
    await mergeScript.run(client, [usersKey, ...args, ...fields]);
    await dropScript.run(client, [key, ...fields]);
  }

  close(): void {
    this.#durable?.close();
  }

  /**
   * What the reader did (`isByReader`) is told to open pages, and waits for replicas: raise() changes nothing that anybody sees. Where
   * an anonymous visitor has logged in meanwhile, it is written for the user (`isMoved`).
   */
  async #mark(
    { subject, ttlSeconds }: Reader,
    marks: readonly Mark[],
    isByReader: boolean,
    isMoved = false,
  ): Promise<boolean | undefined> {
    const { namespace, target } = this;
    const keys = [seenKey, goneKey].map((keyOf) => keyOf(namespace, subject));
    const channel = isByReader ? changesChannel(namespace, { subject }, target.database) : '';
    const fields = marks.flatMap(({ list, upTo, position = '' }) => [list.field, upTo, position]);
    const args = [...keys, ttlSeconds * 1000, channel, ...fields];
    const [outcome, untold] =
      this.#durable && isByReader
        ? await this.#durable.run(markScript, args, outcomeOf)
        : await markScript.run(target.client, args);
    if (untold !== '') this.fault(redisFault(`a mark is stored, and open pages can't be told: ${untold}`));
    if (typeof outcome === 'number') return outcome === 1;
    if (isUserSubject(outcome) && !isMoved)
      return this.#mark({ subject: outcome, ttlSeconds }, marks, isByReader, true);
    return undefined;
  }
}

/** mark.lua writes also where all was read already, so WAIT has a write to count. */
const outcomeOf = ([outcome]: MarkReply): WriteOutcome => (typeof outcome === 'number' ? 'wrote' : 'nothing');
