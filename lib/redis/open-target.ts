import * as v from 'valibot';
import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { describeValue } from '../options/check-options.js';
import { namespace as namespaceSchema } from '../options/checks.js';
import { OptionError } from '../errors/errors.js';
import { checkedUrl, isClient, isNodeRedis, isPath, KINDS, ofClient, ofNodeRedis } from './caller-options.js';
import { clusterTarget, openCluster } from './cluster.js';
import { CommandLimit } from './command-limit.js';
import { connectServer, oneServer } from './one-server.js';
import { masterOfSentinels } from './sentinel.js';
import type { RedisClient, RedisOption } from './client.js';
import type { RedisTarget } from './target.js';

/** Opens a client for commands. One that has no answer after `limitMs` is an error; else it waits as long as the connection lives. */
export function openTarget(redis: RedisOption, limitMs?: number): RedisTarget {
  if (isCluster(redis)) return openCluster(redis, limitMs);
  const target = serverAt(placeOf(redis));
  // a caller's own limit wins
  if (limitMs !== undefined && target.options.commandTimeout === undefined)
    target.eachConnection((client) => new CommandLimit(limitMs).watch(client));
  return target;
}

/** Where a client goes that is open. */
export const targetOf = (client: RedisClient): RedisTarget =>
  isCluster(client) ? clusterTarget(client) : serverAt(ofClient(client), client);

function serverAt(place: string | RedisOptions, client?: Redis): RedisTarget {
  if (typeof place === 'object' && place.sentinels?.length) return masterOfSentinels(place, client);
  return oneServer((settings) => connectServer(place, settings), client);
}

/** As it is now, whatever a caller's client does later. */
function placeOf(redis: Exclude<RedisOption, Cluster>): string | RedisOptions {
  if (typeof redis === 'string') return redis;
  if (isNodeRedis(redis)) return ofNodeRedis(redis);
  return isClient(redis) ? ofClient(redis) : redis;
}

/** An OptionError with this text where there is more than one server. */
export function requireOneServer(redis: unknown, message: string): void {
  if (isCluster(redis)) throw new OptionError(message);
}

// By their looks: a caller's ioredis may be another copy, or another version, of ours.
const isCluster = (redis: unknown): redis is Cluster =>
  typeof redis === 'object' &&
  redis !== null &&
  ((redis as Cluster).isCluster === true ||
    Array.isArray((redis as { _options?: { rootNodes?: unknown } })._options?.rootNodes));

const isAnyClient = (redis: object): boolean => isNodeRedis(redis) || isClient(redis) || isCluster(redis);

/** An OptionError where this says nothing of where Redis is. */
export function checkRedis(redis: unknown, caller: string, name = 'redis'): asserts redis is RedisOption {
  const option = `${caller}: option "${name}"`;
  if (typeof redis === 'string') {
    const from = redis === process.env.REDIS_URL ? `${option} (REDIS_URL)` : option;
    if (!isPath(redis)) checkedUrl(redis, from);
  } else if (typeof redis === 'number')
    throw new OptionError(`${option} should be ${KINDS}; got a number: a port alone is { port: ${redis} }`);
  else if (typeof redis !== 'object' || redis === null || redis instanceof Promise || Array.isArray(redis))
    throw new OptionError(`${option} should be ${KINDS}; got ${describeValue(redis)}`);
  else if (isAnyClient(redis)) return;
  // it acts as a client, and has no state of a connection
  else if (typeof (redis as Redis).duplicate === 'function')
    throw new OptionError(
      `${option} is a client without a connection of its own (ioredis-mock?). Connections are made anew to the same place, so ` +
        'in tests, too, there has to be a Redis: start one on a free port',
    );
  else if (!PLACES.some((key) => key in redis))
    throw new OptionError(`${option} should be ${KINDS}; got an object that is none of them`);
  // ioredis would send another name than a number, and end the process when it is refused
  else if (!/^\d{1,9}$/.test(String((redis as RedisOptions).db ?? 0)))
    throw new OptionError(`${option}: a database has a number, and no name`);
}

const PLACES = ['host', 'port', 'path', 'sentinels', 'db', 'username', 'password', 'tls'];

/** What stands before every key of a caller's client: keys are named in whole here. */
export function keyPrefixOf(redis: RedisOption): string {
  const prefix = givenKeyPrefix(redis) ?? '';
  if (typeof prefix === 'string') return prefix;
  throw new OptionError('option "keyPrefix" of the Redis client should be a text');
}

function givenKeyPrefix(redis: RedisOption): unknown {
  if (typeof redis === 'string') return URL.canParse(redis) ? new URL(redis).searchParams.get('keyPrefix') : undefined;
  if (typeof redis !== 'object' || redis === null || isNodeRedis(redis)) return undefined;
  return (isAnyClient(redis) ? (redis as Redis).options : (redis as RedisOptions)).keyPrefix;
}

/** What stands before every channel and key: the client's `keyPrefix`, then the namespace. */
export function namespaceOf(redis: RedisOption, namespace: string): string {
  const keyPrefix = keyPrefixOf(redis);
  if (v.is(namespaceSchema, keyPrefix + namespace)) return keyPrefix + namespace;
  throw new OptionError(
    'option "keyPrefix" of the Redis client stands before channels, too: with the namespace it should be at most 64 of A-Z a-z 0-9 _ . : -',
  );
}
