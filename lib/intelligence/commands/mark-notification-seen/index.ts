import { checkText } from '../../../options/check-arguments.js';
import { isBit } from '../../command/answers.js';
import type { CommandCaller, ScriptCommand } from '../../command/descriptor.js';

/** Marks a notification as seen (white paper, "Group Notifications"). The payload is its id. */
export const markNotificationSeen = {
  name: 'mark-notification-seen',
  effect: 'writes',
  makes: ['notified'],
  keys: ['notified', 'gone'],
  uses: { notified: 'filter', gone: ['exists'] },
  lua: ['mark-notification-seen.lua'],
  items: 'payload',
  fields: ({ sid, payload }, { bloom, itemKey }) => ({ item: bloom.scriptItem(itemKey(sid, payload)) }),
  cost: ({ length }) => 1 + length / 512,
  isAnswer: isBit,
  methods: {
    /** Marks a notification as seen. Resolves with true when the worker has done it. */
    async markNotificationSeen(this: CommandCaller, id: string): Promise<boolean> {
      checkText('markNotificationSeen', id, 'an id, a text that is not empty');
      return (await this.ask('mark-notification-seen', id)) !== undefined;
    },
  },
  documented: { payload: 'an id', answer: '`1` if it was unread, else `0`' },
} as const satisfies ScriptCommand;
