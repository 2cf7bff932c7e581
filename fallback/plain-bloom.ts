import { LRUCache } from 'lru-cache';
import { bloomFault } from '../lib/bloom/bloom-error.js';
import type { BloomDump, BloomInfo, BloomItem, BloomOptions, ResolvedShape } from '../lib/bloom/bloom-filter.js';
import { areOne, toBytes } from '../lib/bloom/bloom-items.js';
import {
  type FilterForm,
  formHas,
  HEADER_BYTES,
  isNonScaling,
  LAYER_HEADER_BYTES,
  parseForm,
  positions,
} from '../lib/bloom/filter-format.js';
import { StoredFilter, ttlOf } from '../lib/bloom/stored-filter.js';
import { type HashPair, hashPair } from '../lib/hash/murmur-hash.js';
import type { RedisClient } from '../lib/redis/client.js';
import type { Script, ScriptArgument } from '../lib/redis/run-script.js';

const MAGIC = Buffer.from('ISBLOOM1');
/** A filter of fewer bytes is read by one GETRANGE and checked in this process, however many items there are. */
const SMALL_BYTES = 4096;
/** Up to so many bits are read by BITFIELD_RO. For more its arguments cost more than a script does. */
const MAX_PROBED_BITS = 256;
const MAX_REMEMBERED_STARTS = 1000;

/** RedisBloom's filter, bit for bit, on plain Redis commands: one string a filter (WIRE.md, "Bloom filter"). */
export class PlainBloomFilter extends StoredFilter {
  readonly implementation = 'fallback';
  /** By key, bigger filters that were seen, so that the next check need not read the header first. */
  readonly #starts = new LRUCache<string, Start>({ max: MAX_REMEMBERED_STARTS });
  readonly #reserve: Script;
  readonly #add: Script<number[]>;
  readonly #exists: Script<number[]>;
  readonly #readStart: Script<Buffer | null>;

