import { argumentError, checkText, optionsOf } from '../lib/options/check-arguments.js';
import { markNotificationSeen } from '../lib/intelligence/commands/mark-notification-seen/index.js';
import {
  type Notification as Named,
  notifications as seenOf,
  type Seen,
} from '../lib/intelligence/commands/notifications/index.js';
import type { Notification } from '../lib/notifications/notification.js';
import type { ReadList } from '../lib/notifications/read-list.js';
import { type StoredNotification, toNotification } from '../lib/notifications/stored-list.js';
import type { ReaderLists } from '../lib/notifications/visitor-notifications.js';
import type { ExplainedNotifications } from './explanation.js';
import { checkGroups } from './notification-groups.js';
import { Intelligence, isFault, type TrackedSession, type Untracked } from './intelligence.js';

/** A notification of a visitor's lists. */
export interface VisitorNotification extends Notification {
  /** When it became visible, µs since 1970 by Redis' clock; within a list no two have the same. `before` takes it. */
  readonly position: number;
  /** Has this visitor read it? Undefined where that is not known. */
  readonly seen: boolean | undefined;
}

/** What is unread. */
export interface UnreadNotifications {
  readonly count: number;
  /** The newest of them, five at most. */
  readonly items: readonly VisitorNotification[];
}

export interface NotificationsPage {
  /**
   * 1 to 1000. Of several lists' notifications that are planned for the same time none is left for the next page, whose
   * `before` would leave it out: then there are more than these. @default 20
   */
  readonly limit?: number | undefined;
  /** Only those before this `position`: that of the last one of the previous page. @default none */
  readonly before?: number | undefined;
}

/** How many notifications notifications() gives where nobody says, and at most. */
const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 1_000;
/** How many notifications unread() gives. */
const UNREAD_ITEMS = 5;
const NEEDED_OPTION = 'option `notifications: { groups }` of intelligentSession()';

/** The methods of `req.intelligence` and `sessions.of()` for published notifications (docs/notifications.md). */
export abstract class NotifiedIntelligence extends Intelligence {
  /** The groups whose notifications this visitor gets. */
  protected abstract groups(): readonly string[];
  /** Whom a mark as read is kept of. */
  protected abstract whoseMarks(): TrackedSession | Untracked | Promise<TrackedSession | Untracked>;

  /**
   * Without an argument, or with a page's `{ limit, before }`: the visitor's notifications, those of all their groups and their
   * own, newest first. One script, and one HGETALL for each list that this process does not keep, in one round trip. Without an
   * answer: none. `seen` is undefined where the visitor is not tracked, or not known.
   *
   * With a list of your own, of ids or of objects with an `id`: each, in the list's order, with `seen`, by a Bloom filter.
   */
  notifications(page?: NotificationsPage): Promise<VisitorNotification[]>;
  notifications<T extends Named>(items: readonly T[]): Promise<Seen<T>[]>;
  async notifications(given?: NotificationsPage | readonly Named[]): Promise<VisitorNotification[] | Seen<Named>[]> {
    if (Array.isArray(given)) return seenOf.methods.notifications.call(this, given);
    const page = optionsOf('notifications', given as NotificationsPage | undefined);
    const { limit = DEFAULT_LIMIT, before = Number.POSITIVE_INFINITY } = page;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
      throw argumentError('notifications', `"limit" to be a whole number from 1 to ${MAX_LIMIT}`, limit);
    if (typeof before !== 'number' || Number.isNaN(before))
      throw argumentError('notifications', '"before" to be the position of a notification', before);
    const read = await this.#read('notifications');
    return read ? itemsOf(read, ({ items }) => items, limit, before) : [];
  }

  /**
   * How many of the visitor's notifications are unread, and the newest five of them. Costs what `notifications()` costs.
   * Degraded, or where nobody knows what this visitor has read: undefined.
   */
  async unread(): Promise<UnreadNotifications | undefined> {
    const read = await this.#read('unread');
    // A reader has at least a list of their own.
    if (!read || read.lists.length === 0 || !read.lists.every(({ state }) => state)) return undefined;
    const count = read.lists.reduce((sum, list) => sum + list.unread().length, 0);
    return { count, items: itemsOf(read, (list) => list.unread(), UNREAD_ITEMS).slice(0, UNREAD_ITEMS) };
  }

