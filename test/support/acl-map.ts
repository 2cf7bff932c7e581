import type { AclRole, RightGroup } from '../../lib/acl/rights.js';

/** One word of a role's ACL rule (`+get`, `~sess:*`, `&…`), and the group of rights that has it. */
export interface Right {
  readonly role: AclRole;
  readonly group: string;
  readonly word: string;
}

/** By role and group: the scenarios (acl-scenarios.ts) that need its rights. The first that has a right fails without it. */
const BY_GROUP: Record<AclRole, Record<string, readonly string[]>> = {
  serving: {
    connection: ['sessions', 'database'],
    cluster: ['clusterSessions'],
    clock: ['users', 'reader'],
    sessions: ['sessions', 'users'],
    loading: ['sessions'],
    users: ['users', 'scan', 'clusterSessions'],
    scan: ['scan'],
    'item-key': ['itemKey', 'clusterItemKey'],
    reading: ['reader', 'clusterReader'],
    seen: ['reader'],
    lists: ['reader'],
    ended: ['reader'],
    read: ['reader', 'database'],
    hearing: ['reader', 'database'],
    durable: ['reader'],
    'near-cache': ['near'],
    'expired-events': ['expired'],
    adding: ['stream'],
    messages: ['pubsub', 'stream', 'database'],
    leases: ['stream'],
    answers: ['pubsub', 'lists'],
    insight: ['pubsub'],
    own: ['pubsub'],
    gone: ['pubsub'],
    role: ['circuit'],
  },
  worker: {
    connection: ['pubsub', 'database'],
    cluster: ['clusterPubSub'],
    clock: ['pubsub'],
    module: ['pubsub'],
    scripts: ['pubsub', 'stream'],
    shape: ['pubsub'],
    'item-key': ['itemKey', 'clusterItemKey'],
    activity: ['pubsub'],
    pages: ['pubsub'],
    'visited-items': ['pubsub'],
    seen: ['pubsub'],
    'notified-items': ['pubsub'],
    filters: ['pubsub'],
    carried: ['pubsub'],
    'pages carried': ['pubsub'],
    merged: ['clusterPubSub'],
    own: ['ownKeys'],
    'own-keys': ['ownKeys', 'clusterOwnKeys'],
    gone: ['pubsub'],
    answers: ['pubsub'],
    messages: ['pubsub', 'stream', 'database'],
    leases: ['stream'],
    workers: ['stream'],
  },
  notifications: {
    connection: ['notifications', 'database'],
    cluster: ['clusterNotifications'],
    clock: ['notifications'],
    lists: ['notifications'],
    shape: ['itemKey', 'clusterItemKey'],
    'item-key': ['itemKey', 'clusterItemKey'],
    changes: ['notifications', 'database'],
    durable: ['notifications'],
  },
  publisher: {
    connection: ['publisher', 'database'],
    messages: ['publisher', 'adder', 'database'],
    leases: ['adder'],
  },
};

/** Rights (role, group and word) that another scenario needs than the rest of their group. */
const BY_WORD: Readonly<Record<string, string>> = {
  'serving sessions +exists': 'unanswered',
  'worker gone +pttl': 'stream',
  'serving insight ~shop:ss:{*}:own:*': 'ownKeys',
};

/** The scenarios that a right may be tried on: the first of them that has it is taken. */
export function neededBy({ role, group, word }: Right): readonly string[] {
  const special = BY_WORD[`${role} ${group} ${word}`];
  if (special) return [special];
  const isReplyList = role === 'worker' && /^~shop:async:(?!inbox)/.test(word);
  return isReplyList ? ['lists'] : (BY_GROUP[role][group] ?? []);
}

/** All words of a group. */
export const wordsOf = ({ commands, keys = [], channels = [] }: RightGroup): string[] => [
  ...commands.map((command) => `+${command}`),
  ...keys,
  ...channels.map((channel) => `&${channel}`),
];

/** A role's rights without one. Without selectors (before Redis 7) all groups are one rule, so none keeps that right. */
export const without = (groups: readonly RightGroup[], { group, word }: Right, hasSelectors: boolean): RightGroup[] =>
  groups.map((one) => {
    if (hasSelectors && one.name !== group) return one;
    const keep = (words: readonly string[] = [], sign = '') =>
      words.filter((each) => inRule(sign + each, hasSelectors) !== inRule(word, hasSelectors));
    return { ...one, commands: keep(one.commands, '+'), keys: keep(one.keys), channels: keep(one.channels, '&') };
  });

/** A word as the server's rule has it. */
const inRule = (word: string, hasSelectors: boolean): string => (hasSelectors ? word : word.replace(/^%[RW]~/, '~'));
