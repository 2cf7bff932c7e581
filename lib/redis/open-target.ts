import * as v from 'valibot';
import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { describeValue } from '../options/check-options.js';
import { namespace as namespaceSchema } from '../options/checks.js';
import { OptionError } from '../errors/errors.js';
import {
  checkedUrl,
  isClient,
  isNodeRedis,
  isPath,
  ACCEPTED_FORMS,
  optionsOfClient,
  optionsOfNodeRedis,
} from './caller-options.js';
import { clusterTarget, openCluster } from './cluster.js';
import { CommandLimit } from './command-limit.js';
import { connectServer, oneServer } from './one-server.js';
import { masterOfSentinels } from './sentinel.js';
import type { RedisClient, RedisOption } from './client.js';
import type { RedisTarget } from './target.js';

/**
 * Opens a client for commands, and gives its target: that client, and how further connections to the same place are made. A
 * command that has no answer after `limitMs` fails; without a limit it waits as long as the connection lives.
 */
export function openTarget(redis: RedisOption, limitMs?: number): RedisTarget {
  if (isCluster(redis)) return openCluster(redis, limitMs);
  const target = serverAt(connectionOf(redis));
  // a caller's own commandTimeout wins (openCluster() sees to that itself)
  if (limitMs !== undefined && target.options.commandTimeout === undefined)
    target.eachConnection((client) => new CommandLimit(limitMs).watch(client));
  return target;
}

/** The target of a client that somebody else has opened; nothing is connected. */
export const targetOf = (client: RedisClient): RedisTarget =>
  isCluster(client) ? clusterTarget(client) : serverAt(optionsOfClient(client), client);

function serverAt(connection: string | RedisOptions, client?: Redis): RedisTarget {
  if (typeof connection === 'object' && connection.sentinels?.length) return masterOfSentinels(connection, client);
  return oneServer((roleSettings) => connectServer(connection, roleSettings), client);
}

/** A URL, a path, or options of ioredis; a client's options are copied now, since the caller may change them later. */
function connectionOf(redis: Exclude<RedisOption, Cluster>): string | RedisOptions {
  if (typeof redis === 'string') return redis;
  if (isNodeRedis(redis)) return optionsOfNodeRedis(redis);
  return isClient(redis) ? optionsOfClient(redis) : redis;
}

/** Throws an OptionError with this message where the option says a Cluster. */
export function requireOneServer(redis: unknown, message: string): void {
  if (isCluster(redis)) throw new OptionError(message);
}

// A Cluster is known by its properties and not by instanceof, since the caller's ioredis may be another copy of the module.
// node-redis' cluster has `_options.rootNodes`; nodesOf() reads the nodes of both.
const isCluster = (redis: unknown): redis is Cluster =>
  typeof redis === 'object' &&
  redis !== null &&
  ((redis as Cluster).isCluster === true ||
    Array.isArray((redis as { _options?: { rootNodes?: unknown } })._options?.rootNodes));

const textTimeoutIn = (options: object): string | undefined =>
  Object.entries(options).find(([name, value]) => name.endsWith('Timeout') && typeof value === 'string')?.[0];

const isAnyClient = (redis: object): boolean => isNodeRedis(redis) || isClient(redis) || isCluster(redis);

/**
 * Throws an OptionError where the option does not say where Redis is. `owner` is the beginning of the message, as
 * `intelligentSession()`.
 */
export function checkRedis(redis: unknown, owner: string, name = 'redis'): asserts redis is RedisOption {
  const option = `${owner}: option "${name}"`;
  if (typeof redis === 'string') {
    const source = redis === process.env.REDIS_URL ? `${option} (REDIS_URL)` : option;
    if (!isPath(redis)) checkedUrl(redis, source);
  } else if (typeof redis === 'number')
    throw new OptionError(`${option} should be ${ACCEPTED_FORMS}; got a number: a port alone is { port: ${redis} }`);
  else if (typeof redis !== 'object' || redis === null || redis instanceof Promise || Array.isArray(redis))
    throw new OptionError(`${option} should be ${ACCEPTED_FORMS}; got ${describeValue(redis)}`);
  else if (isAnyClient(redis)) return;
  // a mock has a client's methods, and not the connection options by which isClient() knows one
  else if (typeof (redis as Redis).duplicate === 'function')
    throw new OptionError(
      `${option} is a client without a connection of its own (ioredis-mock?). Connections are made anew to the same place, so ` +
        'in tests, too, there has to be a Redis: start one on a free port',
    );
  else if (!CONNECTION_FIELDS.some((key) => key in redis))
    throw new OptionError(`${option} should be ${ACCEPTED_FORMS}; got an object that is none of them`);
  // Node's timers throw at a text, in a connection's event: that would end the process
  else if (textTimeoutIn(redis) !== undefined)
    throw new OptionError(`${option}: "${textTimeoutIn(redis)}" should be a number of milliseconds`);
  // ioredis would send SELECT with a name, too, and Redis' error to it would be an unhandled rejection, which ends the process
  else if (!/^\d{1,9}$/.test(String((redis as RedisOptions).db ?? 0)))
    throw new OptionError(`${option}: a database has a number, and no name`);
}

/** An object with none of these fields says no place, and was passed by mistake. */
const CONNECTION_FIELDS = ['host', 'port', 'path', 'sentinels', 'db', 'username', 'password', 'tls'];

/**
 * The `keyPrefix` of a caller's client, of options, or of a URL (`?keyPrefix=`). Our connections have none: our key names
 * begin with it.
 */
export function keyPrefixOf(redis: RedisOption): string {
  const prefix = givenKeyPrefix(redis) ?? '';
  if (typeof prefix === 'string') return prefix;
  throw new OptionError('option "keyPrefix" of the Redis client should be a text');
}

function givenKeyPrefix(redis: RedisOption): unknown {
  if (typeof redis === 'string') return URL.canParse(redis) ? new URL(redis).searchParams.get('keyPrefix') : undefined;
  if (typeof redis !== 'object' || redis === null || isNodeRedis(redis)) return undefined;
  return (isAnyClient(redis) ? (redis as Redis).options : (redis as RedisOptions))?.keyPrefix;
}

/** The prefix of every channel, and of every key but the session store's: the client's `keyPrefix`, then the namespace. */
export function namespaceOf(redis: RedisOption, namespace: string): string {
  const keyPrefix = keyPrefixOf(redis);
  if (v.is(namespaceSchema, keyPrefix + namespace)) return keyPrefix + namespace;
  throw new OptionError(
    'option "keyPrefix" of the Redis client stands before channels, too: with the namespace it should be at most 64 of A-Z a-z 0-9 _ . : -',
  );
}
