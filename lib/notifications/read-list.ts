import { isRead, type ReadState } from './read-state.js';
import { scheduledItems, type StoredList, type StoredNotification, visibleItems } from './stored-list.js';

/** One list of notifications at one time, with what its reader has read of it. */
export class ReadList {
  /** What is visible, newest first. */
  readonly items: readonly StoredNotification[];

  constructor(
    /** The group's name; undefined for the reader's own list. */
    readonly group: string | undefined,
    /** The list's field in the hash `seen`. */
    readonly field: string,
    readonly list: StoredList,
    /** What the reader has read; undefined where that is not known. */
    readonly state: ReadState | undefined,
    /** Notifications that were visible before this time count as read; µs since 1970. */
    readonly sinceUs: number,
    nowUs: number,
  ) {
    this.items = visibleItems(list, nowUs);
  }

  isSeen(item: StoredNotification): boolean | undefined {
    return this.state && (item.position <= this.sinceUs || isRead(this.state, item));
  }

  unread(): StoredNotification[] {
    return this.items.filter((item) => this.isSeen(item) === false);
  }

  /** When the next scheduled notification becomes visible, µs since 1970; undefined where there is none. */
  nextUs(nowUs: number): number | undefined {
    return scheduledItems(this.list, nowUs)[0]?.position;
  }

  /** When the next of the visible notifications expires, µs since 1970. */
  expiresUs(): number | undefined {
    const times = this.items.map(({ expires }) => expires);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}

/** The oldest position in a list: earlier notifications were removed. */
export const oldestOf = ({ items }: StoredList): number => items.at(-1)?.position ?? 1;
