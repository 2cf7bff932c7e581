import * as v from 'valibot';
import { Cluster, type ClusterOptions, type Redis, type RedisOptions } from 'ioredis';
import { kindOf, namespace as namespaceSchema } from '../check-options.js';
import { OptionError } from '../errors.js';
import type { NodeRedisClient, RedisClient, RedisOption } from './connect.js';

/** What a caller's client may have set for itself, and a connection of ours must not have: ARCHITECTURE.md, "Connections". */
export const notTakenOver = {
  // a replica lags behind, and refuses what is written
  role: 'master',
  readOnly: false,
  monitor: false,
  // replies in the form that is read here
  replyMapping: 'legacy',
  // a script may have the name of a command
  scripts: undefined,
  himportFieldsets: undefined,
  // a stack for every command
  showFriendlyErrorStack: false,
  // one that gives up would end the connection for good
  sentinelRetryStrategy: (times: number) => Math.min(times * 10, 250),
} as const satisfies RedisOptions;

/** The same of a Cluster's own options. */
export const notTakenOverOfCluster = {
  scaleReads: 'master',
  scripts: undefined,
  showFriendlyErrorStack: false,
  shardedSubscribers: false,
  keyPrefix: '',
  enableAutoPipelining: false,
  lazyConnect: false,
} as const satisfies ClusterOptions;

// By their looks: a caller's ioredis may be another copy, or another version, of ours.
export const isCluster = (redis: unknown): redis is Cluster =>
  typeof redis === 'object' &&
  redis !== null &&
  ((redis as Cluster).isCluster === true || nodeRedisCluster(redis) !== undefined);
export const isClient = (redis: object): redis is Redis =>
  'status' in redis && typeof (redis as Redis).duplicate === 'function' && typeof (redis as Redis).options === 'object';
export const isNodeRedis = (redis: object): redis is NodeRedisClient => 'isOpen' in redis;

/** A socket in the file system: ioredis' form, or unix://. */
export const isPath = (text: string): boolean => /^(unix:\/\/)?\//.test(text);

const KINDS =
  "a URL as redis://127.0.0.1:6379 (rediss:// with TLS), a socket's path, ioredis' options ({ host, port }), or a client of " +
  'ioredis or node-redis';

/** An OptionError where this says nothing of where Redis is. */
export function checkRedis(redis: unknown, of: string, name = 'redis'): asserts redis is RedisOption {
  const option = `${of}: option "${name}"`;
  if (typeof redis === 'string') {
    const from = redis === process.env.REDIS_URL ? `${option} (REDIS_URL)` : option;
    if (!isPath(redis)) checkDatabase(decodeURIComponent(checkedUrl(redis, from).pathname.slice(1)) || 0, from);
  } else if (typeof redis === 'number')
    throw new OptionError(`${option} should be ${KINDS}; got a number: a port alone is { port: ${redis} }`);
  else if (typeof redis !== 'object' || redis === null || redis instanceof Promise || Array.isArray(redis))
    throw new OptionError(`${option} should be ${KINDS}; got ${kindOf(redis)}`);
  else if (isMock(redis))
    throw new OptionError(
      `${option} is a client without a connection of its own (ioredis-mock?). Connections are made anew to the same place, so ` +
        'in tests, too, there has to be a Redis: start one on a free port',
    );
  else if (!isNodeRedis(redis) && !isClient(redis) && !isCluster(redis) && !isOptions(redis))
    throw new OptionError(`${option} should be ${KINDS}; got an object that is none of them`);
  else if (!isNodeRedis(redis) && !isClient(redis) && !isCluster(redis)) checkDatabase(redis.db ?? 0, option);
}

/** ioredis would send another name than a number, and end the process when it is refused. */
function checkDatabase(db: unknown, option: string): void {
  if (!/^\d{1,9}$/.test(String(db)))
    throw new OptionError(`${option}: a database has a number (redis://127.0.0.1:6379/1), and no name`);
}

/** It acts as a client and has none of what makes a connection. */
const isMock = (redis: object): boolean =>
  !isCluster(redis) &&
  !isNodeRedis(redis) &&
  typeof (redis as Redis).duplicate === 'function' &&
  !('connector' in redis);

