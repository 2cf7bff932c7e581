import type { Redis } from 'ioredis';
import { PlainBloomFilter } from '../../fallback/plain-bloom.js';
import { redisFault } from '../errors.js';
import type { BloomFilter, BloomShape } from './bloom-filter.js';
import { RedisBloomFilter } from './redis-bloom.js';

export type BloomChoice = 'auto' | 'module' | 'fallback';

/** `auto` asks the server whether it knows BF.INSERT (COMMAND INFO, one round trip), whatever its version says. */
export async function chooseBloomFilter(
  client: Redis,
  choice: BloomChoice = 'auto',
  shape: BloomShape = {},
): Promise<BloomFilter> {
  if (choice === 'fallback') return new PlainBloomFilter(client, shape);
  const known = await client.call('COMMAND', 'INFO', 'BF.INSERT').catch((error) => {
    throw redisFault(error);
  });
  const has = Array.isArray(known) && Array.isArray(known[0]) && known[0].length > 0;
  if (!has && choice === 'module')
    throw redisFault('this server has no module RedisBloom: load it, or use bloom: "auto"');
  return has ? new RedisBloomFilter(client, shape) : new PlainBloomFilter(client, shape);
}