  constructor(client: RedisClient, options: BloomOptions = {}) {
    super(client, options, 'fallback/bloom.lua');
    this.#add = this.script(`local r, f = {}, bloom_ready(KEYS[1])
for i = 1, #ARGV do r[i], f = bloom_put(f, bloom_item(ARGV[i])) end
return r`);
    this.#exists = this.script(`local items = {}
for i = 1, #ARGV do items[i] = bloom_item(ARGV[i]) end
return (bloom_which(KEYS[1], items))`);
    this.#reserve = this
      .script(`if redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('ERR item exists') end
bloom_reserve(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1')`);
    this.#readStart = this.script('return bloom_start(KEYS[1])');
  }

  scriptItem(item: BloomItem): readonly number[] {
    return wordsOf(this.#pairOf(item));
  }

  protected reserveShape(key: string, shape: ResolvedShape): Promise<unknown> {
    const { errorRate, capacity, expansion, nonScaling } = shape;
    return this.#run(this.#reserve, [key, errorRate, capacity, expansion, nonScaling ? 1 : 0]);
  }

  protected async addBatch(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return areOne(await this.#run(this.#add, [key, ...items.map((item) => bytesOf(this.#pairOf(item)))]));
  }

  /**
   * By one GETRANGE of a small filter, or BITFIELD_RO of a bigger one; by the script where there are too many bits for that.
   */
  protected async existsBatch(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    const pairs = items.map((item) => this.#pairOf(item));
    const answers = await this.#probe(key, pairs);
    if (answers) return answers;
    if (!this.#starts.has(key)) {
      const start = await this.#start(key);
      if (!start) return pairs.map(() => false);
      const { dump, form } = start;
      if (dump) return pairs.map((pair) => formHas(dump, form, pair));
    }
    return (await this.#probe(key, pairs)) ?? areOne(await this.#run(this.#exists, [key, ...pairs.map(bytesOf)]));
  }

  async info(key: string): Promise<BloomInfo | undefined> {
    const start = await this.#start(key);
    if (!start) return undefined;
    const { items, layers, expansion } = start.form;
    return {
      capacity: layers.reduce((sum, { entries }) => sum + entries, 0),
      layers: layers.length,
      items,
      expansion: isNonScaling(start.form) ? undefined : expansion,
    };
  }

  async dump(key: string): Promise<BloomDump | undefined> {
    const [text, ttl] = await this.attempt(key, () => Promise.all([this.client.getBuffer(key), this.client.pttl(key)]));
    if (text === null || Number(ttl) === -2) return undefined; // -2: the key has gone meanwhile
    const bytes = afterMagic(text);
    parseForm(bytes);
    return { bytes, ttlMs: ttlOf(ttl) };
  }

  protected loadArguments(bytes: Buffer): ScriptArgument[] {
    return [Buffer.concat([MAGIC, bytes])];
  }

  protected async holdsOtherForm(key: string): Promise<boolean> {
    return (await this.client.type(key)) === 'MBbloom--';
  }

  /**
   * Reads the start of a filter, and a small one as a whole. The start of a bigger one is checked by a script, and remembered.
   */
  async #start(key: string): Promise<Start | undefined> {
    const head = await this.attempt(key, () => this.client.getrangeBuffer(key, 0, SMALL_BYTES - 1));
    const small = head.length < SMALL_BYTES;
    const text = small ? head : await this.attempt(key, () => this.#readStart.runBuffers(this.client, [key]));
    if (!text || text.length === 0) return undefined;
    const bytes = afterMagic(text);
    const start = { text, form: parseForm(bytes, small), dump: small ? bytes : undefined };
    if (!small) this.#starts.set(key, start);
    return start;
  }

  /**
   * Checks items by one BITFIELD_RO where the filter's start is remembered. The command reads the magic and the layers' sizes
   * again. Gives undefined where they have changed (the filter has grown, or is gone), where the start is not known, and where
   * there are too many bits to read.
   */
  async #probe(key: string, pairs: readonly HashPair[]): Promise<boolean[] | undefined> {
    const start = this.#starts.get(key);
    if (!start) return undefined;
    const { layers } = start.form;
    const perItem = layers.reduce((sum, { hashes }) => sum + hashes, 0);
    if (pairs.length * perItem > MAX_PROBED_BITS) return undefined;
    const fixed = fixedParts(layers.length);
    const words: (string | number)[] = fixed.flatMap(({ at, bytes }) => ['GET', `u${bytes * 8}`, at * 8]);
    for (const pair of pairs)
      for (const layer of layers)
        for (const b of positions(pair, layer))
          // BITFIELD counts a byte's bits from the highest, the filter from the lowest
          words.push('GET', 'u1', (MAGIC.length + layer.at) * 8 + b + 7 - 2 * (b % 8));
    const reply = (await this.attempt(key, () => this.client.call('BITFIELD_RO', key, ...words))) as number[];
    if (fixed.some(({ at, bytes }, i) => Number(reply[i]) !== start.text.readUIntBE(at, bytes))) {
      this.#starts.delete(key);
      return undefined;
    }
    let next = fixed.length;
    return pairs.map(() => {
      let has = false;
      for (const { hashes } of layers) {
        has ||= reply.slice(next, next + hashes).every((bit) => Number(bit) === 1);
        next += hashes;
      }
      return has;
    });
  }

  #pairOf(item: BloomItem): HashPair {
    return hashPair(toBytes(this.keyedItem(item)));
  }

  #run<Reply>(script: Script<Reply>, args: ScriptArgument[]): Promise<Reply> {
    return this.attempt(String(args[0]), () => script.run(this.client, args));
  }
}

/** The start of a filter's string, and what it says; `dump` is all of a small filter, without the magic. */
interface Start {
  readonly text: Buffer;
  readonly form: FilterForm;
  readonly dump: Buffer | undefined;
}

/**
 * As long as these bytes are the same (the magic's end; the number of layers; each one's bits and hashes), an item's bits are
 * where they were. Of 8 bytes 6 are compared, since BITFIELD can't read 8 as one number and all numbers are below 2^48.
 */
function fixedParts(layers: number): { at: number; bytes: number }[] {
  const header = MAGIC.length;
  const parts = [
    { at: 2, bytes: 6 },
    { at: header + 8, bytes: 4 },
  ];
  for (let i = 0; i < layers; i++) {
    const layer = header + HEADER_BYTES + i * LAYER_HEADER_BYTES;
    parts.push({ at: layer + 8, bytes: 6 }, { at: layer + 40, bytes: 1 });
  }
  return parts;
}

/** An item as the scripts take it: four numbers of 32 bits, or the same as bytes, little-endian. */
const wordsOf = ([first, second]: HashPair): number[] => [first.lo, first.hi, second.lo, second.hi];

function bytesOf(pair: HashPair): Buffer {
  const bytes = Buffer.allocUnsafe(16);
  for (const [i, word] of wordsOf(pair).entries()) bytes.writeUInt32LE(word, 4 * i);
  return bytes;
}

function afterMagic(text: Buffer): Buffer {
  if (!text.subarray(0, MAGIC.length).equals(MAGIC))
    throw bloomFault(/^ISBLOOM[2-9]/.test(text.toString('latin1', 0, MAGIC.length)) ? 'NEWER' : 'WRONGTYPE');
  return text.subarray(MAGIC.length);
}
