import { Cluster, type RedisOptions } from 'ioredis';
import { OptionError } from '../errors/errors.js';
import { checkedUrl } from './caller-options.js';
import type { RedisOption } from './client.js';

/** What a command line says of where Redis is: URLs with commas between them, of one Redis, of a Cluster's nodes or of Sentinels. */
export function placeOf(urls: string, { cluster, sentinel }: { cluster?: boolean; sentinel?: string }): RedisOption {
  if (cluster && sentinel !== undefined)
    throw new OptionError('--cluster and --sentinel both say what is at the URL: give one of them');
  if (!cluster && sentinel === undefined) return urls;
  const places = urls.split(',').map((url) => checkedUrl(url, '--redis'));
  const nodes = places.map(({ hostname, port }) => ({
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port || 6379),
  }));
  const [{ protocol, username, password } = new URL('redis://-')] = places;
  if (places.some((place) => place.protocol !== protocol))
    throw new OptionError('--redis: all URLs should start with redis://, or all with rediss://');
  const options: Pick<RedisOptions, 'username' | 'password' | 'tls'> = {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
  if (sentinel !== undefined) return { ...options, sentinels: nodes, name: sentinel };
  // never connected itself: clients of ours are made like it
  return new Cluster(nodes, { lazyConnect: true, redisOptions: options });
}
