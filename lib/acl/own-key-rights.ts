import { commandKeys } from '../intelligence/keys.js';
import { ownKey } from '../redis/keys.js';
import type { AclScope, RightGroup } from './scope.js';
import { all, some } from './shared-rights.js';

/** A glob for all keys that an application's commands declare, and for the copies that a login in a Cluster sets aside. */
export const ownKeys = (namespace: string): string => ownKey(namespace, '*', '*');

/** The rights that this package's scripts need on the keys that an application's commands declare. The commands' own rights are up to the application. */
export function ownKeyGroups({ namespace, cluster, commands }: AclScope): RightGroup[] {
  const { own } = commandKeys(namespace, '*');
  const hash = { name: 'own', commands: ['hkeys', 'pttl'], keys: all([own]) };
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
