import { Cluster, type RedisOptions } from 'ioredis';
import { OptionError } from '../errors.js';
import type { RedisOption } from './connect.js';

/** What a command line says of where Redis is: URLs with commas between them, of one Redis, of a Cluster's nodes or of Sentinels. */
export function placeOf(urls: string, { cluster, sentinel }: { cluster?: boolean; sentinel?: string }): RedisOption {
  if (!cluster && sentinel === undefined) return urls;
  const places = urls.split(',').map((url) => {
    if (!/^rediss?:\/\//.test(url) || !URL.canParse(url))
      throw new OptionError(
        '--redis should be a URL that starts with redis:// or rediss://, or some with commas between',
      );
    return new URL(url);
  });
  const nodes = places.map(({ hostname, port }) => ({ host: hostname, port: Number(port || 6379) }));
  const [{ protocol, username, password } = new URL('redis://-')] = places;
  const options: Pick<RedisOptions, 'username' | 'password' | 'tls'> = {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
  if (sentinel !== undefined) return { ...options, sentinels: nodes, name: sentinel };
  // never connected itself: clients of ours are made like it
  return new Cluster(nodes, { lazyConnect: true, redisOptions: options });
}
