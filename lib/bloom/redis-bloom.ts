import type { Redis } from 'ioredis';
import { loadScript } from '../redis/load-script.js';
import { bloomFault } from './bloom-error.js';
import {
  type BloomFilter,
  type BloomInfo,
  type BloomItem,
  type BloomShape,
  resolveShape,
  toBytes,
} from './bloom-filter.js';

const MISSING = /not found|does not exist/i;

/** BF.* of the module RedisBloom (also in Redis 8). https://redis.io/docs/latest/commands/bf.add/ */
export class RedisBloomFilter implements BloomFilter {
  readonly implementation = 'module';
  readonly lua: string;
  readonly #shape: Required<BloomShape>;

  constructor(
    readonly client: Redis,
    shape: BloomShape = {},
  ) {
    this.#shape = resolveShape(shape);
    const { errorRate, capacity, expansion } = this.#shape;
    this.lua = `local ERROR_RATE, CAPACITY, EXPANSION = ${errorRate}, ${capacity}, ${expansion}\n${loadScript('./redis-bloom.lua', import.meta.url)}`;
  }

  encode(item: BloomItem): Buffer {
    return toBytes(item);
  }

  async reserve(key: string, shape: BloomShape = this.#shape): Promise<void> {
    const { errorRate, capacity, expansion, nonScaling } = resolveShape(shape);
    await this.#call(
      'BF.RESERVE',
      key,
      errorRate,
      capacity,
      ...(nonScaling ? ['NONSCALING'] : ['EXPANSION', expansion]),
    );
  }

  async add(key: string, item: BloomItem): Promise<boolean> {
    return (await this.addMany(key, [item]))[0] as boolean;
  }

  async addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    if (items.length === 0) return [];
    const { errorRate, capacity, expansion } = this.#shape;
    const shape = ['CAPACITY', capacity, 'ERROR', errorRate, 'EXPANSION', expansion];
    const replies = (await this.#call('BF.INSERT', key, ...shape, 'ITEMS', ...items.map(toBytes))) as unknown[];
    for (const reply of replies) if (reply instanceof Error) throw bloomFault(reply);
    return replies.map(Boolean);
  }

  async exists(key: string, item: BloomItem): Promise<boolean> {
    return (await this.existsMany(key, [item]))[0] as boolean;
  }

  /** TYPE goes with it in one round trip: BF.MEXISTS alone takes a string for an empty filter. */
  async existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    if (items.length === 0) return [];
    const [type, replies] = await Promise.all([
      this.#call('TYPE', key),
      this.#call('BF.MEXISTS', key, ...items.map(toBytes)),
    ]);
    if (type !== 'MBbloom--' && type !== 'none') throw bloomFault('WRONGTYPE');
    return (replies as unknown[]).map(Boolean);
  }

  async cardinality(key: string): Promise<number> {
    return (await this.info(key))?.items ?? 0;
  }

  async info(key: string): Promise<BloomInfo | undefined> {
    try {
      const reply = (await this.client.call('BF.INFO', key)) as unknown[];
      const field = (name: string) => reply[reply.indexOf(name) + 1];
      const expansion = field('Expansion rate');
      return {
        capacity: Number(field('Capacity')),
        layers: Number(field('Number of filters')),
        items: Number(field('Number of items inserted')),
        expansion: expansion === null ? undefined : Number(expansion),
      };
    } catch (error) {
      if (error instanceof Error && MISSING.test(error.message)) return undefined;
      throw bloomFault(error);
    }
  }

  async #call(command: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    try {
      return await this.client.call(command, ...args);
    } catch (error) {
      throw bloomFault(error);
    }
  }
}
