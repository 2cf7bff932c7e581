import { builtIn, descriptors, keptKeys } from '../intelligence/commands.js';
import { commandKeys, intelligenceKeys } from '../intelligence/keys.js';
import { expiredChannel, INVALIDATIONS } from '../redis/channels.js';
import { inboxKey, patternOf, replyKey } from '../transport/protocol.js';
import {
  endedPrefix,
  formsBeside,
  leaseKey,
  sessionKey,
  shapeKey,
  streamKey,
  userSessionsPrefix,
  workersKey,
} from '../redis/keys.js';

/** An Express process (store and insight); a worker; what only sends messages, without sessions (WIRE.md). */
export type AclRole = 'serving' | 'worker' | 'publisher';

/** What of the store needs rights of its own. */
export type StoreFeature = 'users' | 'near-cache' | 'expired-events' | 'scan';

/** What a server has: see server.ts. */
export interface ServerFeatures {
  /** major and minor version, as INFO tells it (`redis_version`; Valkey tells 7.2) */
  readonly version: readonly [major: number, minor: number];
  readonly bloom: 'module' | 'fallback';
  /** BF.CARD, since RedisBloom 2.4.4 */
  readonly bloomCard: boolean;
}

/** What the rights depend on. */
export interface AclScope {
  readonly server: ServerFeatures;
  /** with the client's `keyPrefix` before it */
  readonly namespace: string;
  readonly keyPrefix: string;
  /** the store's option */
  readonly prefix: string;
  readonly db: number;
  readonly transport: 'pubsub' | 'stream';
  readonly replies: 'inbox' | 'list';
  readonly cluster: boolean;
  /** of a worker on pub/sub: its patterns stand in the ACL as they are */
  readonly sessionGlob: string;
  /** the application's own commands */
  readonly commands: readonly string[];
  readonly store: ReadonlySet<StoreFeature>;
  /** the worker's option `bloom` */
  readonly bloom: 'auto' | 'module' | 'fallback';
}

/**
 * Commands, and the keys and channels that they are used on. Keys: `~` read and write, `%R~` read, `%W~` write. Where the
 * server has selectors, each group is one.
 */
export interface RightGroup {
  readonly name: string;
  readonly commands: readonly string[];
  readonly keys?: readonly string[];
  readonly channels?: readonly string[];
}

const since = ({ server: { version } }: AclScope, major: number, minor: number): boolean =>
  version[0] > major || (version[0] === major && version[1] >= minor);

/** Some of a list where a condition holds. */
const some = <T>(condition: boolean, ...items: readonly T[]): readonly T[] => (condition ? items : []);

/** A text as a glob that matches it alone. */
const literal = (text: string): string => text.replace(/[*?[\]\\]/g, '\\$&');
const all = (keys: Iterable<string>): string[] => Array.from(keys, (key) => `~${key}`);
const SCRIPT = ['eval', 'evalsha'];

const commandNames = ({ commands }: AclScope): string[] => [...builtIn.keys(), ...commands];
const channelsOf = (scope: AclScope, glob: string): string[] =>
  commandNames(scope).map((command) => patternOf(scope.namespace, command, glob, scope.db));
/** The white paper's lists, one a request. */
const replyLists = (scope: AclScope): string[] =>
  commandNames(scope).map((command) => replyKey(scope.namespace, { command, sid: '*', rid: '*' }));
const inboxes = ({ namespace }: AclScope): string => inboxKey(namespace, '*');
const streams = ({ namespace }: AclScope): string => streamKey(namespace, '*');
const leases = ({ namespace }: AclScope): string => leaseKey(namespace, '*');

/** What every connection asks for itself: is Redis there, loading, a master, alive; who I am. */
const connection = (scope: AclScope): RightGroup => ({
  name: 'connection',
  commands: [
    'ping',
    'info',
    ...some(scope.db !== 0, 'select'),
    // ioredis says who it is; before 7.2 Redis refuses it, and 6.2 notes that as a violation
    ...some(since(scope, 7, 2) || !since(scope, 7, 0), 'client|setinfo'),
  ],
});

