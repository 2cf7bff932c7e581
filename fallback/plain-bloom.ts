import type { Redis } from 'ioredis';
import { bloomFault } from '../lib/bloom/bloom-error.js';
import {
  type BloomFilter,
  type BloomInfo,
  type BloomItem,
  type BloomShape,
  resolveShape,
  toBytes,
} from '../lib/bloom/bloom-filter.js';
import { hashPair } from '../lib/bloom/murmur-hash.js';
import { loadScript } from '../lib/redis/load-script.js';
import { Script, type ScriptArgument } from '../lib/redis/run-script.js';

/** RedisBloom's filter, bit for bit, on plain Redis commands: one string a filter (WIRE.md, "Bloom filter"). */
export class PlainBloomFilter implements BloomFilter {
  readonly implementation = 'fallback';
  readonly lua: string;
  readonly #shape: Required<BloomShape>;
  readonly #reserve: Script;
  readonly #add: Script<number[]>;
  readonly #exists: Script<number[]>;
  readonly #info: Script<number[]>;

  constructor(
    readonly client: Redis,
    shape: BloomShape = {},
  ) {
    this.#shape = resolveShape(shape);
    const { errorRate, capacity, expansion } = this.#shape;
    this.lua = `local ERROR_RATE, CAPACITY, EXPANSION = ${errorRate}, ${capacity}, ${expansion}\n${loadScript('./bloom.lua', import.meta.url)}`;
    const each = (call: string) =>
      `${this.lua}\nlocal r = {} for i = 1, #ARGV do r[i] = ${call}(KEYS[1], ARGV[i]) end return r`;
    this.#add = new Script(each('bloom_add'), 1);
    this.#exists = new Script(each('bloom_exists'), 1);
    this.#reserve = new Script(
      `${this.lua}
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('ERR item exists') end
bloom_reserve(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1')`,
      1,
    );
    this.#info = new Script(
      `${this.lua}
local f = bloom_open(KEYS[1])
if not f then return {} end
local capacity = 0
for _, layer in ipairs(f.layers) do capacity = capacity + layer.entries end
return { capacity, #f.layers, f.size, f.options >= NON_SCALING and 0 or f.growth }`,
      1,
    );
  }

  encode(item: BloomItem): Buffer {
    return hashPair(toBytes(item));
  }

  async reserve(key: string, shape: BloomShape = this.#shape): Promise<void> {
    const { errorRate, capacity, expansion, nonScaling } = resolveShape(shape);
    await this.#run(this.#reserve, [key, errorRate, capacity, expansion, nonScaling ? 1 : 0]);
  }

  async add(key: string, item: BloomItem): Promise<boolean> {
    return (await this.addMany(key, [item]))[0] as boolean;
  }

  async addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return (await this.#run(this.#add, [key, ...items.map((item) => this.encode(item))])).map(Boolean);
  }

  async exists(key: string, item: BloomItem): Promise<boolean> {
    return (await this.existsMany(key, [item]))[0] as boolean;
  }

  async existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return (await this.#run(this.#exists, [key, ...items.map((item) => this.encode(item))])).map(Boolean);
  }

  async cardinality(key: string): Promise<number> {
    return (await this.info(key))?.items ?? 0;
  }

  async info(key: string): Promise<BloomInfo | undefined> {
    const [capacity, layers, items, expansion] = await this.#run(this.#info, [key]);
    if (capacity === undefined) return undefined;
    return { capacity, layers: layers ?? 0, items: items ?? 0, expansion: expansion === 0 ? undefined : expansion };
  }

  async #run<Reply>(script: Script<Reply>, args: ScriptArgument[]): Promise<Reply> {
    try {
      return await script.run(this.client, args);
    } catch (error) {
      throw bloomFault(error);
    }
  }
}
