import { isRead, type ReadState } from './read-state.js';
import { scheduledItems, type StoredList, type StoredNotification, visibleItems } from './stored-list.js';

/** One list as its reader has it at a time. */
export class ReadList {
  /** What is visible, newest first. */
  readonly items: readonly StoredNotification[];

  constructor(
    /** Undefined: the reader's own. */
    readonly group: string | undefined,
    /** Its field in the hash `seen`. */
    readonly field: string,
    readonly list: StoredList,
    /** Undefined where nobody knows what was read. */
    readonly state: ReadState | undefined,
    /** What was visible before counts as read, µs. */
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

  /** When the next one is to be seen that was planned for later, µs. */
  nextUs(nowUs: number): number | undefined {
    return scheduledItems(this.list, nowUs)[0]?.position;
  }

  /** When the next one of those that are visible expires, µs. */
  expiresUs(): number | undefined {
    const times = this.items.map(({ expires }) => expires);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}

/** The position of the oldest that is visible; 0 where none is. */
export const oldestVisible = ({ items }: ReadList): number => items.at(-1)?.position ?? 0;

/**
 * Up to where all may count as read, where all that a list has up to `position` is. What is published later gets a position behind `last`,
 * whatever the clocks of the servers say; it may be before one that was planned and is visible by now.
 */
export const watermarkUpTo = (position: number, { last }: StoredList): number => Math.max(0, Math.min(position, last));

/** Up to where a list has nothing any more, so that no mark of it is needed. */
export const gonePositions = (list: StoredList): number => watermarkUpTo((list.items.at(-1)?.position ?? 1) - 1, list);
