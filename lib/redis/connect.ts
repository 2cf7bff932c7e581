import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { IntelligentSessionError, OptionError } from '../errors.js';
import { gatherWrites } from './gather-writes.js';
import { type Role, roleOptions } from './roles.js';

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

/** One connection in one role; the caller owns it and closes it. */
export function connect(redis: RedisOption, role: Role): Redis {
  if (redis instanceof Cluster) throw new OptionError('option "redis": a Cluster is for the session store only');
  // The owner hears of faults through what it asked; without a listener ioredis would print each of them.
  const client = open(redis, roleOptions[role]).on('error', () => {});
  return role === 'commands' ? gatherWrites(client) : client;
}

/** A connection for commands on single keys, also to a Cluster. Keys are named in whole: an ioredis `keyPrefix` is dropped. */
export function connectCommands(redis: RedisOption): RedisClient {
  const settings = { ...roleOptions.commands, keyPrefix: '' };
  if (!(redis instanceof Cluster)) return gatherWrites(open(redis, settings).on('error', () => {}));
  const cluster = redis.duplicate([], {
    redisOptions: { ...redis.options.redisOptions, ...settings, replyMapping: 'legacy' },
    clusterRetryStrategy: settings.retryStrategy as (times: number) => number,
    // A Cluster connects to each node at its first use, and without a queue refuses what comes meanwhile, its own check too.
    enableOfflineQueue: true,
    keyPrefix: '',
    lazyConnect: false,
    replyMapping: 'legacy',
  });
  return cluster.on('error', () => {}).on('+node', gatherWrites);
}

/** What stands before every key of a caller's client. */
export const keyPrefixOf = (redis: RedisOption): string =>
  typeof redis === 'string' || isNodeRedis(redis)
    ? ''
    : ((redis instanceof Redis || redis instanceof Cluster ? redis.options : redis).keyPrefix ?? '');

/** The servers that hold the keys: a SCAN is each one's own. */
export const masters = (client: RedisClient): readonly Redis[] =>
  client instanceof Cluster ? client.nodes('master') : [client];

const isNodeRedis = (redis: object): redis is NodeRedisClient => 'isOpen' in redis;

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

function open(redis: Exclude<RedisOption, Cluster>, settings: RedisOptions): Redis {
  if (typeof redis === 'string') {
    if (!/^rediss?:\/\//.test(redis))
      throw new OptionError('option "redis" should be a URL that starts with redis:// or rediss://');
    return new Redis(redis, { ...settings, replyMapping: 'legacy' });
  }
  if (isNodeRedis(redis)) return new Redis({ ...ofNodeRedis(redis), ...settings, replyMapping: 'legacy' });
  if (redis instanceof Redis) return redis.duplicate(settings);
  return new Redis({ ...redis, ...settings, replyMapping: 'legacy' });
}

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
