import type { Command } from './command.js';
import type { Intelligence } from './intelligence.js';

/** Marks a notification as seen; 1 if it was not. */
export const markNotificationSeen =
  (of: Intelligence): Command =>
  ({ payload, keys, ttlSeconds }) =>
    of.markSeen.run(of.redis, [keys.notified, of.bloom.encode(payload), ttlSeconds * 1000]);
