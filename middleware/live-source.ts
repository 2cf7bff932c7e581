import type { Store } from 'express-session';
import type { ReaderLists, VisitorNotifications } from '../lib/notifications/visitor-notifications.js';
import { oldestVisible } from '../lib/notifications/read-list.js';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';
import { Live } from './live.js';
import type { LiveStream, UnreadCount } from './live-counts.js';
import { missingSessions } from './missing-sessions.js';
import { checkGroups } from './notification-groups.js';
import type { RequestContext } from './request-intelligence.js';

/** No page waits for a count, and many may be asked for at a time. */
const COUNT_TIMEOUT_MS = 5_000;

/** Puts together what `sessions.live()` is. */
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
        store.set(session.id, session).catch(() => {}); // The store has told it.
    },
    metrics: notified.metrics,
  });
  let isMissing = false;
  changes.on('lost', () => (isMissing = true));
  changes.on('ready', () => {
    if (isMissing) live.changesMissed();
    else live.changesHeard();
    isMissing = false;
  });
  return live;
}

/** To open a stream is to ask as a page does; what follows renews nothing. */
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
    nextVisibleAtUs: list.nextVisibleAtUs(nowUs),
    nextExpiresAtUs: list.nextExpiresAtUs(),
  })),
});
