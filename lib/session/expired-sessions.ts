import { expiredChannel } from '../redis/channels.js';
import { Subscriber } from '../redis/subscriber.js';
import type { RedisTarget } from '../redis/target.js';
import { throwingAsThrown } from './application-functions.js';
import type { SessionKeys } from './session-keys.js';
import type { StoreEvents } from './store-events.js';

/**
 * Emits `ended` and `expired` when a keyspace notification of Redis says that a session has expired. The notifications come
 * over a connection of their own, which the caller closes. The record, which would name another subject (`__subject`), is gone
 * by then, and this process' memory of it would not do: another session may go on with that subject. So the id is told.
 */
export function watchExpiredSessions(target: RedisTarget, keys: SessionKeys, events: StoreEvents): Subscriber {
  const subscriber = new Subscriber(target, [expiredChannel(target.database)]);
  subscriber.on('message', (_channel, key: string) => {
    if (!keys.isSession(key)) return;
    const sid = keys.sidOf(key);
    // what a listener throws goes on unwrapped
    throwingAsThrown(() => {
      try {
        events.ended(sid, sid);
      } finally {
        events.sessionEvent('expired', sid);
      }
    });
  });
  subscriber.on('fault', (error) => events.fault(error));
  return subscriber;
}
