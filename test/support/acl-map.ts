import type { AclRole, RightGroup } from '../../lib/acl/rights.js';

/** A word of a rule (`+get`, `~sess:*`, `&…`), of a group of a role's rights. */
export interface Right {
  readonly role: AclRole;
  readonly group: string;
  readonly word: string;
}

/** Which scenarios (acl-scenarios.ts) need the rights of a group: each right is the first one's that has it. */
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

/** Rights that another scenario needs than the rest of their group. */
const BY_WORD: Readonly<Record<string, string>> = {
  'serving sessions +exists': 'unanswered',
  'worker gone +pttl': 'stream',
  'serving insight ~shop:ss:{*}:own:*': 'ownKeys',
};

/** The scenarios that may need a right, the likeliest first. */
export function neededBy({ role, group, word }: Right): readonly string[] {
  const special = BY_WORD[`${role} ${group} ${word}`];
  const lists = /^~shop:async:(?!inbox)/.test(word) && role === 'worker';
  return special ? [special] : lists ? ['lists'] : (BY_GROUP[role][group] ?? []);
}

export const wordsOf = ({ commands, keys = [], channels = [] }: RightGroup): string[] => [
  ...commands.map((command) => `+${command}`),
  ...keys,
  ...channels.map((channel) => `&${channel}`),
];

/** A role's rights without one: of a server without selectors, of no group. */
export const without = (groups: readonly RightGroup[], { group, word }: Right, selectors: boolean): RightGroup[] =>
  groups.map((one) => {
    if (selectors && one.name !== group) return one;
    const left = (words: readonly string[] = [], sign = '') =>
      words.filter((each) => plain(sign + each, selectors) !== plain(word, selectors));
    return { ...one, commands: left(one.commands, '+'), keys: left(one.keys), channels: left(one.channels, '&') };
  });

const plain = (word: string, selectors: boolean): string => (selectors ? word : word.replace(/^%[RW]~/, '~'));
