import { LRUCache } from 'lru-cache';
import { bloomFault } from '../lib/bloom/bloom-error.js';
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
  inBatches,
  resolveBloomOptions,
  resolveShape,
  toBytes,
} from '../lib/bloom/bloom-filter.js';
import {
  digestOf,
  type FilterForm,
  formHas,
  isNonScaling,
  MOST_BYTES,
  parseForm,
  positions,
} from '../lib/bloom/filter-format.js';
import { merge } from '../lib/bloom/merge.js';
import { type HashPair, hashPair } from '../lib/hash/murmur-hash.js';
import type { RedisClient } from '../lib/redis/connect.js';
import { Script, type ScriptArgument } from '../lib/redis/run-script.js';

const MAGIC = Buffer.from('ISBLOOM1');
/** Up to here a filter is read whole and asked here: one GETRANGE, whatever the number of items. */
const SMALL = 4096;
/** More bits than this are asked for by script: BITFIELD's arguments would cost more. */
const MOST_PROBES = 256;
const REMEMBERED = 1000;

/** RedisBloom's filter, bit for bit, on plain Redis commands: one string a filter (WIRE.md, "Bloom filter"). */
export class PlainBloomFilter implements BloomFilter {
  readonly implementation = 'fallback';
  readonly lua: string;
  readonly blind: (item: BloomItem) => string | Buffer;
  readonly #shape: ResolvedShape;
  /** bigger filters that were seen, so that the next check needs no look at the header first */
  readonly #starts = new LRUCache<string, Start>({ max: REMEMBERED });
  readonly #reserve: Script;
  readonly #add: Script<number[]>;
  readonly #exists: Script<number[]>;
  readonly #load: Script<number>;
  readonly #checked: Script<Buffer | null>;

