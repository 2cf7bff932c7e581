import { newerVersion } from '../errors/errors.js';
import { LIST_STATE, type Notification, type NotificationContent } from './notification.js';

/** A notification as its list in Redis has it. */
export interface StoredNotification {
  readonly id: string;
  /** When it became visible, or will: µs since 1970 by Redis' clock. No two notifications of a list have the same position. */
  readonly position: number;
  /** When it expires, in the same unit. */
  readonly expires: number;
  /** What contentOf() gives. A list is kept for many readers, so that each of them needs objects of its own. */
  readonly json: string;
}

/** A list, parsed from the reply of HGETALL. */
export interface StoredList {
  /** The latest position of what was visible when something was last published or made unread again: what is published later gets a later one. */
  readonly last: number;
  /** All notifications in the list, the newest first: also scheduled ones, and expired ones that were not removed yet. */
  readonly items: readonly StoredNotification[];
}

/** `1 <last>`: the version of the format, and the position `last` of a StoredList. */
const STATE = /^1 (\d{1,16})$/;
/** `<position> <expires> <flags> <JSON>`; the flag `e` says that the publisher gave the expiry. */
const ITEM = /^(\d{1,16}) (\d{1,16}) ([a-z-]+) (\{[^]*)$/;

/** Parses fields and values by turns. Throws a coded error for a list of a later version; leaves out a notification that can't be read. */
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

/** Parses the value of one notification's field; undefined where it has another form. */
export function parseItem(id: string, text: string): StoredNotification | undefined {
  const [, position, expires, , json] = ITEM.exec(text) ?? [];
  if (json === undefined) return undefined;
  try {
    JSON.parse(json);
  } catch {
    return undefined;
  }
  return { id, position: Number(position), expires: Number(expires), json };
}

/** The content of a notification, in objects that nobody else has. */
export const contentOf = ({ json }: StoredNotification): NotificationContent => JSON.parse(json);

/**
 * The notifications that readers see at the time `nowUs` of Redis' clock. The notification that was published last is visible even if
 * the clock of a new master is behind that of the master where it was published.
 */
export function visibleItems(list: StoredList, nowUs: number): StoredNotification[] {
  const untilUs = Math.max(nowUs, list.last);
  return list.items.filter(({ position, expires }) => position <= untilUs && expires > nowUs);
}

/** The notifications that become visible later, the next one first. They don't expire before. */
export function scheduledItems(list: StoredList, nowUs: number): StoredNotification[] {
  const untilUs = Math.max(nowUs, list.last);
  return list.items.filter(({ position }) => position > untilUs).reverse();
}

export const toNotification = (item: StoredNotification, group: string | undefined): Notification => ({
  ...contentOf(item),
  id: item.id,
  publishedAt: dateOf(item.position),
  expires: dateOf(item.expires),
  ...(group !== undefined && { group }),
});

const dateOf = (us: number): Date => new Date(Math.floor(us / 1000));
