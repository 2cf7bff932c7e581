import type { BuiltIn } from './command.js';

/** Marks a notification as seen; 1 if it was not. The payload: its id. */
export const markNotificationSeen: BuiltIn = {
  keys: ['notified'],
  arguments: (payload, { bloom }) => [bloom.encode(payload)],
};
