/** What the suite's tests name, and the rights for it: users of as-acl-user.ts have those of all tests. */
import { type AclRole, type AclScope, type RightGroup, rightsOf, type ServerFeatures } from '../../lib/acl/rights.js';
import { ownKeys } from '../../lib/acl/own-key-rights.js';
import { mergeGroups } from '../../lib/acl/rule.js';
import { shardGlob } from '../../lib/transport/pubsub/shard.js';

/** An embedded worker's connection has the rights of both (docs/security.md). */
export type Role = Exclude<AclRole, 'publisher'> | 'embedded';
const ROLES: Record<Role, readonly AclRole[]> = {
  serving: ['serving'],
  worker: ['worker'],
  embedded: ['serving', 'worker'],
  notifications: ['notifications'],
};

/**
 * What the suite's tests name: a user has the rights of all of them. Keys and channels of every namespace are one glob, so
 * that checking them takes no time; patterns that are subscribed to stand as they are.
 */
const words = (text: string): string[] => text.trim().split(/\s+/);
const suite = {
  namespaces: [
    '',
    ...words(
      'a: admin: app: app1: app1:shop: backlog: by: carried: clinic: closed: combos: e: embedded: far: first: flood: here: large: lists: local: own-keys:',
    ),
    ...words(
      'long: n: names: nobody: once: outside: own: p: pre: s: second: secrets: shape: shop: silent: slow: stop: test: there: users: v: w: x',
    ),
    ...words('start-kept: start-0: start-130:'),
    ...['pubsub', 'stream'].flatMap((transport) => [
      ...[`${transport}:`, `commands-${transport}:`, `stalled-${transport}:`, `start-order-${transport}:`],
      ...[`${transport}-inbox:`, `${transport}-list:`],
    ]),
  ],
  prefixes: words('sess: admin: a[b]*: contract: sess:a sess:a: sess%3Aa: %sess%3Aa: app app: s: cart: long:'),
  keyPrefixes: ['', ...words('p: app1: app: pre: {a}: {app}:')],
  databases: [0, 1, 2, 3, 4, 5, 7],
  globs: ['*', 'a', '[A-Za-f]*', '[-g-z0-9_%]*', ...['1/3', '2/3', '3/3'].map(shardGlob)],
  commands: [
    ...words(
      'ok slow send-mail price welcome own my-command close odd never hang shout quick nothing nothing-later no-json',
    ),
    ...words(
      'write write-late wish plain bounded whose look fail kicked flooded no-such-command null bigint stop echo checkout report leak forge large broken hangs',
    ),
  ],
};

/** The rights of a role for all that the tests name. */
export function rightsOfSuite(role: Role, server: ServerFeatures): RightGroup[] {
  const one: AclScope = {
    server,
    namespace: '*',
    keyPrefix: '',
    prefix: 'sess:',
    db: 0,
    transport: 'pubsub',
    replies: 'inbox',
    cluster: false,
    sessionGlob: '*',
    commands: suite.commands,
    store: new Set(['users', 'near-cache', 'expired-events', 'scan', 'notifications', 'item-secret']),
    bloom: 'auto',
  };
  // thousands more would hold Redis for seconds
  const literal = [
    ...suite.namespaces.map((namespace) => ({ ...one, namespace })),
    ...['', 'shop:', 'app1:'].flatMap((namespace) => suite.databases.map((db) => ({ ...one, namespace, db }))),
    ...suite.globs.map((sessionGlob) => ({ ...one, namespace: '', sessionGlob })),
  ];
  const all: AclScope[] = [
    one,
    { ...one, cluster: true },
    { ...one, transport: 'stream', replies: 'list' },
    ...suite.databases.map((db) => ({ ...one, db })),
    ...suite.keyPrefixes.flatMap((keyPrefix) =>
      suite.prefixes.map((prefix) => ({ ...one, keyPrefix, prefix, cluster: true })),
    ),
    ...(role === 'serving' ? [] : literal),
  ];
  // the contract suite numbers its stores
  const wide = (group: RightGroup) => ({
    ...group,
    keys: group.keys?.map((key) => key.replaceAll('contract:', 'contract*:')) ?? [],
  });
  const groups = all.flatMap((scope) => ROLES[role].flatMap((each) => rightsOf(each, scope)));
  // what the tests' own commands do with their keys
  const own = {
    name: 'own-keys',
    commands: words('sadd scard hset zadd pfadd incrby set rpush expire multi exec'),
    keys: [`~${ownKeys('*')}`],
  };
  return mergeGroups([...groups, ...(role === 'serving' ? [] : [own])].map(wide));
}