const nodes = (scope: AclScope): readonly RightGroup[] =>
  some(scope.cluster, {
    name: 'cluster',
    // ioredis asks replicas, too, where the slots are
    commands: ['cluster|slots', 'cluster|info', 'asking', 'readonly', 'client|setname'],
  });

const clock: RightGroup = { name: 'clock', commands: ['time'] };

function servingGroups(scope: AclScope): RightGroup[] {
  const { namespace, keyPrefix, prefix, transport, cluster, replies, store, db } = scope;
  const users = store.has('users');
  const session = sessionKey(literal(keyPrefix + prefix), '*');
  const ended = (key: string) => formsBeside(literal(endedPrefix(keyPrefix)), key);
  const user = `${literal(keyPrefix + userSessionsPrefix(prefix))}*`;
  // there is no brace in it but the client's own
  const usersEnded = /[{}]/.test(keyPrefix) ? ended(user) : ended(user).slice(0, 1);
  const taking = replies === 'list' ? ['blpop'] : since(scope, 7, 0) ? ['blmpop'] : ['blpop', 'lpop'];
  return [
    connection(scope),
    ...nodes(scope),
    ...some(users, clock),
    {
      name: 'sessions',
      commands: [
        ...['get', 'set', 'exists', 'pttl', 'pexpire', 'unlink', ...SCRIPT],
        ...some(users, 'getdel'),
        ...some(!cluster, 'mget'),
      ],
      keys: all([session, ...ended(session)]),
    },
    // what is sent by its hash is loaded once a connection
    ...some(!cluster || transport === 'pubsub', { name: 'loading', commands: ['script|load'] }),
    ...some(users, {
      name: 'users',
      commands: [
        ...['hgetall', 'hset', 'hdel', 'hkeys', 'pttl', 'pexpire', 'persist', ...SCRIPT],
        ...some(cluster, 'rpush', 'ltrim', 'lrange'),
        ...some(store.has('scan'), 'unlink'),
      ],
      keys: all([user, ...(cluster ? usersEnded : [])]),
    }),
    ...some(store.has('scan'), { name: 'scan', commands: ['scan'] }),
    ...some(store.has('near-cache'), {
      name: 'near-cache',
      commands: ['client|id', 'client|tracking', 'subscribe'],
      channels: [INVALIDATIONS],
    }),
    ...some(store.has('expired-events'), {
      name: 'expired-events',
      commands: ['psubscribe'],
      channels: [expiredChannel(db)],
    }),
    ...(transport === 'stream'
      ? [
          { name: 'adding', commands: SCRIPT, keys: all([streams(scope), leases(scope)]) },
          { name: 'messages', commands: ['xadd', 'xlen', 'memory|usage', 'pexpire'], keys: [`%W~${streams(scope)}`] },
          { name: 'leases', commands: ['exists'], keys: [`%R~${leases(scope)}`] },
        ]
      : [{ name: 'messages', commands: ['publish'], channels: channelsOf(scope, '*') }]),
    {
      name: 'answers',
      commands: taking,
      keys: all(replies === 'inbox' ? [inboxes(scope)] : replyLists(scope)),
    },
    {
      name: 'insight',
      commands: ['pttl', 'pexpire', 'unlink', ...SCRIPT],
      keys: all(Object.values(intelligenceKeys(namespace, '*'))),
    },
    { name: 'gone', commands: ['set'], keys: [`%W~${commandKeys(namespace, '*').gone}`] },
    ...some(!cluster, { name: 'role', commands: ['role'] }),
  ];
}

const BLOOM = {
  fallback: ['getrange', 'setrange', 'strlen', 'bitfield', 'del', 'type'],
  module: ['bf.card', 'bf.reserve', 'bf.add', 'bf.exists', 'bf.mexists', 'type', 'getrange'],
};

