import { commandKeys } from '../intelligence/keys.js';
import { ownKey } from '../redis/keys.js';
import type { AclScope, RightGroup } from './scope.js';
import { all, some } from './shared-rights.js';

/** All keys that commands of an application declare, and what a login in a Cluster sets aside of them. */
export const ownKeys = (namespace: string): string => ownKey(namespace, '*', '*');

/** What our own scripts do with the keys that an application's commands declare. What the commands do is the application's affair. */
export function ownKeyGroups({ namespace, cluster, commands }: AclScope): RightGroup[] {
  const { own } = commandKeys(namespace, '*');
  const hash = { name: 'own', commands: ['hkeys'], keys: all([own]) };
  if (commands.length === 0) return [hash];
  return [
    { ...hash, commands: ['hkeys', 'hmget', 'hset', 'pttl', 'pexpire', 'unlink'] },
    {
      name: 'own-keys',
      commands: [
        ...['type', 'pttl', 'pexpire', 'rename', 'unlink', 'getrange'],
        ...['sunionstore', 'zunionstore', 'pfmerge', 'hgetall', 'hsetnx', 'incrby', 'set', 'hincrby', 'hget', 'hset'],
        ...['strlen', 'pfcount', 'scard', 'zcard', 'hlen', 'llen', 'sscan', 'hscan', 'zrevrange', 'lrange'],
        ...some(cluster, 'exists', 'dump', 'restore', 'get'),
      ],
      keys: all([ownKeys(namespace)]),
    },
  ];
}
