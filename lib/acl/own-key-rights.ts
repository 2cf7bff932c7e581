import { commandKeys } from '../intelligence/keys.js';
import { ownKey } from '../redis/keys.js';
import type { AclScope, RightGroup } from './scope.js';
import { onlyIf, readWrite } from './shared-rights.js';

/** A glob for all keys that an application's commands declare, and for those that a login sets aside, which end in `:aside`. */
export const ownKeys = (namespace: string): string => ownKey(namespace, '*', '*');

/**
 * The rights that this package's scripts need on the keys that an application's commands declare. The commands' own rights are
 * up to the application.
 */
export function ownKeyGroups({ namespace, cluster, commands: ownCommands }: AclScope): RightGroup[] {
  const { own } = commandKeys(namespace, '*');
  // the hash with the names of these keys: forget(), logins and explain() look there even where a process has no such commands
  const hash = { name: 'own', commands: ['hkeys', 'pttl'], keys: readWrite([own]) };
  if (ownCommands.length === 0) return [hash];
  return [
    { ...hash, commands: ['hkeys', 'hmget', 'hset', 'pttl', 'pexpire', 'unlink'] },
    {
      name: 'own-keys',
      commands: [
        // to renew, erase and set aside: own-keys.lua, end.lua, set-aside.lua
        ...['type', 'pttl', 'pexpire', 'rename', 'unlink', 'getrange'],
        // merge.lua
        ...['sunionstore', 'zunionstore', 'pfmerge', 'hgetall', 'hsetnx', 'incrby', 'set', 'hincrby', 'hget', 'hset'],
        // explain-own.lua
        ...['strlen', 'pfcount', 'scard', 'zcard', 'hlen', 'llen', 'sscan', 'hscan', 'zrevrange', 'lrange'],
        // to copy from node to node: set-aside.lua, take-over.lua
        ...onlyIf(cluster, 'exists', 'dump', 'restore', 'get'),
      ],
      keys: readWrite([ownKeys(namespace)]),
    },
  ];
}