/** What the built-in commands' scripts do, by their descriptors: a group each for what is kept, and one for all filters. */
function insightGroups({ namespace, server }: AclScope): RightGroup[] {
  const keys: Readonly<Record<string, string>> = commandKeys(namespace, '*');
  const expiry = ['pttl', 'pexpire'];
  const filter = [...BLOOM[server.bloom], ...some(server.bloom === 'module' && !server.bloomCard, 'bf.info')];
  const used = descriptors.flatMap(({ uses }) => Object.entries(uses));
  const groups = [...new Set(used.map(([name]) => name))].map((name) => {
    const commands = new Set(used.flatMap(([key, how]) => (key !== name ? [] : how === 'filter' ? filter : how)));
    const isKept = (keptKeys as readonly string[]).includes(name);
    const isFilter = used.some(([key, how]) => key === name && how === 'filter');
    return {
      name: isFilter ? 'filters' : name,
      commands: [...commands, ...(isKept ? expiry : [])],
      keys: [`${isKept ? '~' : '%R~'}${keys[name]}`],
    };
  });
  const [filters, others] = [
    groups.filter(({ name }) => name === 'filters'),
    groups.filter(({ name }) => name !== 'filters'),
  ];
  const all = { name: 'filters', commands: filters[0]?.commands ?? [], keys: filters.flatMap((group) => group.keys) };
  return [...others, all];
}

function workerGroups(scope: AclScope): RightGroup[] {
  const { namespace, transport, bloom, sessionGlob } = scope;
  const stream = transport === 'stream';
  const workers = workersKey(namespace);
  // who may send chooses whether the answer goes to an inbox or to a list
  const answers = [inboxes(scope), ...replyLists(scope)];
  const expiry = ['pttl', 'pexpire'];
  return [
    connection(scope),
    ...nodes(scope),
    clock,
    ...some(bloom !== 'fallback', { name: 'module', commands: ['command|info'] }),
    {
      name: 'scripts',
      commands: SCRIPT,
      keys: all([
        shapeKey(namespace),
        ...Object.values(commandKeys(namespace, '*')),
        ...answers,
        ...some(stream, streams(scope), leases(scope), workers),
      ]),
    },
    { name: 'shape', commands: ['hset', 'hgetall'], keys: [`~${shapeKey(namespace)}`] },
    ...insightGroups(scope),
    { name: 'answers', commands: ['rpush', 'ltrim', ...expiry], keys: all(answers) },
    ...(stream
      ? [
          {
            name: 'messages',
            commands: [
              ...['xgroup|create', 'xgroup|delconsumer', 'xreadgroup', 'xack', 'xpending', 'xrange', 'xclaim'],
              ...['xinfo|stream', 'xinfo|groups', 'xinfo|consumers', 'xtrim', 'xlen', 'pexpire'],
            ],
            keys: all([streams(scope)]),
          },
          { name: 'leases', commands: ['get', 'set', 'del'], keys: all([leases(scope)]) },
          {
            name: 'workers',
            commands: ['zadd', 'zrem', 'zremrangebyscore', 'zrange', 'pexpire'],
            keys: all([workers]),
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

function publisherGroups(scope: AclScope): RightGroup[] {
  return [
    connection(scope),
    ...nodes(scope),
    ...(scope.transport === 'stream'
      ? [
          // the worker sets the stream's expiry: a publisher could end it with that right
          { name: 'messages', commands: ['xadd', 'xlen', 'memory|usage'], keys: [`%W~${streams(scope)}`] },
          { name: 'leases', commands: ['exists'], keys: [`%R~${leases(scope)}`] },
        ]
      : [{ name: 'messages', commands: ['publish'], channels: channelsOf(scope, '*') }]),
  ];
}

const groupsOf = { serving: servingGroups, worker: workerGroups, publisher: publisherGroups };

/** All that a role needs, and nothing else. */
export const rightsOf = (role: AclRole, scope: AclScope): RightGroup[] => groupsOf[role](scope);
