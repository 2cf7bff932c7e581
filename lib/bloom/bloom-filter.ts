import { createHmac } from 'node:crypto';
import { OptionError } from '../errors.js';
import { loadScript } from '../redis/load-script.js';

/** The shape of a filter: RedisBloom's names and defaults. */
export interface BloomShape {
  /** Rate of false positives of the whole, over 0 and under 1. @default 0.01 */
  readonly errorRate?: number;
  /** Items in the first layer, 1 to 2^30. @default 100 */
  readonly capacity?: number;
  /** Entries of each further layer, as a multiple of the one before, 1 to 32768. @default 2 */
  readonly expansion?: number;
  /** One layer only: an add to a full filter is an error. @default false */
  readonly nonScaling?: boolean;
}

export interface BloomOptions extends BloomShape {
  /**
   * What stands in the filter for an item is its HMAC-SHA256 with this secret (16 characters or bytes at least): who has
   * the filter and not the secret can't ask it about anything. Another secret is another filter. @default none
   */
  readonly itemSecret?: string | Uint8Array | undefined;
}

/** Text is UTF-8, as it is: the normal forms of one text are different items. */
export type BloomItem = string | Uint8Array;

/** What BF.INFO tells. */
export interface BloomInfo {
  readonly capacity: number;
  readonly layers: number;
  readonly items: number;
  /** undefined for a non-scaling filter */
  readonly expansion: number | undefined;
}

/** A filter whole, in the form that both implementations share: what BF.SCANDUMP gives, header and layers. */
export interface BloomDump {
  readonly bytes: Buffer;
  /** what it still has to live; undefined: no expiry */
  readonly ttlMs: number | undefined;
}

/** A Bloom filter in Redis: on RedisBloom or on plain Redis, the same answers. One round trip where nothing else is said. */
export interface BloomFilter {
  readonly implementation: 'module' | 'fallback';
  /** Makes an empty filter; rejects if the key exists. */
  reserve(key: string, shape?: BloomShape): Promise<void>;
  /** true if the item was not there (as far as the filter can tell). */
  add(key: string, item: BloomItem): Promise<boolean>;
  addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  /** The fallback's first look at a filter over 4 KB is two round trips, and so is the first after it has grown. */
  exists(key: string, item: BloomItem): Promise<boolean>;
  existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  /** Items added, 0 for a missing key. */
  cardinality(key: string): Promise<number>;
  /** undefined for a missing key */
  info(key: string): Promise<BloomInfo | undefined>;
  /**
   * `target` then holds what it and the sources held; the sources stay. Two round trips, the filters' bytes over the wire
   * three times at most, tried again where a filter changes meanwhile. Layers of one geometry are united bit by bit, others
   * kept side by side; where the error rate would not hold, it rejects and nothing is changed. Counts of united layers are
   * estimates. The target keeps its expiry; a new one has the longest of the sources'. In a Cluster, one slot.
   */
  merge(target: string, sources: readonly string[]): Promise<void>;
  /** The filter whole, undefined for a missing key: at most 512 MB, read at once. */
  dump(key: string): Promise<BloomDump | undefined>;
  /**
   * Writes a filter whole, in one atomic step, if the keys of `unchanged` are as they were dumped (undefined: missing);
   * false if one is not. By default: if the key is missing.
   */
  load(key: string, dump: BloomDump, unchanged?: ReadonlyMap<string, BloomDump | undefined>): Promise<boolean>;
  /** Lua with `bloom_add(key, item)`, `bloom_exists(key, item)` and `bloom_check(key)`, to stand before another script. */
  readonly lua: string;
  /** An item as that Lua takes it in ARGV. */
  encode(item: BloomItem): Buffer;
  /** What stands for an item: its bytes, or their HMAC. */
  blind(item: BloomItem): Buffer;
}

export function resolveShape({
  errorRate = 0.01,
  capacity = 100,
  expansion = 2,
  nonScaling = false,
}: BloomShape = {}): Required<BloomShape> {
  if (!(errorRate > 0 && errorRate < 1)) throw bad('errorRate', 'a number over 0 and under 1', errorRate);
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > 2 ** 30)
    throw bad('capacity', 'a whole number from 1 to 2^30', capacity);
  if (!Number.isInteger(expansion) || expansion < 1 || expansion > 32_768)
    throw bad('expansion', 'a whole number from 1 to 32768', expansion);
  return { errorRate, capacity, expansion, nonScaling };
}

/** The functions of a .lua file, for new filters of this shape. */
export function bloomLua(shape: Required<BloomShape>, file: string, beside: string): string {
  const { errorRate, capacity, expansion, nonScaling } = shape;
  const values = [errorRate, capacity, expansion, nonScaling].join(', ');
  return `local ERROR_RATE, CAPACITY, EXPANSION, NON_SCALING = ${values}\n${loadScript(file, beside)}`;
}

/** How an item is made ready: its bytes, or their HMAC where there is a secret. */
export function blinding(secret: BloomOptions['itemSecret']): (item: BloomItem) => Buffer {
  if (secret === undefined) return toBytes;
  if (secret.length < 16) throw bad('itemSecret', 'at least 16 characters or bytes', `${secret.length}`);
  return (item) => createHmac('sha256', secret).update(item).digest();
}

function bad(option: string, expected: string, got: unknown): OptionError {
  return new OptionError(`Bloom filter: option "${option}" should be ${expected}, got ${got}`);
}

const toBytes = (item: BloomItem): Buffer =>
  typeof item === 'string' ? Buffer.from(item) : Buffer.from(item.buffer, item.byteOffset, item.byteLength);
