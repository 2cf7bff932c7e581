import { isRead, type ReadState } from './read-state.js';
import { type StoredList, type StoredNotification, visibleItems } from './stored-list.js';

/** One list of notifications at one time, with what its reader has read of it. */
export class ReadList {
  /** What is visible, newest first. */
  readonly items: readonly StoredNotification[];

  constructor(
    /** The group's name; undefined for the reader's own list. */
    readonly group: string | undefined,
    /** The list's field in the hash `seen`. */
    readonly field: string,
    /** The whole list, with what is not visible. */
    readonly list: StoredList,
    /** What the reader has read; undefined where there is no reader. */
    readonly state: ReadState | undefined,
    /** Notifications up to this position count as read, whatever `state` says; µs since 1970, 0 for none. */
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
}

/** The position of the oldest visible notification; 0 where none is visible. */
export const oldestVisible = ({ items }: ReadList): number => items.at(-1)?.position ?? 0;

/**
 * The highest position up to which all notifications of a list may count as read, now and later, where the reader has read all up to
 * `position`. It is never after the list's `last`: what is published later gets a position after `last`, whatever the clocks of the servers
 * say, but, where a new server's clock is behind, perhaps a position before that of a scheduled notification which is visible by now.
 */
export const watermarkUpTo = (position: number, { last }: StoredList): number => Math.max(0, Math.min(position, last));

/** The highest position before the list's oldest notification: no mark is needed for what is not in the list any more. 0 for an empty list. */
export const positionBeforeOldest = (list: StoredList): number =>
  watermarkUpTo((list.items.at(-1)?.position ?? 1) - 1, list);
