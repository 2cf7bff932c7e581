import { Cluster, type RedisOptions } from 'ioredis';
import { OptionError } from '../errors/errors.js';
import { checkedUrl } from './caller-options.js';
import type { RedisOption } from './client.js';

/** The Redis that a command line names by its URLs, separated by commas: one server, a Cluster's nodes, or Sentinels. */
export function targetOfUrls(
  urls: string,
  { cluster, sentinel }: { cluster?: boolean; sentinel?: string },
): RedisOption {
  if (cluster && sentinel !== undefined)
    throw new OptionError('--cluster and --sentinel both say what is at the URL: give one of them');
  if (!cluster && sentinel === undefined) return urls;
  const parsed = urls.split(',').map((url) => checkedUrl(url, '--redis'));
  const nodes = parsed.map(({ hostname, port }) => ({
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port || 6379),
  }));
  const [{ protocol, username, password } = new URL('redis://-')] = parsed;
  if (parsed.some((url) => url.protocol !== protocol))
    throw new OptionError('--redis: all URLs should start with redis://, or all with rediss://');
  const options: Pick<RedisOptions, 'username' | 'password' | 'tls'> = {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
  if (sentinel !== undefined) return { ...options, sentinels: nodes, name: sentinel };
  // this one never connects: clients of ours are made with its options
  return new Cluster(nodes, { lazyConnect: true, redisOptions: options });
}
