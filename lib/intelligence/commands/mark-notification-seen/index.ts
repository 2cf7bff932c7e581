import type { BuiltIn } from './command.js';

/** Marks a notification as seen; 1 if it was not; nothing where its session was destroyed. The payload: its id. */
export const markNotificationSeen: BuiltIn = {
  keys: ['notified', 'gone'],
  arguments: (payload, { bloom, itemKey }, { sid }) => [bloom.encode(itemKey(sid, payload))],
};
