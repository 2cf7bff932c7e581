import { Cluster, type ClusterNode, Redis, type RedisOptions } from 'ioredis';
import { faultText, hidePasswords, IntelligentSessionError, OptionError } from '../errors.js';
import {
  isClient,
  isCluster,
  isNodeRedis,
  notTakenOver,
  notTakenOverOfCluster,
  ofClient,
  ofCluster,
  ofNodeRedis,
  isPath,
  ofUrlWithout,
} from './caller-options.js';
import { connectNode } from './cluster-node.js';
import { CommandLimit } from './command-limit.js';
import { watchLiveness } from './liveness.js';
import { LoopTimeout } from './loop-clock.js';
import { allowNoInfo } from './ready-check.js';
import { type Role, roleOptions, SENTINEL_COMMAND_MS } from './roles.js';
import { tlsWithSentinels } from './sentinel-tls.js';
import { connectBySentinel } from './sentinel-watch.js';

/** A URL, ioredis' options (Sentinel's among them), or a client, which is duplicated and never closed. */
export type RedisOption = string | RedisOptions | Redis | Cluster | NodeRedisClient;

/** What is looked at of a node-redis client or Cluster (5 and later): where it goes, and as whom. It is not used itself. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly options?: unknown;
}

/** What commands can be sent to. */
export type RedisClient = Redis | Cluster;

/** How long a request waits for Redis where the option `maxWaitMs` says nothing. */
export const DEFAULT_MAX_WAIT_MS = 3_000;

/** How often a Cluster's nodes are asked for, where the caller does not say: who only listens hears of no change otherwise. */
const SLOTS_REFRESH_MS = 10_000;

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
  hidePasswords(client.options.password);
  watchLiveness(client, role === 'blocking');
  allowNoInfo(client);
  refuseOtherDatabase(client);
  // The owner hears of faults through what it asked; without a listener ioredis would print each of them.
  return client.on('error', () => {});
}

/** ioredis goes on in database 0 where SELECT is refused (no such number, an ACL): what is another's there would be written over. */
function refuseOtherDatabase(client: Redis): void {
  client.on('error', (error: Error & { command?: { name?: string } }) => {
    if (error.command?.name === 'select') client.disconnect(true);
  });
}

/**
 * A connection for commands on single keys, also to a Cluster. A command that has no answer after `limitMs` is an error;
 * without it, commands wait as long as the connection lives.
 */
export function connectCommands(redis: RedisOption, limitMs?: number): RedisClient {
  if (!isCluster(redis)) {
    const client = connect(redis, 'commands');
    // a caller's own limit wins
    if (limitMs !== undefined && client.options.commandTimeout === undefined) new CommandLimit(limitMs).watch(client);
    return client;
  }
  const settings = { ...roleOptions.commands, ...notTakenOver, db: 0 };
  const { nodes, options } = ofCluster(redis);
  const cluster = new Cluster(nodes as ClusterNode[], {
    ...options,
    ...notTakenOverOfCluster,
    slotsRefreshInterval: options.slotsRefreshInterval ?? SLOTS_REFRESH_MS,
    redisOptions: { ...options.redisOptions, ...settings },
    clusterRetryStrategy: settings.retryStrategy as (times: number) => number,
    // A Cluster connects to each node at its first use, and without a queue refuses what comes meanwhile, its own check too.
    enableOfflineQueue: true,
  });
  const limit = new CommandLimit(options.redisOptions?.commandTimeout === undefined ? limitMs : undefined);
  cluster.on('+node', (node: Redis) => {
    hidePasswords(node.options.password);
    watchLiveness(node);
    allowNoInfo(node);
    limit.watch(node);
  });
  return cluster.on('error', () => {});
}

/** How long a caller's own client waits for an answer, where that is said. */
export const commandTimeoutOf = (client: RedisClient): number | undefined =>
  client instanceof Cluster ? client.options.redisOptions?.commandTimeout : client.options.commandTimeout;

/** The servers that hold the keys: a SCAN is each one's own. */
export const masters = (client: RedisClient): readonly Redis[] =>
  client instanceof Cluster ? client.nodes('master') : [client];

export { checkRedis, databaseOf, isCluster, keyPrefixOf, namespaceOf } from './caller-options.js';

type Single = Exclude<RedisOption, Cluster>;

function open(redis: Single, settings: RedisOptions): Redis {
  const sentinelCommandTimeout = (redis as RedisOptions).sentinelCommandTimeout ?? SENTINEL_COMMAND_MS;
  const ours = { ...settings, ...notTakenOver, sentinelCommandTimeout };
  if (typeof redis === 'string') {
    if (isPath(redis)) return new Redis({ path: redis.replace(/^unix:\/\//, ''), ...ours });
    return new Redis(ofUrlWithout(redis, ours), ours);
  }
  if (isNodeRedis(redis)) return new Redis({ ...ofNodeRedis(redis), ...ours });
  const options = { ...(isClient(redis) ? ofClient(redis) : redis), ...ours };
  return options.sentinels?.length ? connectBySentinel({ ...tlsWithSentinels(options), ...ours }) : new Redis(options);
}

/** host:port, for messages: never a password. */
export function addressOf(client: RedisClient): string {
  if (client instanceof Cluster) return 'a cluster';
  const { host, port, path, sentinels, name } = client.options;
  if (sentinels?.length) return `sentinel ${name}`;
  return path ?? `${host ?? '127.0.0.1'}:${port ?? 6379}`;
}

/** What Redis and ioredis say in words that help nobody. */
const CAUSES: readonly (readonly [RegExp, string])[] = [
  [/^NOAUTH/, 'NOAUTH, it asks for a password and none was given'],
  [/^Unknown RESP type/, 'what answers there is no Redis (another port?)'],
  [/^no answer$/, 'no answer (a firewall, or TLS on one side only?)'],
];

/** Where there is no connection to, and why, for a person to read. */
export function noConnection(client: RedisClient, cause: string): string {
  const why = CAUSES.find(([pattern]) => pattern.test(cause))?.[1] ?? cause.replace(/\.$/, '');
  return `No connection to Redis at ${addressOf(client)}: ${why}`;
}

/** Resolves when commands can be sent; rejects with the last fault after `timeoutMs` of the loop's clock. */
export function whenReady(client: RedisClient, timeoutMs: number): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    let last = 'no answer';
    const settle = (act: () => void) => {
      timeout.clear();
      client.off('ready', onReady).off('error', onError).off('end', onEnd);
      act();
    };
    const fail = () =>
      settle(() =>
        reject(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_NOT_READY', noConnection(client, last))),
      );
    const onReady = () => settle(resolve);
    const onEnd = fail;
    const onError = (error: Error) => {
      last = faultText(error) || last;
    };
    const timeout = new LoopTimeout(fail, timeoutMs);
    client.on('ready', onReady).on('error', onError).on('end', onEnd);
  });
}
