import { PlainBloomFilter } from '../../fallback/plain-bloom.js';
import { OptionError, redisFault } from '../errors/errors.js';
import type { RedisClient } from '../redis/connect.js';
import type { BloomFilter, BloomOptions } from '../bloom/bloom-filter.js';
import { RedisBloomFilter } from '../bloom/redis-bloom.js';

export type BloomChoice = 'auto' | 'module' | 'fallback';

/** Has each connection's server RedisBloom? Forgotten when the connection is lost, since it may next be to another server. */
const answers = new WeakMap<RedisClient, Promise<boolean>>();
/** connections that have a listener of this module already */
const watched = new WeakSet<RedisClient>();

/** Does this connection's server know BF.INSERT? One round trip (COMMAND INFO) for each time that it connects. */
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

/**
 * Makes a Bloom filter: on RedisBloom, on plain Redis, or (`auto`) on RedisBloom where the server says that it has it, whatever
 * its version is. The options are the shape of new filters and a secret for the items.
 */
export async function chooseBloomFilter(
  client: RedisClient,
  choice: BloomChoice = 'auto',
  options: BloomOptions = {},
): Promise<BloomFilter> {
  return (await bloomFilterMaker(client, choice))(options);
}

/** Makes Bloom filters of the kind that chooseBloomFilter() makes. The server has been asked by then. */
export async function bloomFilterMaker(
  client: RedisClient,
  choice: BloomChoice,
): Promise<(options: BloomOptions) => BloomFilter> {
  // any function has a call() as well, so the type is looked at first
  if (typeof client !== 'object' || typeof client?.call !== 'function' || typeof client.on !== 'function')
    throw new OptionError('createBloomFilter(): the client should be a Redis or Cluster of ioredis, which stays yours');
  if (!['auto', 'module', 'fallback'].includes(choice))
    throw new OptionError(
      `createBloomFilter(): the choice should be 'auto', 'module' or 'fallback', got ${JSON.stringify(choice)?.slice(0, 40)}`,
    );
  const has = choice !== 'fallback' && (await hasModule(client));
  if (!has && choice === 'module')
    throw redisFault('this server has no module RedisBloom: load it, or use bloom: "auto"');
  return (options) => (has ? new RedisBloomFilter(client, options) : new PlainBloomFilter(client, options));
}
