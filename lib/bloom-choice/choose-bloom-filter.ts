import { PlainBloomFilter } from '../../fallback/plain-bloom.js';
import { OptionError, redisFault } from '../errors/errors.js';
import type { RedisClient } from '../redis/connect.js';
import type { BloomFilter, BloomOptions } from '../bloom/bloom-filter.js';
import { RedisBloomFilter } from '../bloom/redis-bloom.js';

export type BloomChoice = 'auto' | 'module' | 'fallback';

const answers = new WeakMap<RedisClient, Promise<boolean>>();
const watched = new WeakSet<RedisClient>();

/** Does this connection's server know BF.INSERT (COMMAND INFO, one round trip)? Asked once, and again after a new connection. */
function hasModule(client: RedisClient): Promise<boolean> {
  const known = answers.get(client);
  if (known) return known;
  const answer = client.call('COMMAND', 'INFO', 'BF.INSERT').then(
    (info) => Array.isArray(info) && Array.isArray(info[0]) && info[0].length > 0,
    (error) => {
      answers.delete(client);
      throw redisFault(error);
    },
  );
  answers.set(client, answer);
  if (!watched.has(client)) client.on('close', () => answers.delete(client));
  watched.add(client);
  return answer;
}

/** `auto` asks the server, whatever its version says. Options: the shape of new filters, and a secret for the items. */
export async function chooseBloomFilter(
  client: RedisClient,
  choice: BloomChoice = 'auto',
  options: BloomOptions = {},
): Promise<BloomFilter> {
  // a function has call(), too
  if (typeof client !== 'object' || typeof client?.call !== 'function' || typeof client.on !== 'function')
    throw new OptionError('createBloomFilter(): the client should be a Redis or Cluster of ioredis, which stays yours');
  if (!['auto', 'module', 'fallback'].includes(choice))
    throw new OptionError(
      `createBloomFilter(): the choice should be 'auto', 'module' or 'fallback', got ${JSON.stringify(choice)?.slice(0, 40)}`,
    );
  if (choice === 'fallback') return new PlainBloomFilter(client, options);
  const has = await hasModule(client);
  if (!has && choice === 'module')
    throw redisFault('this server has no module RedisBloom: load it, or use bloom: "auto"');
  return has ? new RedisBloomFilter(client, options) : new PlainBloomFilter(client, options);
}
