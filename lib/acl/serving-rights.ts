import { commandKeys } from '../intelligence/keys.js';
import { expiredChannel, INVALIDATIONS } from '../redis/channels.js';
import { endedPrefix, formsBeside, sessionKey, userSessionsPrefix } from '../redis/keys.js';
import { readerGroups } from './notifications-rights.js';
import { ownKeys } from './own-key-rights.js';
import type { AclScope, RightGroup } from './scope.js';
import {
  readWrite,
  channelsOf,
  clock,
  connection,
  inboxes,
  itemKey,
  leases,
  literal,
  nodes,
  replyLists,
  SCRIPT,
  since,
  onlyIf,
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
  const userSessions = `${literal(keyPrefix + userSessionsPrefix(prefix))}*`;
  // The first form of formsBeside() is for keys without a brace, the others are for keys with one. In the key of a user's
  // sessions only the client's keyPrefix can have a brace.
  const userEnded = /[{}]/.test(keyPrefix) ? ended(userSessions) : ended(userSessions).slice(0, 1);
  const takeAnswers = replies === 'list' ? ['blpop'] : since(scope, 7, 0) ? ['blmpop'] : ['blpop', 'lpop'];
  return [
    connection(scope),
    ...nodes(scope),
    // readerGroups() has the clock as well
    ...onlyIf(users && !store.has('notifications'), clock),
    {
      name: 'sessions',
      commands: [
        ...['get', 'set', 'exists', 'pttl', 'pexpire', 'unlink', ...SCRIPT],
        ...onlyIf(users, 'getdel'),
        ...onlyIf(!cluster, 'mget'),
      ],
      keys: readWrite([session, ...ended(session)]),
    },
    // the scripts that save sessions and publish are loaded on each new connection; in a Cluster only those of pub/sub
    ...onlyIf(!cluster || transport === 'pubsub', { name: 'loading', commands: ['script|load'] }),
    ...onlyIf(users, {
      name: 'users',
      commands: [
        ...['hgetall', 'hset', 'hdel', 'hkeys', 'pttl', 'pexpire', 'persist', ...SCRIPT],
        ...onlyIf(cluster, 'rpush', 'ltrim', 'lrange'),
        ...onlyIf(store.has('scan'), 'unlink'),
      ],
      keys: readWrite([userSessions, ...(cluster ? userEnded : [])]),
    }),
    ...(store.has('notifications') ? readerGroups(scope) : []),
    ...onlyIf(store.has('item-secret'), itemKey(scope)),
    ...onlyIf(store.has('scan'), { name: 'scan', commands: ['scan'] }),
    ...onlyIf(store.has('near-cache'), {
      name: 'near-cache',
      commands: ['client|id', 'client|tracking', 'subscribe'],
      channels: [INVALIDATIONS],
    }),
    ...onlyIf(store.has('expired-events'), {
      name: 'expired-events',
      commands: ['psubscribe'],
      channels: [expiredChannel(db)],
    }),
    ...(transport === 'stream'
      ? [
          { name: 'adding', commands: SCRIPT, keys: readWrite([streams(scope), leases(scope)]) },
          { name: 'messages', commands: ['xadd', 'xlen', 'memory|usage', 'pexpire'], keys: [`%W~${streams(scope)}`] },
          { name: 'leases', commands: ['get'], keys: [`%R~${leases(scope)}`] },
        ]
      : [{ name: 'messages', commands: ['publish'], channels: channelsOf(scope, '*') }]),
    {
      name: 'answers',
      commands: takeAnswers,
      keys: readWrite(replies === 'inbox' ? [inboxes(scope)] : replyLists(scope)),
    },
    {
      name: 'insight',
      commands: ['pttl', 'pexpire', 'unlink', ...SCRIPT],
      keys: readWrite([...Object.values(insight), ownKeys(namespace)]),
    },
    { name: 'own', commands: ['hkeys'], keys: [`%R~${own}`] },
    { name: 'gone', commands: ['set'], keys: [`%W~${gone}`] },
    ...onlyIf(!cluster, { name: 'role', commands: ['role'] }),
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
