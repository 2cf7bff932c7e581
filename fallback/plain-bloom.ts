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
  MODULE_TYPE,
  parseForm,
  positions,
} from '../lib/bloom/filter-format.js';
import { StoredFilter, ttlOf } from '../lib/bloom/stored-filter.js';
import { type HashPair, hashPair } from '../lib/hash/murmur-hash.js';
import type { RedisClient } from '../lib/redis/client.js';
import type { Script, ScriptArgument } from '../lib/redis/run-script.js';

const MAGIC = Buffer.from('ISBLOOM1');
/** A filter whose string is shorter is read by one GETRANGE and checked in this process, however many items are asked for. */
const SMALL_BYTES = 4096;
/** For so many bits at most BITFIELD_RO is used: with more, its arguments would cost more than a script does. */
const MAX_PROBED_BITS = 256;
const MAX_REMEMBERED_HEADERS = 1000;

/** RedisBloom's filter, bit for bit, on plain Redis commands: one string a filter (WIRE.md, "Bloom filter"). */
export class PlainBloomFilter extends StoredFilter {
  readonly implementation = 'fallback';
  /** By key, bigger filters that were seen, so that the next check need not read the header first. */
  readonly #headers = new LRUCache<string, Header>({ max: MAX_REMEMBERED_HEADERS });
  readonly #reserve: Script;
  readonly #add: Script<number[]>;
  readonly #exists: Script<number[]>;
  readonly #readHeader: Script<Buffer | null>;

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
    this.#readHeader = this.script('return bloom_start(KEYS[1])');
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
   * By BITFIELD_RO where the header is remembered, or by a script where there are too many bits for that. Else the header is read
   * first, which brings all of a small filter: that is checked here.
   */
  protected async existsBatch(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    const pairs = items.map((item) => this.#pairOf(item));
    const answers = await this.#probe(key, pairs);
    if (answers) return answers;
    if (!this.#headers.has(key)) {
      const header = await this.#header(key);
      if (!header) return pairs.map(() => false);
      const { dump, form } = header;
      if (dump) return pairs.map((pair) => formHas(dump, form, pair));
    }
    return (await this.#probe(key, pairs)) ?? areOne(await this.#run(this.#exists, [key, ...pairs.map(bytesOf)]));
  }

  async info(key: string): Promise<BloomInfo | undefined> {
    const header = await this.#header(key);
    if (!header) return undefined;
    const { items, layers, expansion } = header.form;
    return {
      capacity: layers.reduce((sum, { entries }) => sum + entries, 0),
      layers: layers.length,
      items,
      expansion: isNonScaling(header.form) ? undefined : expansion,
    };
  }

  async dump(key: string): Promise<BloomDump | undefined> {
    const [text, ttl] = await this.withOurErrors(key, () =>
      Promise.all([this.client.getBuffer(key), this.client.pttl(key)]),
    );
    if (text === null || Number(ttl) === -2) return undefined; // -2: the key has gone meanwhile
    const bytes = afterMagic(text);
    parseForm(bytes);
    return { bytes, ttlMs: ttlOf(ttl) };
  }

  protected loadArguments(bytes: Buffer): ScriptArgument[] {
    return [Buffer.concat([MAGIC, bytes])];
  }

  protected async holdsOtherForm(key: string): Promise<boolean> {
    return (await this.client.type(key)) === MODULE_TYPE;
  }

  /**
   * Reads the header of a filter, and a small one as a whole. A bigger one's is checked by a script, and remembered.
   */
  async #header(key: string): Promise<Header | undefined> {
    const head = await this.withOurErrors(key, () => this.client.getrangeBuffer(key, 0, SMALL_BYTES - 1));
    const small = head.length < SMALL_BYTES;
    const text = small ? head : await this.withOurErrors(key, () => this.#readHeader.runBuffers(this.client, [key]));
    if (!text || text.length === 0) return undefined;
    const bytes = afterMagic(text);
    const header = { text, form: parseForm(bytes, small), dump: small ? bytes : undefined };
    if (!small) this.#headers.set(key, header);
    return header;
  }

  /**
   * Checks items by one BITFIELD_RO where the filter's header is remembered. The command reads the magic and the layers' sizes
   * again. Gives undefined where they have changed (the filter has grown, or is gone), where the header is not known, and where
   * there are too many bits to read.
   */
  async #probe(key: string, pairs: readonly HashPair[]): Promise<boolean[] | undefined> {
    const header = this.#headers.get(key);
    if (!header) return undefined;
    const { layers } = header.form;
    const perItem = layers.reduce((sum, { hashes }) => sum + hashes, 0);
    if (pairs.length * perItem > MAX_PROBED_BITS) return undefined;
    const fixed = fixedParts(layers.length);
    const fields: (string | number)[] = fixed.flatMap(({ at, bytes }) => ['GET', `u${bytes * 8}`, at * 8]);
    for (const pair of pairs)
      for (const layer of layers)
        for (const b of positions(pair, layer))
          // BITFIELD counts a byte's bits from the highest, the filter from the lowest
          fields.push('GET', 'u1', (MAGIC.length + layer.at) * 8 + b + 7 - 2 * (b % 8));
    const reply = (await this.withOurErrors(key, () => this.client.call('BITFIELD_RO', key, ...fields))) as number[];
    if (fixed.some(({ at, bytes }, i) => Number(reply[i]) !== header.text.readUIntBE(at, bytes))) {
      this.#headers.delete(key);
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
    return this.withOurErrors(String(args[0]), () => script.run(this.client, args));
  }
}

/** The beginning of a filter's string, magic and header, and what it says; `dump` is all of a small filter, without the magic. */
interface Header {
  readonly text: Buffer;
  readonly form: FilterForm;
  readonly dump: Buffer | undefined;
}

/**
 * As long as these bytes are the same (the magic's end; the number of layers; each one's bits and hashes), an item's bits are
 * where they were. Of the 8 bytes of the magic, and of a number of bits, 6 are compared: more are no exact number in JavaScript,
 * and no filter has 2^48 bits.
 */
function fixedParts(layers: number): { at: number; bytes: number }[] {
  const headerAt = MAGIC.length;
  const parts = [
    { at: 2, bytes: 6 }, // of the magic
    { at: headerAt + 8, bytes: 4 },
  ];
  for (let i = 0; i < layers; i++) {
    const layer = headerAt + HEADER_BYTES + i * LAYER_HEADER_BYTES;
    parts.push({ at: layer + 8, bytes: 6 }, { at: layer + 40, bytes: 4 });
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
