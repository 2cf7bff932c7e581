import { checkText } from '../../../options/check-arguments.js';
import { isBit } from '../../command/answers.js';
import type { CommandCaller, ScriptCommand } from '../../command/descriptor.js';
import { hashingCost, notKeyed } from '../../command/stored-item.js';

/** Marks a notification as seen (white paper, "Group Notifications"). The payload is its id. */
export const markNotificationSeen = {
  name: 'mark-notification-seen',
  effect: 'writes',
  isOwnAct: true,
  makes: ['notified', 'notified-items'],
  keys: ['notified', 'notified-items', 'gone', 'activity'],
  uses: {
    notified: ['filter'],
    'notified-items': ['strlen', 'append'],
    gone: ['get', 'pttl'],
    activity: ['pttl'],
  },
  lua: ['mark-notification-seen.lua'],
  items: 'payload',
  fields({ sid, payload, isAnonymous }, { bloom, items }) {
    const id = items.of(sid, payload);
    return { item: bloom.scriptItem(id), id, isAnonymous };
  },
  cost: (payload) => 1 + hashingCost(payload),
  isAnswer: isBit,
  methods: {
    /**
     * Marks a notification as seen. True: it was unread; false: it had been read (or is taken for read, by a Bloom filter's false true
     * at its error rate). Degraded: undefined. Of a user who is logged in it is kept without consent, too (docs/privacy.md). One message, which is sent again where the connection was lost before it left.
     */
    async markNotificationSeen(this: CommandCaller, id: string): Promise<boolean | undefined> {
      checkText('markNotificationSeen', id, 'an id, a text that is not empty');
      const answer = await this.ask('mark-notification-seen', notKeyed(id));
      return answer === 1 ? true : answer === 0 ? false : undefined;
    },
  },
  documented: { payload: 'an id', answer: '`1` if it was unread, else `0`' },
} as const satisfies ScriptCommand;