  constructor(
    readonly client: RedisClient,
    options: BloomOptions = {},
  ) {
    const { shape, itemSecret } = resolveBloomOptions(options);
    this.#shape = shape;
    this.blind = blinding(itemSecret);
    this.lua = bloomLua(this.#shape, 'fallback/bloom.lua');
    const script = <Reply>(body: string, keys?: number) => new Script<Reply>(`${this.lua}\n${body}`, keys);
    this.#add = script(
      `local r, f = {}, bloom_ready(KEYS[1])
for i = 1, #ARGV do r[i], f = bloom_put(f, bloom_item(ARGV[i])) end
return r`,
      1,
    );
    this.#exists = script(
      `local items = {}
for i = 1, #ARGV do items[i] = bloom_item(ARGV[i]) end
return (bloom_which(KEYS[1], items))`,
      1,
    );
    this.#reserve = script(
      `if redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('ERR item exists') end
bloom_reserve(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1')`,
      1,
    );
    this.#load = script('return bloom_load(KEYS, ARGV)');
    this.#checked = script('return bloom_start(KEYS[1])');
  }

  scriptItem(item: BloomItem): readonly number[] {
    return wordsOf(hashPair(toBytes(this.blind(item))));
  }

  async reserve(key: string, shape: BloomShape = this.#shape): Promise<void> {
    const { errorRate, capacity, expansion, nonScaling } = resolveShape(shape, this.#shape);
    await this.#run(this.#reserve, [key, errorRate, capacity, expansion, nonScaling ? 1 : 0]);
  }

  async add(key: string, item: BloomItem): Promise<boolean> {
    return (await this.addMany(key, [item]))[0] as boolean;
  }

  addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return inBatches(items, async (batch) =>
      areOne(await this.#run(this.#add, [key, ...this.#pairs(batch).map(bytesOf)])),
    );
  }

  async exists(key: string, item: BloomItem): Promise<boolean> {
    return (await this.existsMany(key, [item]))[0] as boolean;
  }

  existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return inBatches(items, (batch) => this.#ask(key, this.#pairs(batch)));
  }

  async #ask(key: string, pairs: readonly HashPair[]): Promise<boolean[]> {
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

  async cardinality(key: string): Promise<number> {
    return (await this.info(key))?.items ?? 0;
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

  merge(target: string, sources: readonly string[]): Promise<void> {
    return merge(this, target, sources);
  }

  async dump(key: string): Promise<BloomDump | undefined> {
    const [text, ttl] = await this.#try(key, () => Promise.all([this.client.getBuffer(key), this.client.pttl(key)]));
    if (text === null || Number(ttl) === -2) return undefined;
    const bytes = afterMagic(text);
    parseForm(bytes);
    return { bytes, ttlMs: Number(ttl) < 0 ? undefined : Number(ttl) };
  }

  async load(key: string, { bytes, ttlMs }: BloomDump, unchanged?: ReadonlyMap<string, BloomDump | undefined>) {
    if (parseForm(bytes).length > MOST_BYTES) throw bloomFault('TOOBIG');
    const watched = new Map([[key, undefined], ...(unchanged ?? [])]);
    const digests = [...watched.values()].map((dump) => (dump ? digestOf(dump.bytes) : ''));
    const args = [...watched.keys(), ttlMs ?? '', ...digests, Buffer.concat([MAGIC, bytes])];
    return Number(await this.#try(key, () => this.#load.run(this.client, args, watched.size))) === 1;
  }

  /** The start of a filter, all of it where it is small; a bigger one's is checked by the server, and remembered. */
  async #start(key: string): Promise<Start | undefined> {
    const head = await this.#try(key, () => this.client.getrangeBuffer(key, 0, SMALL - 1));
    const small = head.length < SMALL;
    const text = small ? head : await this.#try(key, () => this.#checked.runBuffers(this.client, [key]));
    if (!text || text.length === 0) return undefined;
    const bytes = afterMagic(text);
    const start = { text, form: parseForm(bytes, small), dump: small ? bytes : undefined };
    if (!small) this.#starts.set(key, start);
    return start;
  }

  /**
   * Asks a filter whose start is known by one BITFIELD_RO, which reads the magic and the layers' sizes again: undefined
   * where they are others by now (it has grown, or gone), where none are known, and where there is too much to ask.
   */
  async #probe(key: string, pairs: readonly HashPair[]): Promise<boolean[] | undefined> {
    const start = this.#starts.get(key);
    if (!start) return undefined;
    const { layers } = start.form;
    const perItem = layers.reduce((sum, { hashes }) => sum + hashes, 0);
    if (pairs.length * perItem > MOST_PROBES) return undefined;
    const fixed = fixedParts(layers.length);
    const words: (string | number)[] = fixed.flatMap(({ at, bytes }) => ['GET', `u${bytes * 8}`, at * 8]);
    for (const pair of pairs)
      for (const layer of layers)
        for (const b of positions(pair, layer))
          words.push('GET', 'u1', (MAGIC.length + layer.at) * 8 + b + 7 - 2 * (b % 8));
    const reply = (await this.#try(key, () => this.client.call('BITFIELD_RO', key, ...words))) as number[];
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

  #pairs(items: readonly BloomItem[]): HashPair[] {
    return items.map((item) => hashPair(toBytes(this.blind(item))));
  }

  #run<Reply>(script: Script<Reply>, args: ScriptArgument[]): Promise<Reply> {
    return this.#try(String(args[0]), () => script.run(this.client, args));
  }

  /** A key of another type: which, is worth a look. */
  async #try<T>(key: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      const known = bloomFault(error);
      if (!/WRONGTYPE Operation/.test(String(error))) throw known;
      const type = await this.client.type(key).catch(() => '');
      throw type === 'MBbloom--' ? bloomFault('OTHERFORM module') : known;
    }
  }
}

/** The start of a filter's string, read, and all of it (without the magic) where it is small. */
interface Start {
  readonly text: Buffer;
  readonly form: FilterForm;
  readonly dump: Buffer | undefined;
}

/** What must not have changed for a filter's bits to be where they were: the magic's end, layers, their bits and hashes. */
function fixedParts(layers: number): { at: number; bytes: number }[] {
  const parts = [
    { at: 2, bytes: 6 },
    { at: 16, bytes: 4 },
  ];
  for (let i = 0; i < layers; i++) parts.push({ at: 36 + i * 53, bytes: 6 }, { at: 68 + i * 53, bytes: 1 });
  return parts;
}

/** An item as the scripts take it: four numbers of 32 bits, or the same as bytes, little-endian. */
const wordsOf = ([first, second]: HashPair): number[] => [first.lo, first.hi, second.lo, second.hi];

function bytesOf(pair: HashPair): Buffer {
  const bytes = Buffer.allocUnsafe(16);
  for (const [i, word] of wordsOf(pair).entries()) bytes.writeUInt32LE(word, 4 * i);
  return bytes;
}

const areOne = (replies: readonly unknown[]): boolean[] => replies.map((reply) => Number(reply) === 1);

function afterMagic(text: Buffer): Buffer {
  if (!text.subarray(0, MAGIC.length).equals(MAGIC))
    throw bloomFault(/^ISBLOOM[2-9]/.test(text.toString('latin1', 0, MAGIC.length)) ? 'NEWER' : 'WRONGTYPE');
  return text.subarray(MAGIC.length);
}
