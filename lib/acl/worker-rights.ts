import { descriptors, keptKeys, TEMPORARY_BY_SITE } from '../intelligence/commands.js';
import { commandKeys } from '../intelligence/keys.js';
import { shapeKey, workersKey } from '../redis/keys.js';
import { ownKeyGroups } from './own-key-rights.js';
import { mergeGroups } from './rule.js';
import type { AclScope, RightGroup } from './scope.js';
import {
  readWrite,
  channelsOf,
  clock,
  connection,
  inboxes,
  itemKey,
  leases,
  nodes,
  replyLists,
  SCRIPT,
  onlyIf,
  streams,
} from './shared-rights.js';

/** The commands that the Bloom filter's Lua calls in the commands' scripts, in plain Redis and with RedisBloom. */
const BLOOM = {
  fallback: ['getrange', 'setrange', 'strlen', 'bitfield', 'del', 'type'],
  module: ['bf.reserve', 'bf.add', 'bf.madd', 'bf.exists', 'bf.mexists', 'type', 'getrange'],
};

/** The rights of the built-in commands' scripts, by their descriptors: a group for each key, and one for all filters. */
function insightGroups(scope: AclScope): RightGroup[] {
  const { namespace, server, cluster } = scope;
  const keys: Readonly<Record<string, string>> = commandKeys(namespace, '*');
  const expiry = ['pttl', 'pexpire'];
  // A module without BF.CARD is asked by BF.INFO, and Redis refuses a rule that has a command which it does not know.
  const filter = [
    ...BLOOM[server.bloom],
    ...onlyIf(server.bloom === 'module', server.bloomCard ? 'bf.card' : 'bf.info'),
  ];
  const used: (readonly [name: string, commands: readonly string[]])[] = descriptors.flatMap((command) =>
    Object.entries({ ...command.uses, ...(cluster && command.usesInCluster) }),
  );
  // all keptKeys, since a page view renews the expiry even of those that no command uses
  const groups = [...new Set([...used.map(([name]) => name), ...keptKeys])].map((name) => {
    const uses = used.flatMap(([key, commands]) => (key === name ? commands : []));
    const isKept = (keptKeys as readonly string[]).includes(name);
    return {
      name: uses.includes('filter') ? 'filters' : name,
      commands: [...uses.flatMap((one) => (one === 'filter' ? filter : one)), ...onlyIf(isKept, ...expiry)],
      // in a descriptor's `uses`, a command of Redis that takes two keys has both names, with a space between, as one name in its descriptor
      keys: readWrite(name.split(' ').map((one) => keys[one] as string)),
    };
  });
  return mergeGroups([...groups, ...ownKeyGroups(scope)]);
}

/** The rights of a worker. */
export function workerGroups(scope: AclScope): RightGroup[] {
  const { namespace, transport, bloom, sessionGlob } = scope;
  const stream = transport === 'stream';
  const workers = workersKey(namespace);
  // without a user's own notifications, which a worker does not touch
  const usedKeys = Object.entries(commandKeys(namespace, '*')).filter(([name]) => !TEMPORARY_BY_SITE.includes(name));
  // the sender of a request chooses whether the answer goes to an inbox or to a list
  const answers = [inboxes(scope), ...replyLists(scope)];
  const expiry = ['pttl', 'pexpire'];
  return [
    connection(scope),
    ...nodes(scope),
    clock,
    // a worker that may use RedisBloom asks whether the server has it
    ...onlyIf(bloom !== 'fallback', { name: 'module', commands: ['command|info'] }),
    {
      name: 'scripts',
      commands: SCRIPT,
      keys: readWrite([
        shapeKey(namespace),
        ...usedKeys.map(([, key]) => key),
        ...answers,
        ...onlyIf(stream, streams(scope), leases(scope), workers),
      ]),
    },
    { name: 'shape', commands: ['hset', 'hgetall'], keys: [`~${shapeKey(namespace)}`] },
    itemKey(scope),
    ...insightGroups(scope),
    { name: 'answers', commands: ['rpush', 'ltrim', ...expiry], keys: readWrite(answers) },
    ...(stream
      ? [
          {
            name: 'messages',
            commands: [
              ...['xgroup|create', 'xgroup|delconsumer', 'xreadgroup', 'xack', 'xpending', 'xrange', 'xclaim'],
              ...['xinfo|stream', 'xinfo|groups', 'xinfo|consumers', 'xtrim', 'xlen', 'pexpire'],
            ],
            keys: readWrite([streams(scope)]),
          },
          { name: 'leases', commands: ['get', 'set', 'del', 'pttl'], keys: readWrite([leases(scope)]) },
          {
            name: 'workers',
            commands: ['zadd', 'zrem', 'zremrangebyscore', 'zrange', 'pexpire'],
            keys: readWrite([workers]),
          },
        ]
      : [
          {
            name: 'messages',
            commands: ['psubscribe', 'punsubscribe'],
            channels: channelsOf(scope, sessionGlob),
          },
        ]),
  ];
}
