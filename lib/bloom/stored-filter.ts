import { types } from 'node:util';
import type { RedisClient } from '../redis/client.js';
import { Script, type ScriptArgument } from '../redis/run-script.js';
import { bloomFault } from './bloom-error.js';
import type {
  BloomDump,
  BloomFilter,
  BloomInfo,
  BloomItem,
  BloomOptions,
  BloomShape,
  ResolvedShape,
} from './bloom-filter.js';
import { inBatches, itemKeying } from './bloom-items.js';
import { bloomLua, resolveBloomOptions, resolveShape } from './bloom-options.js';
import { digestOf, MAX_FILTER_BYTES, parseForm } from './filter-format.js';
import { merge } from './merge.js';
import { argumentError } from '../options/check-arguments.js';

/**
 * The base class of both implementations, on RedisBloom and on plain Redis: the options, items in batches, and whatever needs only
 * a filter's bytes, merge() and load(). How a filter is stored, and by which commands it is used, the subclass says.
 */
export abstract class StoredFilter implements BloomFilter {
  abstract readonly implementation: 'module' | 'fallback';
  readonly lua: string;
  readonly keyedItem: (item: BloomItem) => string | Buffer;
  protected readonly shape: ResolvedShape;
  readonly #load: Script<number>;

  constructor(
    readonly client: RedisClient,
    options: BloomOptions,
    luaFile: string,
  ) {
    const { shape, itemSecret } = resolveBloomOptions(options);
    this.shape = shape;
    this.keyedItem = itemKeying(itemSecret);
    this.lua = bloomLua(shape, luaFile);
    this.#load = this.script('return bloom_load(KEYS, ARGV)');
  }

  abstract scriptItem(item: BloomItem): string | readonly number[];
  abstract info(key: string): Promise<BloomInfo | undefined>;
  abstract dump(key: string): Promise<BloomDump | undefined>;
  protected abstract reserveShape(key: string, shape: ResolvedShape): Promise<unknown>;
  protected abstract addBatch(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  protected abstract existsBatch(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  /** A dump's bytes, as the Lua function bloom_load() of this implementation takes them. */
  protected abstract loadArguments(bytes: Buffer): ScriptArgument[];
  /** Does the key, which has another type than expected, hold a filter of the other implementation? */
  protected abstract holdsOtherForm(key: string): Promise<boolean>;

  async reserve(key: string, shape: BloomShape = this.shape): Promise<void> {
    await this.reserveShape(key, resolveShape(shape, this.shape));
  }

  async add(key: string, item: BloomItem): Promise<boolean> {
    return (await this.addMany(key, [item]))[0] as boolean;
  }

  addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return inBatches(items, (batch) => this.addBatch(key, batch));
  }

  async exists(key: string, item: BloomItem): Promise<boolean> {
    return (await this.existsMany(key, [item]))[0] as boolean;
  }

  existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]> {
    return inBatches(items, (batch) => this.existsBatch(key, batch));
  }

  async cardinality(key: string): Promise<number> {
    return (await this.info(key))?.items ?? 0;
  }

  merge(target: string, sources: readonly string[]): Promise<void> {
    return merge(this, target, sources);
  }

  async load(key: string, dump: BloomDump, unchanged?: ReadonlyMap<string, BloomDump | undefined>) {
    const { bytes, ttlMs } = checkedDump(dump);
    const watched = new Map([[key, undefined], ...checkedUnchanged(unchanged)]);
    if (parseForm(bytes).length > MAX_FILTER_BYTES) throw bloomFault('TOOBIG');
    // of each key what it has to hold: a digest of a filter's bytes, or an empty text for nothing
    const digests = [...watched.values()].map((one) => (one ? digestOf(one.bytes) : ''));
    const args = [...watched.keys(), ttlMs ?? '', ...digests, ...this.loadArguments(bytes)];
    return Number(await this.withOurErrors(key, () => this.#load.run(this.client, args, watched.size))) === 1;
  }

  /** A script that can call the functions of `lua`. */
  protected script<Reply>(body: string): Script<Reply> {
    return new Script<Reply>(`${this.lua}\n${body}`);
  }

  /** Runs `act`, which works on the key. Where it fails, rejects with a coded error of this package. */
  protected async withOurErrors<T>(key: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      // a script of ours has looked already, and says OTHERFORM itself
      const mayBeOtherForm = /WRONGTYPE/.test(String(error)) && !/OTHERFORM/.test(String(error));
      if (!mayBeOtherForm || !(await this.holdsOtherForm(key).catch(() => false))) throw bloomFault(error);
      throw bloomFault(`OTHERFORM ${this.implementation === 'module' ? 'fallback' : 'module'}`);
    }
  }
}

/** A filter's remaining time in ms by PTTL's answer; undefined where it has no expiry (-1). */
export const ttlOf = (pttl: unknown): number | undefined => (Number(pttl) < 0 ? undefined : Number(pttl));

/** The dump that load() was given, which may be anything. */
function checkedDump(dump: unknown): BloomDump {
  if (!isDump(dump))
    throw argumentError('load', 'what dump() gives, bytes in a Buffer and whole milliseconds or none', dump);
  return { bytes: dump.bytes, ttlMs: dump.ttlMs };
}

function isDump(given: unknown): given is BloomDump {
  const { bytes, ttlMs } = (given ?? {}) as Partial<BloomDump>;
  return Buffer.isBuffer(bytes) && (ttlMs === undefined || (Number.isSafeInteger(ttlMs) && ttlMs >= 0));
}

/** The keys that load() was told to find unchanged, each with what it has to hold. */
function checkedUnchanged(unchanged: unknown): ReadonlyMap<string, BloomDump | undefined> {
  const given: unknown = unchanged ?? new Map();
  const isPair = ([key, dump]: [unknown, unknown]) => typeof key === 'string' && (dump === undefined || isDump(dump));
  if (types.isMap(given) && [...given].every(isPair)) return given as ReadonlyMap<string, BloomDump | undefined>;
  throw argumentError('load', '"unchanged" to be a Map of keys to what dump() gave for each', unchanged);
}
