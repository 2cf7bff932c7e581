import { IntelligentSessionError } from '../../../errors/errors.js';
import { isBit } from '../../command/answers.js';
import type { CarryCommand } from '../../command/descriptor.js';
import { isUserSubject } from '../../command/subject.js';

const NOT_CARRIED = 'what is kept of an anonymous visitor is carried to a user';

/**
 * Carries the data about an anonymous visitor over to the user who has logged in. The message's session id is the user's subject, its
 * payload the anonymous subject. A repeat does no harm: after the first time there is nothing left to carry.
 */
export const carry = {
  name: 'carry',
  effect: 'writes',
  makes: [],
  temporary: ['carried', 'merged'],
  keys: [
    ...['activity', 'pages', 'visited', 'visited-items', 'notified', 'notified-items'],
    ...['seen', 'carried', 'merged', 'gone'],
  ],
  uses: {
    carried: ['hmget', 'hset', 'pexpire', 'set', 'exists', 'unlink'],
    'pages carried': ['pfmerge'],
    gone: ['get', 'set', 'pttl'],
    activity: ['get', 'set', 'unlink'],
    pages: ['get', 'set', 'exists', 'pfadd', 'pfcount', 'unlink'],
    visited: ['filter', 'unlink'],
    'visited-items': ['get', 'unlink'],
    notified: ['filter', 'exists', 'unlink'],
    'notified-items': ['get', 'unlink'],
  },
  usesInCluster: { merged: ['zscore', 'zadd', 'zremrangebyscore', 'pttl', 'pexpire'] },
  lua: ['set-aside.lua', 'join-activity.lua', 'take-over.lua'],
  items: 'none',
  from(user, anonymous) {
    if (isUserSubject(user) && !isUserSubject(anonymous)) return anonymous;
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NOT_CARRIED);
  },
  /** A login adds up to 128 pages and 128 notifications to the user's filters (MAX_CARRIED of prelude.lua). */
  cost: () => 8,
  isAnswer: isBit,
  methods: {},
  documented: {
    payload: 'the subject of an anonymous visitor, encoded as in a channel; the message is a user’s',
    answer: '`1` if something was carried, else `0`',
  },
} as const satisfies CarryCommand;