const isOptions = (redis: object): redis is RedisOptions =>
  ['host', 'port', 'path', 'sentinels', 'db', 'username', 'password', 'tls'].some((key) => key in redis);

/** A URL as it stands, or an OptionError without it: Node's error would carry the password into logs. */
export function checkedUrl(text: string, option = 'option "redis"'): URL {
  if (!/^rediss?:\/\//.test(text))
    throw new OptionError(`${option} should be ${KINDS}; got ${text === '' ? 'an empty text' : 'a text that is none'}`);
  try {
    const url = new URL(text);
    decodeURIComponent(url.username + url.password);
    // a password with / or # or ? in it ends the host there: its beginning would be looked up, and told, as a host or a port
    if (!/^\/?\d*$/.test(url.pathname) || /@/.test(url.hash + [...url.searchParams.keys()].join('')))
      throw new TypeError('another form');
    return url;
  } catch {
    throw new OptionError(
      `${option} can't be read as a URL of the form redis://user:password@host:port/database: a password with other characters than letters and digits goes through ` +
        `encodeURIComponent(), or into ioredis' option "password"`,
    );
  }
}

/** What stands before every key of a caller's client: keys are named in whole here. */
export function keyPrefixOf(redis: RedisOption): string {
  const prefix = givenKeyPrefix(redis) ?? '';
  if (typeof prefix === 'string') return prefix;
  throw new OptionError('option "keyPrefix" of the Redis client should be a text');
}

function givenKeyPrefix(redis: RedisOption): unknown {
  if (typeof redis === 'string') return URL.canParse(redis) ? new URL(redis).searchParams.get('keyPrefix') : undefined;
  if (typeof redis !== 'object' || redis === null || isNodeRedis(redis)) return undefined;
  return (isClient(redis) || isCluster(redis) ? redis.options : redis).keyPrefix;
}

/** What stands before every channel and key: the client's `keyPrefix`, then the namespace. */
export function namespaceOf(redis: RedisOption, namespace: string): string {
  const keyPrefix = keyPrefixOf(redis);
  if (v.is(namespaceSchema, keyPrefix + namespace)) return keyPrefix + namespace;
  throw new OptionError(
    'option "keyPrefix" of the Redis client stands before channels, too: with the namespace it should be at most 64 of A-Z a-z 0-9 _ . : -',
  );
}

/** The database of a connection of ours; a Cluster has one only. */
export const databaseOf = (client: RedisClient): number =>
  client instanceof Cluster ? 0 : Number(client.options.db ?? 0);

/** A URL without the options of ours in its query, which ioredis would let win; how long to wait is the caller's to say. */
export function ofUrlWithout(url: string, ours: RedisOptions): string {
  if (!url.includes('?') || !URL.canParse(url)) return url;
  const parsed = new URL(url);
  for (const name of Object.keys(ours)) if (!name.endsWith('Timeout')) parsed.searchParams.delete(name);
  return parsed.href;
}

/** The options that a client was made with, and the database that it is in by now: `select()` may have changed it. */
export function ofClient(client: Redis): RedisOptions {
  const { condition, prevCondition } = client as unknown as Record<string, { select?: number } | null | undefined>;
  // while it connects anew, the one before says where it goes back to
  return { ...client.options, db: (prevCondition ?? condition)?.select ?? client.options.db ?? 0 };
}

interface NodeRedisOptions {
  readonly url?: string;
  readonly socket?: {
    host?: string;
    port?: number;
    path?: string;
    tls?: boolean;
    family?: number;
    connectTimeout?: number;
  };
  readonly commandOptions?: { readonly timeout?: number };
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
  readonly name?: string;
  readonly credentialsProvider?: unknown;
}

interface NodeRedisClusterOptions {
  readonly rootNodes: readonly NodeRedisOptions[];
  readonly defaults?: NodeRedisOptions;
  readonly nodeAddressMap?: ClusterOptions['natMap'];
}

const OF_NODE_REDIS = 'option "client": of node-redis, ';

export function ofNodeRedis(client: NodeRedisClient): RedisOptions {
  const { options } = client;
  if (!options) {
    if ('getMasterNode' in client)
      throw new OptionError(
        `${OF_NODE_REDIS}a Sentinel's client does not say where it goes: give { sentinels: [{ host, port }], name } instead`,
      );
    throw new OptionError(
      `${OF_NODE_REDIS}a client made by createClient() or createCluster(); of a pool, the URL that it was made with`,
    );
  }
  return ofNodeRedisOptions(options as NodeRedisOptions);
}

function ofNodeRedisOptions({ socket, username, password, database, name, ...more }: NodeRedisOptions): RedisOptions {
  if (more.credentialsProvider && password === undefined)
    throw new OptionError(`${OF_NODE_REDIS}no client with a credentialsProvider; give ioredis options instead`);
  return {
    ...(socket?.path ? { path: socket.path } : { host: socket?.host ?? '127.0.0.1', port: socket?.port ?? 6379 }),
    ...(socket?.family !== undefined && { family: socket.family }),
    ...(socket?.tls && { tls: tlsOf(socket) }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(name !== undefined && { connectionName: name }),
    // a caller's own limits win
    ...(socket?.connectTimeout !== undefined && { connectTimeout: socket.connectTimeout }),
    ...(more.commandOptions?.timeout !== undefined && { commandTimeout: more.commandOptions.timeout }),
    db: database ?? 0,
  };
}

/** What a socket's options say besides where it goes, which each node says for itself. */
function tlsOf(socket: object): object {
  const { host: _host, port: _port, path: _path, ...rest } = socket as Record<string, unknown>;
  return rest;
}

/** Where node-redis keeps what createCluster() was given (5 and later). */
function nodeRedisCluster(redis: object): NodeRedisClusterOptions | undefined {
  const { _options } = redis as { _options?: NodeRedisClusterOptions };
  return Array.isArray(_options?.rootNodes) ? _options : undefined;
}

function ofNodeUrl(text: string): NodeRedisOptions {
  const { hostname, port, protocol, username, password } = checkedUrl(text, 'option "client": the URL of a node');
  return {
    socket: { host: hostname, port: Number(port || 6379), ...(protocol === 'rediss:' && { tls: true }) },
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
  };
}

type StartNode = RedisOptions | string | number;

/** A start node's TLS options; a text is what ioredis reads there: a port, host:port or a URL, which stays ioredis' to parse. */
function tlsOfStartNode(node: StartNode): RedisOptions['tls'] {
  if (typeof node === 'object') return node.tls;
  if (typeof node === 'number' || /^\d+$/.test(node)) return undefined;
  const url = checkedUrl(
    node.includes('://') ? node : `redis://${node.replace(/^\/\//, '')}`,
    'a start node of the Cluster',
  );
  return url.protocol === 'rediss:' ? {} : undefined;
}

/** The nodes and options of a Cluster's client, ioredis' or node-redis'. */
export function ofCluster(cluster: Cluster): { nodes: object[]; options: ClusterOptions } {
  const given = nodeRedisCluster(cluster);
  if (!given) {
    const { startupNodes } = cluster as unknown as { startupNodes: StartNode[] };
    const nodes = startupNodes as object[];
    // ioredis keeps a start node's `tls` to that node, and goes in clear to those that it names
    const ofNodes = startupNodes.map(tlsOfStartNode).find((one) => one !== undefined);
    const tls = cluster.options.redisOptions?.tls ?? ofNodes;
    if (!tls) return { nodes, options: cluster.options };
    return { nodes, options: { ...cluster.options, redisOptions: { ...cluster.options.redisOptions, tls } } };
  }
  const { rootNodes, defaults, nodeAddressMap } = given;
  const nodes = rootNodes.map((node) => {
    const { socket, ...rest } = { ...node, ...(node.url !== undefined && ofNodeUrl(node.url)) };
    return ofNodeRedisOptions({ ...defaults, ...rest, socket: { ...defaults?.socket, ...node.socket, ...socket } });
  });
  // who says it for one node only says it for all, and TLS for any of them
  const { host: _host, port: _port, path: _path, ...ofFirst } = nodes[0] ?? {};
  const tls = nodes.find((node) => node.tls)?.tls;
  const redisOptions = { ...ofFirst, ...(tls && { tls }) };
  return { nodes, options: { redisOptions, ...(nodeAddressMap && { natMap: nodeAddressMap }) } };
}
