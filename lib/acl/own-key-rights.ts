import { commandKeys } from '../intelligence/keys.js';
import { ownKey } from '../redis/keys.js';
import type { AclScope, RightGroup } from './scope.js';
import { onlyIf, readWrite } from './shared-rights.js';

/** A glob for all keys that an application's commands declare, of all subjects, and for those that a login sets aside: the same name, and `:aside`. */
export const ownKeys = (namespace: string): string => ownKey(namespace, '*', '*');

/** The rights that this package's scripts need on the keys that an application's commands declare. The commands' own rights are up to the application. */
export function ownKeyGroups({ namespace, cluster, commands: ownCommands }: AclScope): RightGroup[] {
  const { own } = commandKeys(namespace, '*');
  // the hash with the names of a subject's keys: forget(), logins and explain() look there, also of processes without such commands
  const hash = { name: 'own', commands: ['hkeys', 'pttl'], keys: readWrite([own]) };
  if (ownCommands.length === 0) return [hash];
  return [
    { ...hash, commands: ['hkeys', 'hmget', 'hset', 'pttl', 'pexpire', 'unlink'] },
    {
      name: 'own-keys',
      commands: [
        // expiry, erasure, and what a login sets aside: own-keys.lua, end.lua, set-aside.lua
        ...['type', 'pttl', 'pexpire', 'rename', 'unlink', 'getrange'],
        // merge.lua
        ...['sunionstore', 'zunionstore', 'pfmerge', 'hgetall', 'hsetnx', 'incrby', 'set', 'hincrby', 'hget', 'hset'],
        // explain-own.lua
        ...['strlen', 'pfcount', 'scard', 'zcard', 'hlen', 'llen', 'sscan', 'hscan', 'zrevrange', 'lrange'],
        // copies between nodes: set-aside.lua, take-over.lua
        ...onlyIf(cluster, 'exists', 'dump', 'restore', 'get'),
      ],
      keys: readWrite([ownKeys(namespace)]),
    },
  ];
}