  /**
   * Marks a notification as seen. True: it was unread; false: it had been read. An id that no list of the visitor has is one of
   * a list of your own, which a Bloom filter takes (which says false of some that are unread, at its error rate). Degraded:
   * undefined. One script in Redis, by this process, which waits for it for `maxWaitMs`; for a list of your own, one message,
   * as any command.
   */
  async markNotificationSeen(id: string): Promise<boolean | undefined> {
    checkText('markNotificationSeen', id, 'an id, a text that is not empty');
    const { notified } = this.context;
    if (notified) {
      const groups = this.#groups();
      const whose = await this.whoseMarks();
      if (!('subject' in whose)) return this.#notMarked(whose);
      const marked = await notified.mark(id, groups, whose);
      this.degraded ||= marked === undefined;
      if (marked !== null) return marked; // null: no list of the visitor has it
    }
    return markNotificationSeen.methods.markNotificationSeen.call(this, id);
  }

  /**
   * Marks as seen all that the visitor's lists have now. True: done; degraded: undefined. Two scripts in Redis, whatever the
   * number of notifications.
   */
  async markAllSeen(): Promise<true | undefined> {
    const notified = this.#needNotified('markAllSeen');
    const groups = this.#groups();
    const whose = await this.whoseMarks();
    if (!('subject' in whose)) return this.#notMarked(whose);
    const marked = await notified.markAll(groups, whose);
    this.degraded ||= marked === undefined;
    return marked;
  }

  protected override async ownNotifications(): Promise<ExplainedNotifications | undefined> {
    const { notified } = this.context;
    const whose = await this.whose('explain');
    if (!notified || !('subject' in whose)) return undefined;
    const read = await notified.read('explain', this.#groups(), whose);
    if (!read) throw new Error('no answer'); // `notified` has reported why.
    const own = itemsOf(read, (list) => (list.group === undefined ? list.items : []), MAX_LIMIT);
    const groups = read.lists.flatMap(({ group, state }) => {
      if (group === undefined || !state || (state.upTo === 0 && state.positions.size === 0)) return [];
      const readUntil = state.upTo === 0 ? undefined : new Date(Math.floor(state.upTo / 1000));
      return [{ group, readUntil, others: state.positions.size }];
    });
    return { own, read: groups };
  }

  async #read(method: string): Promise<ReaderLists | undefined> {
    const notified = this.#needNotified(method);
    const groups = this.#groups();
    this.countFirst();
    const found = this.whose(method);
    // Without an `await` the read goes with all others of this turn of the event loop.
    const whose = found instanceof Promise ? await found : found;
    const read = await notified.read(method, groups, 'subject' in whose ? whose : undefined);
    this.degraded ||= read === undefined || ('reason' in whose && isFault(whose));
    return read;
  }

  #needNotified(method: string) {
    const { notified } = this.context;
    if (!notified) throw argumentError(method, NEEDED_OPTION, undefined);
    return notified;
  }

  #groups(): readonly string[] {
    return checkGroups(this.groups());
  }

  /** Nothing is marked for this visitor, which is degraded where something is wrong. */
  #notMarked(untracked: Untracked): undefined {
    this.degraded ||= isFault(untracked);
    return undefined;
  }
}

/** The newest `limit` of the chosen notifications of all lists, newest first, and those with the same position as the last of them. */
function itemsOf(
  { lists }: ReaderLists,
  chosen: (list: ReadList) => readonly StoredNotification[],
  limit: number,
  before = Number.POSITIVE_INFINITY,
): VisitorNotification[] {
  const all = lists.flatMap((list) =>
    chosen(list)
      .filter(({ position }) => position < before)
      .map((item) => ({ list, item })),
  );
  all.sort((one, other) => other.item.position - one.item.position);
  const oldest = all[limit - 1]?.item.position ?? 0;
  return all
    .filter(({ item }) => item.position >= oldest)
    .map(({ list, item }) => ({
      ...toNotification(item, list.group),
      position: item.position,
      seen: list.isSeen(item),
    }));
}
