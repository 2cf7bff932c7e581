/**
 * For `node --import`: every connection that the product makes, in this process and in its children, is made as a user that has
 * its role's rights (lib/acl/rights.ts) and no others; what a test connects itself keeps all rights.
 */
import type { Socket } from 'node:net';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { type AclRole, type AclScope, type RightGroup, rightsOf, type ServerFeatures } from '../../lib/acl/rights.js';
import { ruleOf, united } from '../../lib/acl/rule.js';
import { versionOf } from '../../lib/acl/server.js';
import { shardGlob } from '../../lib/transport/pubsub/shard.js';

const PASSWORD = 'a-password-of-the-tests';
/** An embedded worker's connection has the rights of both (docs/security.md). */
type Role = Exclude<AclRole, 'publisher'> | 'embedded';
const ROLES: Record<Role, readonly AclRole[]> = {
  serving: ['serving'],
  worker: ['worker'],
  embedded: ['serving', 'worker'],
};
/** The option travels with `duplicate()`, and from a Cluster to its nodes. */
type Marked = RedisOptions & { aclRole?: Role };
interface Inside {
  options: Marked;
  condition: { auth?: unknown };
  connector: { connect(...args: unknown[]): Promise<Socket> };
}

/** Who makes a connection is told by who calls: undefined for a test. */
function callerOf(): Role | undefined {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 60;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = stackTraceLimit;
  // a Sentinel has users of its own
  if (/SentinelConnector|SentinelWatch\.#connect|\/lib\/acl\//.test(stack)) return undefined;
  if (/\/lib\/serving\/local-executor\./.test(stack)) return 'embedded';
  if (/\/lib\/worker\//.test(stack)) return 'worker';
  return /\/lib\/(serving|session)\//.test(stack) ? 'serving' : undefined;
}

const connect = Redis.prototype.connect;
Redis.prototype.connect = function (this: Redis, ...args) {
  const client = this as unknown as Inside;
  const role = client.options.aclRole ?? callerOf();
  // a test's own user stays
  if (role && !client.options.username && !Object.hasOwn(client.connector, 'connect')) {
    client.options.aclRole = role;
    const open = client.connector.connect.bind(client.connector);
    client.connector.connect = async (...connectArgs) => {
      const stream = await open(...connectArgs);
      const become = async () => {
        if (await becomes(stream, role, client.options)) client.condition.auth = [role, PASSWORD];
      };
      if (stream.connecting) beforeConnected(stream, become);
      else await become();
      return stream;
    };
  }
  return connect.apply(this, args);
};

/** The client hears that it is connected when this is done; its own limits and its closing count meanwhile. */
function beforeConnected(stream: Socket, act: () => Promise<void>): void {
  const emit = stream.emit.bind(stream) as (event: string | symbol, ...args: unknown[]) => boolean;
  stream.emit = ((event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== 'connect') return emit(event, ...args);
    stream.emit = emit as Socket['emit'];
    act().then(
      () => stream.destroyed || emit('connect'),
      (error) => stream.destroy(error),
    );
    return true;
  }) as Socket['emit'];
}

const connectCluster = Cluster.prototype.connect;
Cluster.prototype.connect = function (this: Cluster) {
  const role = callerOf();
  if (role) Object.assign((this.options.redisOptions ??= {}), { aclRole: role });
  return connectCluster.apply(this);
};

/** Servers that have the users, by run_id. */
const ready = new Set<string>();

/** Makes the role's user, on the connection that it is for: false where the server does not let us. */
async function becomes(stream: Socket, role: Role, options: Marked): Promise<boolean> {
  if (stream.destroyed || options.tls) return false;
  const ask = asking(stream);
  try {
    if (options.password) await ask('AUTH', options.password);
    const info = await ask('INFO', 'server');
    const id = `${/run_id:(\w+)/.exec(info)?.[1]} ${role}`;
    if (!ready.has(id)) {
      const module = /name=bf,/.test(await ask('INFO', 'modules'));
      const server: ServerFeatures = {
        version: versionOf(/redis_version:(\S+)/.exec(info)?.[1] ?? ''),
        bloom: module ? 'module' : 'fallback',
        bloomCard: true,
      };
      await ask('ACL', 'SETUSER', role, 'reset', 'on', `>${PASSWORD}`, ...ruleOf(rightsOfSuite(role, server), server));
      ready.add(id);
    }
    return true;
  } catch (error) {
    if (!/^-(NOAUTH|WRONGPASS|LOADING)|closed/.test(String(error))) throw error;
    return false; // as the test wants it
  }
}

/** One command after the other on a plain connection: a reply is a line, or a text of so many bytes. */
const asking =
  (stream: Socket) =>
  async (command: string, ...args: readonly string[]): Promise<string> => {
    const words = [command, ...args];
    const wire = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('');
    stream.write(`*${words.length}\r\n${wire}`);
    let text = '';
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        stream.off('data', hear).off('close', lost).off('error', lost).pause();
        act();
      };
      const lost = () => settle(() => reject(new Error('closed')));
      const hear = (bytes: Buffer) => {
        text += bytes.toString('latin1');
        const [, sign, length] = /^([+$:-])(\d*)[^]*?\r\n/.exec(text) ?? [];
        if (!sign) return;
        const whole = text.indexOf('\r\n') + 2 + (sign === '$' ? Number(length) + 2 : 0);
        if (text.length < whole) return;
        settle(() => (sign === '-' ? reject(new Error(text)) : resolve(text)));
      };
      stream.on('data', hear).on('close', lost).on('error', lost).resume();
    });
  };

