/** The rights of the users of as-acl-user.ts: under them any test of the suite runs, so they name what any test names. */
import { type AclRole, type AclScope, type RightGroup, rightsOf, type ServerFeatures } from '../../lib/acl/rights.js';
import { ownKeys } from '../../lib/acl/own-key-rights.js';
import { mergeGroups } from '../../lib/acl/rule.js';
import { shardGlob } from '../../lib/transport/pubsub/shard.js';

/** The connection of a site with an embedded worker has the rights of `serving` and `worker` (docs/security.md). */
export type Role = Exclude<AclRole, 'publisher'> | 'embedded';
const ROLES: Record<Role, readonly AclRole[]> = {
  serving: ['serving'],
  worker: ['worker'],
  embedded: ['serving', 'worker'],
  notifications: ['notifications'],
};

const words = (text: string): string[] => text.trim().split(/\s+/);
/**
 * What the suite's tests name. Keys and channels of every namespace are one glob, so that checking them takes no time; but
 * Redis allows PSUBSCRIBE only of patterns that stand in the rule as they are.
 */
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

/** The rights of a role on all that the tests name. */
export function rightsOfSuite(role: Role, server: ServerFeatures): RightGroup[] {
  const base: AclScope = {
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
  // for the patterns; not of every namespace with every database and glob, since thousands more would hold Redis for seconds
  const literalScopes = [
    ...suite.namespaces.map((namespace) => ({ ...base, namespace })),
    ...['', 'shop:', 'app1:'].flatMap((namespace) => suite.databases.map((db) => ({ ...base, namespace, db }))),
    ...suite.globs.map((sessionGlob) => ({ ...base, namespace: '', sessionGlob })),
  ];
  const scopes: AclScope[] = [
    base,
    { ...base, cluster: true },
    { ...base, transport: 'stream', replies: 'list' },
    ...suite.databases.map((db) => ({ ...base, db })),
    ...suite.keyPrefixes.flatMap((keyPrefix) =>
      suite.prefixes.map((prefix) => ({ ...base, keyPrefix, prefix, cluster: true })),
    ),
    ...(role === 'serving' ? [] : literalScopes),
  ];
  // the contract suite numbers its stores: contract1:, contract2:, …
  const withNumbers = (group: RightGroup) => ({
    ...group,
    keys: group.keys?.map((key) => key.replaceAll('contract:', 'contract*:')) ?? [],
  });
  const groups = scopes.flatMap((scope) => ROLES[role].flatMap((each) => rightsOf(each, scope)));
  // what the tests' own commands do with their keys
  const ofTestCommands = {
    name: 'own-keys',
    commands: words('sadd scard hset zadd pfadd incrby set rpush expire multi exec'),
    keys: [`~${ownKeys('*')}`],
  };
  return mergeGroups([...groups, ...(role === 'serving' ? [] : [ofTestCommands])].map(withNumbers));
}
