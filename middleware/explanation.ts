import type { SessionData } from 'express-session';
import type { Explained, ExplainedKey } from '../lib/intelligence/commands/explain/index.js';
import type { Notification } from '../lib/notifications/notification.js';

/** All that is kept of a visitor or a user. */
export interface Explanation {
  /** Of whom it is: a user, or a visitor who is not logged in. */
  readonly who: 'user' | 'visitor';
  readonly pageViews: number;
  /** Distinct pages, an estimate. Which ones can't be listed: only a known page can be asked about. */
  readonly uniquePages: number;
  readonly notificationsRead: number;
  /** The kept days with a page view: the date (UTC, YYYY-MM-DD), and how many minutes of the day had one. */
  readonly days: readonly { readonly date: string; readonly activeMinutes: number }[];
  /** What your own commands keep, by the names of the keys that they declare (docs/commands.md). */
  readonly ownKeys: readonly ExplainedKey[];
  /** What is kept of published notifications; undefined without the option `notifications`. */
  readonly notifications?: ExplainedNotifications;
  /** Until when all this is kept, if the visitor does not come back. */
  readonly keptUntil: Date;
  /** What the application has stored with the session, or with each session of the user. */
  readonly sessions: readonly Readonly<Record<string, unknown>>[];
  /** The same in a few English sentences. */
  readonly text: string;
}

/** What is kept of the notifications that were published. */
export interface ExplainedNotifications {
  /** Those that were published to this user alone. */
  readonly own: readonly Notification[];
  /** Of which groups something was read: all until `readUntil` (where it is given), and how many `others` that came later. */
  readonly read: readonly { readonly group: string; readonly readUntil: Date | undefined; readonly others: number }[];
}

const DAY_MS = 86_400_000;

export function explanationOf(
  { pageViews, uniquePages, notificationsRead, days: pairs, ownKeys, keptForSeconds }: Explained,
  isUser: boolean,
  sessions: readonly Partial<SessionData>[],
  notifications?: ExplainedNotifications,
): Explanation {
  const days = pairs.map(([day, minutes]) => ({
    date: new Date(day * DAY_MS).toISOString().slice(0, 10),
    activeMinutes: minutes,
  }));
  const keptUntil = new Date(Date.now() + keptForSeconds * 1000);
  const minutes = days.reduce((sum, { activeMinutes }) => sum + activeMinutes, 0);
  const text =
    `${isUser ? 'Of your account' : 'Of this browser'} we have counted ${count(pageViews, 'page view')} of about ` +
    `${count(uniquePages, 'page')}, and ${count(notificationsRead, 'notification')} that you have read. ` +
    `You were here in ${count(minutes, 'minute')} on ${count(days.length, 'day')} of those that we keep` +
    `${days.length > 0 ? ` (${days.map(({ date }) => date).join(', ')})` : ''}. Which pages you have seen can't be listed. ` +
    `${ownKeys.length > 0 ? `We also keep: ${ownKeys.map(textOf).join(', ')}. ` : ''}` +
    `${notifications ? textOfNotifications(notifications) : ''}` +
    `It is kept until ${keptUntil.toISOString().slice(0, 10)}, or longer if you come back. Sessions: ${sessions.length}.`;
  const who = isUser ? 'user' : 'visitor';
  return {
    who,
    pageViews,
    uniquePages,
    notificationsRead,
    days,
    ownKeys,
    ...(notifications && { notifications }),
    keptUntil,
    sessions: sessions.map(dataOf),
    text,
  };
}

function textOfNotifications({ own, read }: ExplainedNotifications): string {
  const groups = read.map(({ group }) => group);
  return (
    (own.length > 0 ? `We keep ${count(own.length, 'notification')} for you alone. ` : '') +
    (groups.length > 0 ? `We keep which notifications you have read of: ${groups.join(', ')}. ` : '')
  );
}

const ITEMS = { string: 'byte', hyperloglog: 'item', set: 'item', zset: 'item', hash: 'field', list: 'item' } as const;
const textOf = ({ name, type, size }: ExplainedKey): string => `${name} (${count(size, ITEMS[type])})`;
const count = (many: number, what: string): string => `${many} ${what}${many === 1 ? '' : 's'}`;

/** What the application has stored, without the session's id, which gives access to it, and without the cookie's settings. */
function dataOf(session: Partial<SessionData>): Record<string, unknown> {
  const { cookie: _, id: _id, ...data } = JSON.parse(JSON.stringify(session)) as Record<string, unknown>;
  return data;
}