/**
 * What the suite's tests name: a user has the rights of all of them. Keys and channels of every namespace are one glob, so
 * that checking them takes no time; patterns that are subscribed to stand as they are.
 */
const suite = {
  namespaces: [
    ...['', 'w:', 'shop:', 'p:', 'once:', 'n:', 'long:', 'far:', 'e:', 'silent:', 'names:', 'flood:', 'embedded:'],
    ...[
      'closed:',
      'by:',
      'backlog:',
      'app1:shop:',
      'app1:',
      'app:',
      'a:',
      'pre:',
      'x',
      'test:',
      'start-kept:',
      'local:',
      'there:',
      'own:',
      'combos:',
      'commands-pubsub:',
      'slow:',
    ],
    ...['pubsub', 'stream'].flatMap((transport) => [
      `${transport}:`,
      ...['inbox', 'list'].map((replies) => `${transport}-${replies}:`),
      `stalled-${transport}:`,
      ...[0, 130].map((ms) => `start-${transport}-${ms}:`),
    ]),
  ],
  prefixes: [
    'sess:',
    'admin:',
    'a[b]*:',
    'contract:',
    'sess:a',
    'sess:a:',
    'sess%3Aa:',
    '%sess%3Aa:',
    'app',
    'app:',
    's:',
    'cart:',
    'long:',
  ],
  keyPrefixes: ['', 'p:', 'app1:', 'app:', 'pre:', '{a}:', '{app}:'],
  databases: [0, 1, 2, 3, 4, 5, 7],
  globs: ['*', 'a', '[A-Za-f]*', '[-g-z0-9_%]*', ...['1/3', '2/3', '3/3'].map(shardGlob)],
  commands: [
    ...['ok', 'slow', 'send-mail', 'price', 'welcome', 'own', 'my-command', 'close', 'odd', 'never', 'hang', 'shout'],
    ...[
      'quick',
      'nothing',
      'nothing-later',
      'no-json',
      'fail',
      'kicked',
      'flooded',
      'no-such-command',
      'null',
      'bigint',
      'stop',
      'echo',
      'checkout',
      'report',
      'leak',
      'forge',
    ],
  ],
};

function rightsOfSuite(role: Role, server: ServerFeatures): RightGroup[] {
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
    store: new Set(['users', 'near-cache', 'expired-events', 'scan']),
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
  return united(all.flatMap((scope) => ROLES[role].flatMap((each) => rightsOf(each, scope))).map(wide));
}

// what this process starts does the same
process.env.NODE_OPTIONS = `--import tsx --import ${import.meta.filename}`;
