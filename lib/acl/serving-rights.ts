import { commandKeys } from '../intelligence/keys.js';
import { expiredChannel, INVALIDATIONS } from '../redis/channels.js';
import { endedPrefix, formsBeside, sessionKey, userSessionsPrefix } from '../redis/keys.js';
import { readerGroups } from './notifications-rights.js';
import { ownKeys } from './own-key-rights.js';
import type { AclScope, RightGroup } from './scope.js';
import {
  all,
  channelsOf,
  clock,
  connection,
  inboxes,
  leases,
  literal,
  nodes,
  replyLists,
  SCRIPT,
  since,
  some,
  streams,
} from './shared-rights.js';

/** The rights of an Express process: those of its store, and those of its `req.intelligence`. */
export function servingGroups(scope: AclScope): RightGroup[] {
  const { namespace, keyPrefix, prefix, transport, cluster, replies, store, db } = scope;
  const users = store.has('users');
  const { gone, ...insight } = commandKeys(namespace, '*');
  const { own } = insight;
  const session = sessionKey(literal(keyPrefix + prefix), '*');
  const ended = (key: string) => formsBeside(literal(endedPrefix(keyPrefix)), key);
  const user = `${literal(keyPrefix + userSessionsPrefix(prefix))}*`;
  // formsBeside() gives a form for keys without a brace first, and then those for keys with one, which makes a hash tag. Of all that stands
  // before a user in this key, only the client's keyPrefix can have a brace
  const usersEnded = /[{}]/.test(keyPrefix) ? ended(user) : ended(user).slice(0, 1);
  const taking = replies === 'list' ? ['blpop'] : since(scope, 7, 0) ? ['blmpop'] : ['blpop', 'lpop'];
  return [
    connection(scope),
    ...nodes(scope),
    ...some(users && !store.has('notifications'), clock),
    {
      name: 'sessions',
      commands: [
        ...['get', 'set', 'exists', 'pttl', 'pexpire', 'unlink', ...SCRIPT],
        ...some(users, 'getdel'),
        ...some(!cluster, 'mget'),
      ],
      keys: all([session, ...ended(session)]),
    },
    // scripts that are called by their hash are loaded on each new connection
    ...some(!cluster || transport === 'pubsub', { name: 'loading', commands: ['script|load'] }),
    ...some(users, {
      name: 'users',
      commands: [
        ...['hgetall', 'hset', 'hdel', 'hkeys', 'pttl', 'pexpire', 'persist', ...SCRIPT],
        ...some(cluster, 'rpush', 'ltrim', 'lrange'),
        ...some(store.has('scan'), 'unlink'),
      ],
      keys: all([user, ...(cluster ? usersEnded : [])]),
    }),
    ...(store.has('notifications') ? readerGroups(scope) : []),
    ...some(store.has('scan'), { name: 'scan', commands: ['scan'] }),
    ...some(store.has('near-cache'), {
      name: 'near-cache',
      commands: ['client|id', 'client|tracking', 'subscribe'],
      channels: [INVALIDATIONS],
    }),
    ...some(store.has('expired-events'), {
      name: 'expired-events',
      commands: ['psubscribe'],
      channels: [expiredChannel(db)],
    }),
    ...(transport === 'stream'
      ? [
          { name: 'adding', commands: SCRIPT, keys: all([streams(scope), leases(scope)]) },
          { name: 'messages', commands: ['xadd', 'xlen', 'memory|usage', 'pexpire'], keys: [`%W~${streams(scope)}`] },
          { name: 'leases', commands: ['exists'], keys: [`%R~${leases(scope)}`] },
        ]
      : [{ name: 'messages', commands: ['publish'], channels: channelsOf(scope, '*') }]),
    {
      name: 'answers',
      commands: taking,
      keys: all(replies === 'inbox' ? [inboxes(scope)] : replyLists(scope)),
    },
    {
      name: 'insight',
      commands: ['pttl', 'pexpire', 'unlink', ...SCRIPT],
      keys: all([...Object.values(insight), ownKeys(namespace)]),
    },
    { name: 'own', commands: ['hkeys'], keys: [`%R~${own}`] },
    { name: 'gone', commands: ['set'], keys: [`%W~${gone}`] },
    ...some(!cluster, { name: 'role', commands: ['role'] }),
  ];
}

/** The rights of a process that only sends messages, without sessions. */
export function publisherGroups(scope: AclScope): RightGroup[] {
  return [
    connection(scope),
    ...nodes(scope),
    ...(scope.transport === 'stream'
      ? [
          // a publisher with the right to PEXPIRE could delete the stream, so the worker sets its expiry
          { name: 'messages', commands: ['xadd', 'xlen', 'memory|usage'], keys: [`%W~${streams(scope)}`] },
          { name: 'leases', commands: ['exists'], keys: [`%R~${leases(scope)}`] },
        ]
      : [{ name: 'messages', commands: ['publish'], channels: channelsOf(scope, '*') }]),
  ];
}
