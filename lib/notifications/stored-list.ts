import { newerVersion } from '../errors/errors.js';
import { LIST_STATE, type Notification, type NotificationContent } from './notification.js';

/** A notification as it stands in its list. */
export interface StoredNotification {
  readonly id: string;
  /** When it became visible, or is going to: µs since 1970 by Redis' clock, of which each in a list has another. */
  readonly position: number;
  /** From when on it is gone, in the same unit. */
  readonly expires: number;
  readonly content: NotificationContent;
}

/** A list as a HGETALL gives it, read. */
export interface StoredList {
  /** The last position of what was visible at the last publication: what is published later is behind it. */
  readonly last: number;
  /** All that stands in it, newest first: also what is to be seen later, and what has expired and was not removed yet. */
  readonly items: readonly StoredNotification[];
}

const STATE = /^1 (\d{1,16})$/;
/** `<position> <expires> <flags> <JSON>`; the flag `e` says that the publisher gave the expiry. */
const ITEM = /^(\d{1,16}) (\d{1,16}) ([a-z-]+) (\{[^]*)$/;

/** Reads field and value by turns. A list of a later version is a coded error; a single field that can't be read is left out. */
export function parseList(fields: readonly string[]): StoredList {
  let last = 0;
  const items: StoredNotification[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const [id, text] = [fields[i] as string, fields[i + 1] as string];
    if (id === LIST_STATE) last = parseState(text);
    else {
      const item = parseItem(id, text);
      if (item) items.push(item);
    }
  }
  return { last, items: items.sort((one, other) => other.position - one.position) };
}

function parseState(text: string): number {
  const [, last] = STATE.exec(text) ?? [];
  if (last === undefined) throw newerVersion('A list of notifications');
  return Number(last);
}

/** One field of a list; undefined where it has another form. */
export function parseItem(id: string, text: string): StoredNotification | undefined {
  const [, position, expires, , json] = ITEM.exec(text) ?? [];
  if (json === undefined) return undefined;
  try {
    return { id, position: Number(position), expires: Number(expires), content: JSON.parse(json) };
  } catch {
    return undefined;
  }
}

/**
 * Those that readers see at a time, µs by Redis' clock. What was published last is visible even where the clock of a new master is behind
 * the one by which it was published.
 */
export function visibleItems(list: StoredList, nowUs: number): StoredNotification[] {
  const untilUs = Math.max(nowUs, list.last);
  return list.items.filter(({ position, expires }) => position <= untilUs && expires > nowUs);
}

/** Those whose time is to come, the next one first. */
export function scheduledItems(list: StoredList, nowUs: number): StoredNotification[] {
  const untilUs = Math.max(nowUs, list.last);
  return list.items.filter(({ position }) => position > untilUs).reverse();
}

export const toNotification = (item: StoredNotification, group: string | undefined): Notification => ({
  ...item.content,
  id: item.id,
  publishedAt: dateOf(item.position),
  expires: dateOf(item.expires),
  ...(group !== undefined && { group }),
});

const dateOf = (us: number): Date => new Date(Math.floor(us / 1000));
