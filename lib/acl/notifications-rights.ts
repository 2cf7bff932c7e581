import { goneKey, inboxListKey, notificationsKey, seenKey, shapeKey } from '../redis/keys.js';
import { changesChannel } from '../transport/protocol.js';
import type { AclScope, RightGroup } from './scope.js';
import { readWrite, clock, connection, itemKey, nodes, SCRIPT } from './shared-rights.js';

/** The rights of a process that publishes notifications: on the lists of groups and users, and on no other data of people. */
export function notificationsGroups(scope: AclScope): RightGroup[] {
  const { namespace } = scope;
  return [
    connection(scope),
    ...nodes(scope),
    clock,
    {
      name: 'lists',
      commands: ['hget', 'hmget', 'hgetall', 'hset', 'hdel', 'pttl', 'pexpire', ...SCRIPT],
      keys: readWrite([notificationsKey(namespace, '*'), inboxListKey(namespace, '*')]),
    },
    itemKey(scope),
    // a process with the option `itemSecret` asks whether the site has run without it
    { name: 'shape', commands: ['hget'], keys: [`%R~${shapeKey(namespace)}`] },
    { name: 'changes', commands: ['publish'], channels: [...ofLists(scope), ...ofSubjects(scope)] },
    // for the option `durable`
    { name: 'durable', commands: ['wait'] },
  ];
}

/** The further rights of a serving process whose visitors read notifications. */
export function readerGroups(scope: AclScope): RightGroup[] {
  const { namespace } = scope;
  const [seen, inbox, gone] = [seenKey, inboxListKey, goneKey].map((keyOf) => keyOf(namespace, '*')) as [
    string,
    string,
    string,
  ];
  const lists = notificationsKey(namespace, '*');
  return [
    clock,
    { name: 'reading', commands: SCRIPT, keys: readWrite([seen, inbox, gone, lists]) },
    // the group `insight` of serving-rights.ts has the right to renew its expiry
    { name: 'seen', commands: ['hgetall', 'hget', 'hset', 'hsetnx', 'hdel'], keys: readWrite([seen]) },
    { name: 'lists', commands: ['hgetall'], keys: [`%R~${inbox}`, `%R~${lists}`] },
    { name: 'ended', commands: ['get'], keys: [`%R~${gone}`] },
    { name: 'read', commands: ['publish'], channels: ofSubjects(scope) },
    { name: 'hearing', commands: ['subscribe', 'unsubscribe'], channels: [...ofLists(scope), ...ofSubjects(scope)] },
    // for the option `durable`
    { name: 'durable', commands: ['wait'] },
  ];
}

const ofLists = ({ namespace, db }: AclScope) => [changesChannel(namespace, { group: '*' }, db)];
const ofSubjects = ({ namespace, db }: AclScope) => [changesChannel(namespace, { subject: '*' }, db)];
