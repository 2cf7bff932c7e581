import { IntelligentSessionError, redisFault } from '../errors/errors.js';
import { isUserSubject } from '../intelligence/command/subject.js';
import type { ItemKey } from '../intelligence/item-key.js';
import { Metrics } from '../metrics/metrics.js';
import { Availability } from '../redis/availability.js';
import type { RedisOption } from '../redis/client.js';
import { namespaceOf } from '../redis/connect.js';
import { onConnectionFault } from '../redis/connection-faults.js';
import { corkWrites } from '../redis/cork-writes.js';
import { endConnection } from '../redis/end-connection.js';
import { goneKey, inboxListKey, seenKey } from '../redis/keys.js';
import { distanceMsOf } from '../redis/liveness.js';
import { loadScript } from '../redis/load-script.js';
import { LoopTimeout } from '../redis/loop-clock.js';
import { openTarget } from '../redis/open-target.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { UnfinishedWork } from '../redis/unfinished-work.js';
import { type Change, changesChannel, formatChange } from '../transport/protocol.js';
import type { DurableOptions } from './durable-writes.js';
import { GroupLists } from './group-lists.js';
import { ListChanges } from './list-changes.js';
import { positionBeforeOldest, ReadList, watermarkUpTo } from './read-list.js';
import { type Mark, type Reader, ReadMarks } from './read-marks.js';
import { SeenHash, SINCE, seenField } from './read-state.js';
import { RecipientLists } from './recipient-list.js';
import { parseList, type StoredList } from './stored-list.js';

/** `ended` is '' where the subject goes on: read.lua has the rest. */
const readScript = new Script<[nowUs: string, ended: string, seen: string[], own: string[]]>(
  loadScript('lib/notifications/read.lua'),
  3,
);

export interface VisitorNotificationsOptions {
  readonly namespace: string;
  /** By it the groups' names in `seen` are HMACs; undefined without `itemSecret`. */
  readonly itemKey?: ItemKey | undefined;
  /** Do notifications from before a reader's first question count as unread or as read? */
  readonly earlier: 'unread' | 'read';
  /** How long a page waits for an answer, beyond the time that a round trip to Redis takes. */
  readonly timeoutMs: number;
  /** How long a call waits for the first connection, and how long a mark as read waits for its answer. */
  readonly maxWaitMs: number;
  /** If given, a mark as read is answered only when replicas have it. */
  readonly durable: DurableOptions | undefined;
}

/** `timeout`: no answer in time; `redis`: an error; `failed`: the reader's data have ended, so that a mark is not kept. */
export type NoAnswer = 'timeout' | 'redis' | 'failed';

export interface VisitorNotificationsHooks {
  fault(error: Error): void;
  /** A method of req.intelligence, `carry` or `live` got no answer. */
  unanswered(method: string, why: NoAnswer): void;
}

/** All lists of one reader, as they were at one time. */
export interface ReaderLists {
  /** That time by Redis' clock, µs since 1970; without a reader it is an estimate. */
  readonly nowUs: number;
  /** The lists of the groups in their order, then the reader's own list. */
  readonly lists: readonly ReadList[];
}

/**
 * Reads notifications for visitors, and keeps which of them each visitor has read. This process does it without a worker. A read costs
 * one script at the reader's key, in the same round trip as the lists of groups that are not cached here; marking costs one more.
 */
