import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { IntelligentSessionError, OptionError } from '../errors.js';
import { connectNode } from './cluster-node.js';
import { type Role, roleOptions } from './roles.js';
import { connectBySentinel } from './sentinel-watch.js';

/** A URL, ioredis' options (Sentinel's among them), or a client, which is duplicated and never closed. */
export type RedisOption = string | RedisOptions | Redis | Cluster | NodeRedisClient;

/** What is looked at of a node-redis client (5 and later): where it goes, and as whom. It is not used itself. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly options?: unknown;
}

interface NodeRedisOptions {
  readonly socket?: { host?: string; port?: number; path?: string; tls?: boolean };
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
  readonly credentialsProvider?: unknown;
}

/** What commands can be sent to. */
export type RedisClient = Redis | Cluster;

export const defaultRedis = (): string => process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';

/**
 * One connection in one role; the caller owns it and closes it. Of a Cluster, to one of its nodes: `of` is the client of ours
 * that knows them, `key` names what the node should hold.
 */
export function connect(redis: RedisOption, role: Role, of?: RedisClient, key?: () => string): Redis {
  const settings = roleOptions[role];
  if (isCluster(redis) && !(of instanceof Cluster))
    throw new OptionError('option "redis": a Cluster, without the client that knows its nodes');
  const client = of instanceof Cluster ? connectNode({ cluster: of, key }, settings) : open(redis as Single, settings);
  // The owner hears of faults through what it asked; without a listener ioredis would print each of them.
  return client.on('error', () => {});
}

/** A connection for commands on single keys, also to a Cluster. */
export function connectCommands(redis: RedisOption): RedisClient {
  if (!isCluster(redis)) return connect(redis, 'commands');
  const settings = { ...roleOptions.commands, replyMapping: 'legacy' } as const;
  const nodes = (redis as unknown as { startupNodes: ClusterNode[] }).startupNodes;
  const cluster = new Cluster(nodes, {
    ...(redis.options as ClusterOptions),
    redisOptions: { ...redis.options.redisOptions, ...settings },
    clusterRetryStrategy: settings.retryStrategy as (times: number) => number,
    // A Cluster connects to each node at its first use, and without a queue refuses what comes meanwhile, its own check too.
    enableOfflineQueue: true,
    keyPrefix: '',
    enableAutoPipelining: false,
    lazyConnect: false,
  });
  cluster.on('+node', dropSettled);
  return cluster.on('error', () => {});
}

/** A Cluster sends again what a lost node did not answer, and a node what has waited in its queue: nobody waits for it after its time. */
function dropSettled(node: Redis): void {
  const send = node.sendCommand;
  node.sendCommand = function (this: Redis, command, stream) {
    return command.isSettled ? command.promise : send.call(this, command, stream);
  };
}

/** What stands before every key of a caller's client: keys are named in whole here. */
export function keyPrefixOf(redis: RedisOption): string {
  if (typeof redis === 'string') return new URL(redis).searchParams.get('keyPrefix') ?? '';
  if (isNodeRedis(redis)) return '';
  return (isClient(redis) || isCluster(redis) ? redis.options : redis).keyPrefix ?? '';
}

/** The servers that hold the keys: a SCAN is each one's own. */
export const masters = (client: RedisClient): readonly Redis[] =>
  client instanceof Cluster ? client.nodes('master') : [client];

// By their looks: a caller's ioredis may be another copy, or another version, of ours.
export const isCluster = (redis: unknown): redis is Cluster =>
  typeof redis === 'object' && redis !== null && (redis as Cluster).isCluster === true;
const isClient = (redis: object): redis is Redis =>
  'status' in redis && typeof (redis as Redis).duplicate === 'function' && typeof (redis as Redis).options === 'object';
const isNodeRedis = (redis: object): redis is NodeRedisClient => 'isOpen' in redis;
const isOptions = (redis: object): redis is RedisOptions =>
  ['host', 'port', 'path', 'sentinels', 'db', 'username', 'password', 'tls'].some((key) => key in redis);

function ofNodeRedis({ options }: NodeRedisClient): RedisOptions {
  const { socket, username, password, database, credentialsProvider } = (options ?? {}) as NodeRedisOptions;
  if (!socket && !options) throw new OptionError('option "client": of node-redis, a client made by createClient()');
  if (credentialsProvider && password === undefined)
    throw new OptionError(
      'option "client": a node-redis client with a credentialsProvider; give ioredis options instead',
    );
  return {
    ...(socket?.path ? { path: socket.path } : { host: socket?.host ?? '127.0.0.1', port: socket?.port ?? 6379 }),
    ...(socket?.tls && { tls: { ...socket } as object }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    db: database ?? 0,
  };
}

type Single = Exclude<RedisOption, Cluster>;

function open(redis: Single, settings: RedisOptions): Redis {
  const ours = { ...settings, replyMapping: 'legacy' } as const;
  if (typeof redis === 'string') {
    if (!/^rediss?:\/\//.test(redis))
      throw new OptionError('option "redis" should be a URL that starts with redis:// or rediss://');
    const client = new Redis(redis, ours);
    client.options.keyPrefix = ''; // of the URL
    return client;
  }
  if (typeof redis !== 'object' || redis === null) throw new OptionError(UNKNOWN_CLIENT);
  if (isNodeRedis(redis)) return new Redis({ ...ofNodeRedis(redis), ...ours });
  if (isClient(redis) || isOptions(redis)) {
    const options = { ...(isClient(redis) ? redis.options : redis), ...ours };
    return options.sentinels?.length ? connectBySentinel(options) : new Redis(options);
  }
  throw new OptionError(UNKNOWN_CLIENT);
}

const UNKNOWN_CLIENT =
  'option "redis" or "client" should be a URL, ioredis options, or a client of ioredis or node-redis';

/** host:port, for messages: never a password. */
export function addressOf(client: RedisClient): string {
  if (client instanceof Cluster) return 'a cluster';
  const { host, port, path, sentinels, name } = client.options;
  if (sentinels?.length) return `sentinel ${name}`;
  return path ?? `${host ?? '127.0.0.1'}:${port ?? 6379}`;
}

/** Resolves when commands can be sent; rejects with the last fault after `timeoutMs`. */
export function whenReady(client: RedisClient, timeoutMs: number): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    let last = 'no answer';
    const settle = (act: () => void) => {
      clearTimeout(timer);
      client.off('ready', onReady).off('error', onError).off('end', onEnd);
      act();
    };
    const fail = () =>
      settle(() =>
        reject(
          new IntelligentSessionError(
            'ERR_INTELLIGENT_SESSION_NOT_READY',
            `Redis at ${addressOf(client)} is not answering: ${last}`,
          ),
        ),
      );
    const onReady = () => settle(resolve);
    const onEnd = fail;
    const onError = (error: Error) => {
      last = error.message || (error as NodeJS.ErrnoException).code || last;
    };
    const timer = setTimeout(fail, timeoutMs);
    client.on('ready', onReady).on('error', onError).on('end', onEnd);
  });
}
