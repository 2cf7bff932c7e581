import { targetOf } from '../redis/open-target.js';
import { anyCommand, Script } from '../redis/run-script.js';
import type { RedisClient } from '../redis/client.js';
import type { RedisTarget } from '../redis/target.js';
import { bloomFault } from './bloom-error.js';
import {
  type BloomDump,
  type BloomFilter,
  type BloomInfo,
  type BloomItem,
  type BloomOptions,
  type BloomShape,
  type ResolvedShape,
  blinding,
  bloomLua,
  checkedDump,
  inBatches,
  resolveBloomOptions,
  resolveShape,
} from './bloom-filter.js';
import { digestOf, headerOf, MOST_BYTES, parseForm } from './filter-format.js';
import { merge } from './merge.js';

const MISSING = /not found|does not exist/i;
/** BF.SCANDUMP's own size of a chunk */
const CHUNK = 16 * 1024 * 1024;

/** BF.* of the module RedisBloom (also in Redis 8). https://redis.io/docs/latest/commands/bf.add/ */
export class RedisBloomFilter implements BloomFilter {
  readonly implementation = 'module';
  readonly lua: string;
  readonly blind: (item: BloomItem) => string | Buffer;
  readonly #shape: ResolvedShape;
  readonly #dump: Script<[number, ...Buffer[]]>;
  readonly #load: Script<number>;
  readonly #target: RedisTarget;

  constructor(
    readonly client: RedisClient,
    options: BloomOptions = {},
  ) {
    const { shape, itemSecret } = resolveBloomOptions(options);
    this.#target = targetOf(client);
    this.#shape = shape;
    this.blind = blinding(itemSecret);
    this.lua = bloomLua(this.#shape, 'lib/bloom/redis-bloom.lua');
    this.#dump = new Script(`${this.lua}\nreturn bloom_dump(KEYS[1])`, 1);
    this.#load = new Script(`${this.lua}\nreturn bloom_load(KEYS, ARGV)`);
  }

  /** As text: bytes, and so items of a filter with a secret, are not to be had in JSON. */
  scriptItem(item: BloomItem): string {
    const text = this.blind(item);
    if (typeof text !== 'string') throw new TypeError('a script takes no bytes as an item');
    return text.toWellFormed();
  }

  async reserve(key: string, shape: BloomShape = this.#shape): Promise<void> {
    const { errorRate, capacity, expansion, nonScaling } = resolveShape(shape, this.#shape);
    const scaling = nonScaling ? ['NONSCALING'] : ['EXPANSION', expansion];
    await this.#call('BF.RESERVE', key, errorRate, capacity, ...scaling);
  }

  async add(key: string, item: BloomItem): Promise<boolean> {
    return (await this.addMany(key, [item]))[0] as boolean;
  }

  addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return inBatches(items, (batch) => this.#add(key, batch));
  }

  async #add(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    const { errorRate, capacity, expansion, nonScaling } = this.#shape;
    const shape = ['CAPACITY', capacity, 'ERROR', errorRate];
    const scaling = nonScaling ? ['NONSCALING'] : ['EXPANSION', expansion];
    const args = [...shape, ...scaling, 'ITEMS', ...items.map(this.blind)];
    const replies = (await this.#call('BF.INSERT', key, ...args)) as unknown[];
    for (const reply of replies) if (reply instanceof Error) throw bloomFault(reply);
    return replies.map((reply) => Number(reply) === 1);
  }

  async exists(key: string, item: BloomItem): Promise<boolean> {
    return (await this.existsMany(key, [item]))[0] as boolean;
  }

  /** TYPE goes with it in one round trip: BF.MEXISTS alone takes a string for an empty filter. */
  existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return inBatches(items, (batch) => this.#exists(key, batch));
  }

  async #exists(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    const [type, replies] = await Promise.all([
      this.client.type(key).catch((error) => {
        throw bloomFault(error);
      }),
      this.#call('BF.MEXISTS', key, ...items.map(this.blind)),
    ]);
    if (type !== 'MBbloom--' && type !== 'none') throw await this.#fault(key, 'WRONGTYPE');
    return (replies as unknown[]).map((reply) => Number(reply) === 1);
  }

  async cardinality(key: string): Promise<number> {
    return (await this.info(key))?.items ?? 0;
  }

  async info(key: string): Promise<BloomInfo | undefined> {
    try {
      const reply = (await anyCommand.run(this.client, [key, 'BF.INFO'])) as unknown[];
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
      throw await this.#fault(key, error);
    }
  }

  merge(target: string, sources: readonly string[]): Promise<void> {
    return merge(this, target, sources);
  }

  async dump(key: string): Promise<BloomDump | undefined> {
    try {
      const [ttl, ...chunks] = await this.#dump.runBuffers(this.client, [key]);
      if (chunks.length === 0) return undefined;
      const bytes = Buffer.concat(chunks);
      parseForm(bytes);
      return { bytes, ttlMs: Number(ttl) < 0 ? undefined : Number(ttl) };
    } catch (error) {
      throw await this.#fault(key, error);
    }
  }

  async load(key: string, dump: BloomDump, unchanged?: ReadonlyMap<string, BloomDump | undefined>) {
    const { bytes, ttlMs } = checkedDump(dump);
    const watched = new Map([[key, undefined], ...(unchanged ?? [])]);
    const digests = [...watched.values()].map((dump) => (dump ? digestOf(dump.bytes) : ''));
    const chunks: (number | Buffer)[] = [1, headerOf(bytes)];
    let iterator = 1;
    const { layers, length } = parseForm(bytes);
    if (length > MOST_BYTES) throw bloomFault('TOOBIG');
    for (const { at, bits } of layers)
      for (let from = at; from < at + bits / 8; from += CHUNK) {
        const chunk = bytes.subarray(from, Math.min(from + CHUNK, at + bits / 8));
        iterator += chunk.length;
        chunks.push(iterator, chunk);
      }
    try {
      const args = [...watched.keys(), ttlMs ?? '', ...digests, ...chunks];
      return Number(await this.#load.run(this.client, args, watched.size)) === 1;
    } catch (error) {
      throw await this.#fault(key, error);
    }
  }

  async #call(command: string, key: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    try {
      return await this.#target.callOnKey(command, key, args);
    } catch (error) {
      throw await this.#fault(key, error);
    }
  }

  /** A key of another type: which, is worth a look. */
  async #fault(key: string, cause: unknown): Promise<Error> {
    const known = bloomFault(cause);
    if (!/WRONGTYPE/.test(String(cause)) || /OTHERFORM/.test(String(cause))) return known;
    const head = await this.client.getrange(key, 0, 7).catch(() => '');
    return head.startsWith('ISBLOOM') ? bloomFault('OTHERFORM fallback') : known;
  }
}
