import type { Store } from 'express-session';
import type { ReaderLists, VisitorNotifications } from '../lib/notifications/visitor-notifications.js';
import { scheduleOf } from '../lib/notifications/list-schedule.js';
import { oldestVisible } from '../lib/notifications/read-list.js';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';
import { Live } from './live.js';
import type { LiveStream, UnreadCount } from './live-counts.js';
import { missingSessions } from './missing-sessions.js';
import { checkGroups } from './notification-groups.js';
import type { RequestContext } from './request-intelligence.js';

/** How long a stream waits for its count: longer than a page would, since many counts may be asked for at a time. */
const COUNT_TIMEOUT_MS = 5_000;

/** Connects `sessions.live()` with the notifications and the store. */
export function openLive(context: RequestContext, notified: VisitorNotifications, store: Store): Live {
  const { changes } = notified;
  const live = new Live({
    context,
    groupsOf: (req) => checkGroups(context.groupsOf(req)),
    readCount: async (stream) => {
      const read = await notified.read('live', stream.groups, readerOf(stream), COUNT_TIMEOUT_MS);
      return read && unreadCountOf(read);
    },
    changes,
    tell: (subject, change) => notified.tell(subject, change),
    missingOf: missingSessions(store),
    save: ({ session }) => {
      if (context.subjects?.saving(session) && store instanceof RedisSessionStore)
        // The store tells a fault. After a conflict (`saveMode: 'reject'`) the visitor's next request makes and saves the fields anew.
        store.set(session.id, session).catch(() => {});
    },
    metrics: notified.metrics,
  });
  let wasLost = false;
  changes.on('lost', () => (wasLost = true));
  changes.on('ready', () => {
    if (wasLost) live.changesMissed();
    else live.changesHeard();
    wasLost = false;
  });
  return live;
}

/** The first read of a stream renews what is kept of its visitor, as a page's does; those after it (ttl 0) renew nothing. */
const readerOf = ({ subject, ttlSeconds, countedAtUs }: LiveStream) => ({
  subject,
  ttlSeconds: countedAtUs === 0 ? ttlSeconds : 0,
});

const unreadCountOf = ({ nowUs, lists }: ReaderLists): UnreadCount => ({
  count: lists.reduce((sum, list) => sum + list.unread().length, 0),
  nowUs,
  lists: lists.map((list) => ({
    lastPosition: list.list.last,
    oldestPosition: oldestVisible(list),
    schedule: scheduleOf(list.list),
  })),
});