export class VisitorNotifications {
  readonly changes: ListChanges;
  readonly metrics = new Metrics();
  readonly #target: RedisTarget;
  readonly #namespace: string;
  readonly #availability: Availability;
  readonly #groups: GroupLists;
  readonly #unfinished: UnfinishedWork;
  readonly #marks: ReadMarks;
  readonly #options: VisitorNotificationsOptions;
  /** The fields of `seen` by group; undefined: the reader's own list. */
  readonly #fields = new Map<string | undefined, string>();
  readonly #questions = this.metrics.counter(
    'intelligent_session_notification_requests_total',
    'What visitors asked of notifications, by method and result',
    ['method', 'result'],
  );
  readonly #reads = this.metrics.counter(
    'intelligent_session_notification_lists_total',
    'Lists of groups that were looked at, by where they came from (cache, redis)',
    ['source'],
  );
  /** The calls of carry() under way, by the user's subject, where reads have to wait for them. */
  readonly #carrying = new Map<string, Promise<unknown>>();
  /** By how many µs Redis' clock is ahead of this machine's. */
  #aheadUs = 0;

  constructor(
    redis: RedisOption,
    options: VisitorNotificationsOptions,
    readonly hooks: VisitorNotificationsHooks,
  ) {
    const { maxWaitMs, durable } = options;
    this.#options = options;
    this.#namespace = namespaceOf(redis, options.namespace);
    this.#target = openTarget(redis, maxWaitMs);
    corkWrites(this.#target);
    onConnectionFault(this.#target.client, hooks.fault);
    this.#availability = new Availability(this.#target.client, maxWaitMs);
    this.#unfinished = new UnfinishedWork(this.#target.client);
    this.#marks = new ReadMarks(this.#target, this.#namespace, durable, maxWaitMs, hooks.fault);
    this.changes = new ListChanges(this.#target, this.#namespace);
    this.changes.on('fault', hooks.fault);
    this.#groups = new GroupLists(
      this.#target,
      new RecipientLists(this.#namespace, this.#target.database),
      this.changes,
      (source) => this.#reads.of(source).inc(),
      (nowUs) => this.#noteTime(nowUs),
    );
  }

  /**
   * The lists of these groups and of `reader`, with what `reader` has read. Without a reader only the groups' lists are read. Undefined
   * where there was no answer.
   */
  read(
    method: string,
    groups: readonly string[],
    reader: Reader | undefined,
    timeoutMs = this.#options.timeoutMs,
  ): Promise<ReaderLists | undefined> {
    const limitMs = timeoutMs + distanceMsOf(this.#target);
    return this.#bounded(method, limitMs, () => this.#read(groups, reader));
  }

  /** Marks a notification as read. True: it was unread; false: it had been read; null: no list has it; undefined: no answer. */
  async mark(id: string, groups: readonly string[], reader: Reader): Promise<boolean | null | undefined> {
    return this.#bounded('markNotificationSeen', this.#markMs, async () => {
      const { lists } = await this.#read(groups, reader);
      const found = lists.flatMap((list): (Mark & { position: number })[] => {
        const item = list.items.find((one) => one.id === id);
        return item ? [{ list, upTo: positionBeforeOldest(list.list), position: item.position }] : [];
      });
      if (found.length === 0) return null;
      // what was there before the reader came counts as read without a mark
      const marks = found.filter(({ list, position }) => position > list.sinceUs);
      return marks.length > 0 && ((await this.#marks.mark(reader, marks)) ?? FAILED);
    });
  }

  /** Marks all notifications in these lists as read. True when that is done, whether one was unread or not. */
  async markAll(groups: readonly string[], reader: Reader): Promise<true | undefined> {
    return this.#bounded('markAllSeen', this.#markMs, async () => {
      const { lists } = await this.#read(groups, reader);
      const marks = lists.flatMap((list): Mark[] => {
        const [newest] = list.items;
        if (!newest) return [];
        const upTo = watermarkUpTo(newest.position, list.list);
        // visible by now, and scheduled before: `upTo` ends before these
        const wereScheduled = list.items.filter(({ position }) => position > upTo);
        return [{ list, upTo }, ...wereScheduled.map(({ position }) => ({ list, upTo, position }))];
      });
      return marks.length === 0 || (await this.#marks.mark(reader, marks)) !== undefined || FAILED;
    });
  }

  /** Tells a change of a subject to all processes that listen. Costs one PUBLISH. */
  tell(subject: string, change: Change): void {
    const channel = changesChannel(this.#namespace, { subject }, this.#target.database);
    const told = this.#target.client.publish(channel, formatChange(change));
    this.#unfinished.track(told);
    told.catch((error: unknown) => this.hooks.fault(redisFault(error)));
  }

  /**
   * Adds what an anonymous visitor has read to what the user has read who has logged in. Reads for this user that come later find it.
   * False: Redis gave no answer, and the call should be repeated; a repeat does no harm.
   */
  async carry(from: string, user: Reader): Promise<boolean> {
    const carry = () => this.#bounded('carry', this.#options.maxWaitMs, () => this.#carry(from, user));
    if (this.#marks.carriesInOrder) return (await carry()) ?? false;
    const carrying = Promise.all([this.#carrying.get(user.subject), carry()]);
    // it ends after those before it: reads wait for it alone
    this.#carrying.set(user.subject, carrying);
    const [, isDone] = await carrying;
    if (this.#carrying.get(user.subject) === carrying) this.#carrying.delete(user.subject);
    return isDone ?? false;
  }

  async #carry(from: string, user: Reader): Promise<true> {
    await this.#availability.ready();
    await this.#marks.carry(from, user);
    return true;
  }

  /** Waits for the calls under way, for `timeoutMs` at most, and closes the connections. */
  async close(timeoutMs: number): Promise<void> {
    await this.#unfinished.settled(timeoutMs);
    this.changes.close();
    this.#marks.close();
    endConnection(this.#target.client);
  }

  async #read(groups: readonly string[], reader: Reader | undefined): Promise<ReaderLists> {
    await this.#availability.ready();
    const { itemKey } = this.#options;
    await itemKey?.settled();
    if (itemKey && !itemKey.isKnown) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_NOT_READY', UNKEYED);
    if (reader && this.#carrying.has(reader.subject)) await this.#carrying.get(reader.subject);
    const [own, ...lists] = await Promise.all([
      reader && this.#readOwn(reader),
      ...groups.map((group) => this.#groups.get(group)),
    ]);
    const nowUs = own?.nowUs ?? Date.now() * 1000 + this.#aheadUs;
    const { earlier } = this.#options;
    const read = groups.map((group, i) => {
      const field = this.#fieldOf(group);
      const state = own?.seen.of(field);
      const sinceUs = earlier === 'read' ? (own?.seen.since ?? 0) : 0;
      return new ReadList(group, field, lists[i] as StoredList, state, sinceUs, nowUs);
    });
    if (own) {
      const field = this.#fieldOf(undefined);
      // what is the reader's alone is unread even if it is from before
      read.push(new ReadList(undefined, field, own.list, own.seen.of(field), 0, nowUs));
    }
    if (own && reader) this.#unfinished.track(this.#marks.raise(reader, read));
    return { nowUs, lists: read };
  }

  /** Reads what a reader has read, and the reader's own list; the user's, where the visitor has logged in meanwhile (`isMoved`). */
  async #readOwn(
    { subject, ttlSeconds }: Reader,
    isMoved = false,
  ): Promise<{ nowUs: number; seen: SeenHash; list: StoredList }> {
    const keys = [seenKey, inboxListKey, goneKey].map((keyOf) => keyOf(this.#namespace, subject));
    const sinceField = this.#options.earlier === 'read' ? SINCE : '';
    const [now, ended, seen, own] = await readScript.run(this.#target.client, [...keys, ttlSeconds * 1000, sinceField]);
    if (isUserSubject(ended) && !isMoved) return this.#readOwn({ subject: ended, ttlSeconds }, true);
    const nowUs = Number(now);
    this.#noteTime(nowUs);
    // A reader whose data have ended or were erased reads as a new one, whose first question this is.
    const isNew = ended !== '' && sinceField !== '';
    return { nowUs, seen: new SeenHash(isNew ? [sinceField, now] : seen), list: parseList(own) };
  }

  /** The result of `work`, undefined where it fails or takes longer than `limitMs` (it goes on then); counts the outcome. */
  async #bounded<T>(method: string, limitMs: number, work: () => Promise<T | typeof FAILED>): Promise<T | undefined> {
    const result = work();
    this.#unfinished.track(result);
    let timeout: LoopTimeout | undefined;
    const late = new Promise<typeof LATE>((resolve) => {
      timeout = new LoopTimeout(() => resolve(LATE), limitMs);
    });
    try {
      const answer = await Promise.race([result, late]);
      if (answer === LATE) this.#unanswered(method, 'timeout');
      else if (answer === FAILED) this.#unanswered(method, 'failed');
      else {
        this.#questions.of(method, 'answered').inc();
        return answer;
      }
    } catch (error) {
      this.#unanswered(method, 'redis');
      const fault = error instanceof IntelligentSessionError ? error : redisFault(error);
      // That Redis is away, or the item key is not known, is told once, by the events `away` and `fault`, and not by each page.
      if (fault.code !== 'ERR_INTELLIGENT_SESSION_NOT_READY') this.hooks.fault(fault);
    } finally {
      timeout?.clear();
    }
    return undefined;
  }

  /** How long a mark may take: `maxWaitMs` rather than `timeoutMs`, since it is to be kept. That is long enough for Redis far away. */
  get #markMs(): number {
    return this.#options.maxWaitMs + (this.#options.durable?.timeoutMs ?? 0);
  }

  #unanswered(method: string, why: NoAnswer): void {
    this.#questions.of(method, why).inc();
    this.hooks.unanswered(method, why);
  }

  #fieldOf(group: string | undefined): string {
    let field = this.#fields.get(group);
    if (field === undefined) {
      field = seenField(group, this.#options.itemKey?.value);
      if (this.#fields.size < MAX_FIELDS) this.#fields.set(group, field);
    }
    return field;
  }

  #noteTime(nowUs: number): void {
    this.#aheadUs = nowUs - Date.now() * 1000;
  }
}

const LATE = Symbol('no answer in time');
const FAILED = Symbol('the data of the reader have ended');
/** So many groups' fields are kept; others are computed each time. */
const MAX_FIELDS = 1_000;
const UNKEYED = 'It is not known by what groups are keyed (option "itemSecret"): the event `fault` says why';
