import { inboxListKey, notificationsKey, shapeKey } from '../redis/keys.js';
import { changesChannel } from '../transport/protocol.js';
import type { AclScope, RightGroup } from './scope.js';
import { all, clock, connection, nodes, SCRIPT } from './shared-rights.js';

/** The rights of a process that publishes notifications: on the lists of groups and of users, and on no other data about anybody. */
export function notificationsGroups(scope: AclScope): RightGroup[] {
  const { namespace, db } = scope;
  return [
    connection(scope),
    ...nodes(scope),
    clock,
    {
      name: 'lists',
      commands: ['hget', 'hmget', 'hgetall', 'hset', 'hdel', 'pttl', 'pexpire', ...SCRIPT],
      keys: all([notificationsKey(namespace, '*'), inboxListKey(namespace, '*')]),
    },
    { name: 'shape', commands: ['hmget'], keys: [`%R~${shapeKey(namespace)}`] },
    {
      name: 'changes',
      commands: ['publish'],
      channels: [changesChannel(namespace, { group: '*' }, db), changesChannel(namespace, { subject: '*' }, db)],
    },
    // WAIT is for the option `durable`
    { name: 'durable', commands: ['wait'] },
  ];
}
