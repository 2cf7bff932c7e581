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

/** The features of the store that need further rights. */
export type StoreFeature = 'users' | 'near-cache' | 'expired-events' | 'scan';

/** The features of a server, which server.ts asks for. */
export interface ServerFeatures {
  /** Major and minor version as INFO gives them in `redis_version`; Valkey says 7.2. */
  readonly version: readonly [major: number, minor: number];
  readonly bloom: 'module' | 'fallback';
  /** BF.CARD, since RedisBloom 2.4.4 */
  readonly bloomCard: boolean;
}

/** All that the rights depend on. */
export interface AclScope {
  readonly server: ServerFeatures;
  /** The client's `keyPrefix` and the namespace. */
  readonly namespace: string;
  readonly keyPrefix: string;
  /** The store's option `prefix`. */
  readonly prefix: string;
  readonly db: number;
  readonly transport: 'pubsub' | 'stream';
  readonly replies: 'inbox' | 'list';
  readonly cluster: boolean;
  /** A worker's on pub/sub: an ACL has to name its patterns as they are. */
  readonly sessionGlob: string;
  /** The application's own commands. */
  readonly commands: readonly string[];
  readonly store: ReadonlySet<StoreFeature>;
  /** The worker's option `bloom`. */
  readonly bloom: 'auto' | 'module' | 'fallback';
}

/**
 * Commands, and the keys and channels that they may be used on. `~` before a key means read and write, `%R~` read, `%W~` write.
 * Where the server has selectors, each group is one.
 */
export interface RightGroup {
  readonly name: string;
  readonly commands: readonly string[];
  readonly keys?: readonly string[];
  readonly channels?: readonly string[];
}

const since = ({ server: { version } }: AclScope, major: number, minor: number): boolean =>
  version[0] > major || (version[0] === major && version[1] >= minor);

/** Items for a list where a condition holds, and none otherwise. */
const some = <T>(condition: boolean, ...items: readonly T[]): readonly T[] => (condition ? items : []);

/** Escapes a text for a glob, so that it matches itself only. */
const literal = (text: string): string => text.replace(/[*?[\]\\]/g, '\\$&');
const all = (keys: Iterable<string>): string[] => Array.from(keys, (key) => `~${key}`);
const SCRIPT = ['eval', 'evalsha'];

const commandNames = ({ commands }: AclScope): string[] => [...builtIn.keys(), ...commands];
const channelsOf = (scope: AclScope, glob: string): string[] =>
  commandNames(scope).map((command) => patternOf(scope.namespace, command, glob, scope.db));
/** The white paper's reply lists, one for each request. */
const replyLists = (scope: AclScope): string[] =>
  commandNames(scope).map((command) =>
    replyKey(scope.namespace, { command, sid: '*', rid: '*', request: { id: '*' } }),
  );
const inboxes = ({ namespace }: AclScope): string => inboxKey(namespace, '*');
const streams = ({ namespace }: AclScope): string => streamKey(namespace, '*');
const leases = ({ namespace }: AclScope): string => leaseKey(namespace, '*');

/** What every connection sends for itself: the handshake, the ready check, and PINGs. */
const connection = (scope: AclScope): RightGroup => ({
  name: 'connection',
  commands: [
    'ping',
    'info',
    ...some(scope.db !== 0, 'select'),
    // ioredis sends its name and version. Redis before 7.2 refuses that, and 6.2 logs the refusal as a violation.
    ...some(since(scope, 7, 2) || !since(scope, 7, 0), 'client|setinfo'),
  ],
});

const nodes = (scope: AclScope): readonly RightGroup[] =>
  some(scope.cluster, {
    name: 'cluster',
    // ioredis also asks replicas for the slots
    commands: ['cluster|slots', 'cluster|info', 'asking', 'readonly', 'client|setname'],
  });

const clock: RightGroup = { name: 'clock', commands: ['time'] };

function servingGroups(scope: AclScope): RightGroup[] {
  const { namespace, keyPrefix, prefix, transport, cluster, replies, store, db } = scope;
  const users = store.has('users');
  const session = sessionKey(literal(keyPrefix + prefix), '*');
  const ended = (key: string) => formsBeside(literal(endedPrefix(keyPrefix)), key);
  const user = `${literal(keyPrefix + userSessionsPrefix(prefix))}*`;
  // only the client's keyPrefix can have a brace here
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
    // scripts that are sent by their hash are loaded at each new connection
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

/** What the built-in commands' scripts use, as their descriptors say: a group for each key, and one for all filters. */
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
  // the sender of a request chooses whether the answer goes to an inbox or to a list
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
          // a publisher with the right to PEXPIRE could delete the stream, so the worker sets its expiry
          { name: 'messages', commands: ['xadd', 'xlen', 'memory|usage'], keys: [`%W~${streams(scope)}`] },
          { name: 'leases', commands: ['exists'], keys: [`%R~${leases(scope)}`] },
        ]
      : [{ name: 'messages', commands: ['publish'], channels: channelsOf(scope, '*') }]),
  ];
}

const groupsOf = { serving: servingGroups, worker: workerGroups, publisher: publisherGroups };

/** The rights that a role needs, and no others. */
export const rightsOf = (role: AclRole, scope: AclScope): RightGroup[] => groupsOf[role](scope);
