import { Cluster, type RedisOptions } from 'ioredis';
import * as v from 'valibot';
import { OptionError } from '../errors/errors.js';
import { about } from '../options/option-facts.js';
import { checkedUrl } from './caller-options.js';
import type { RedisOption } from './client.js';
import { givenRedis, redisEntries, resolveRedis } from './redis-option.js';

/** The flags of a command line that say where Redis is. */
export const redisFlags = {
  redis: redisEntries.redis,
  url: redisEntries.url,
  cluster: v.pipe(v.optional(v.boolean()), about('The Redis at that URL is a node of a Cluster.', { flag: '' })),
  sentinel: v.pipe(
    v.optional(v.string()),
    about("That URL is a Sentinel's, and this is the name of the master that it watches.", { flag: '<name>' }),
  ),
};

type RedisFlags = v.InferOutput<v.StrictObjectSchema<typeof redisFlags, undefined>>;

/** Where a command line says that Redis is. Throws an OptionError where that is no possible place. */
export function redisOfFlags({ redis, url, cluster, sentinel }: RedisFlags, caller: string): RedisOption {
  if (!cluster && sentinel === undefined) return resolveRedis({ redis, url }, caller);
  const [, urls] = givenRedis({ redis, url }, caller);
  return targetOfUrls(urls as string, { cluster, sentinel });
}

interface Kind {
  readonly cluster?: boolean | undefined;
  /** The name of the master. */
  readonly sentinel?: string | undefined;
}

/**
 * Reads the URL of one Redis, or those of a Cluster's nodes or of Sentinels, with commas between: credentials and database are in
 * the first.
 */
export function targetOfUrls(urls: string, { cluster, sentinel }: Kind): RedisOption {
  if (cluster && sentinel !== undefined)
    throw new OptionError('--cluster and --sentinel both say what is at the URL: give one of them');
  if (!cluster && sentinel === undefined) return urls;
  const parsed = urls.split(',').map((url) => checkedUrl(url, '--redis'));
  const nodes = parsed.map(({ hostname, port }) => ({
    host: hostname.replace(/^\[(.*)\]$/, '$1'), // an IPv6 address without its brackets
    port: Number(port || 6379),
  }));
  const [{ protocol, username, password, pathname } = new URL('redis://-')] = parsed; // the default is for its type only
  if (parsed.some((url) => url.protocol !== protocol))
    throw new OptionError('--redis: all URLs should start with redis://, or all with rediss://');
  const options: Pick<RedisOptions, 'username' | 'password' | 'tls'> = {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
  const db = Number(pathname.slice(1));
  if (sentinel !== undefined) return { ...options, ...(db > 0 && { db }), sentinels: nodes, name: sentinel };
  if (db > 0) throw new OptionError('--redis: a Cluster has database 0 alone');
  // This client never connects: openCluster() makes ours with its nodes and options.
  return new Cluster(nodes, { lazyConnect: true, redisOptions: options });
}
