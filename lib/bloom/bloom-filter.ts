import { OptionError } from '../errors.js';

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

export type BloomItem = string | Uint8Array;

/** What BF.INFO tells. */
export interface BloomInfo {
  readonly capacity: number;
  readonly layers: number;
  readonly items: number;
  /** undefined for a non-scaling filter */
  readonly expansion: number | undefined;
}

/** A Bloom filter in Redis: on RedisBloom or on plain Redis, the same answers. Each method is one round trip. */
export interface BloomFilter {
  readonly implementation: 'module' | 'fallback';
  /** Makes an empty filter; rejects if the key exists. */
  reserve(key: string, shape?: BloomShape): Promise<void>;
  /** true if the item was not there (as far as the filter can tell). */
  add(key: string, item: BloomItem): Promise<boolean>;
  addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  exists(key: string, item: BloomItem): Promise<boolean>;
  existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  /** Items added, 0 for a missing key. */
  cardinality(key: string): Promise<number>;
  /** undefined for a missing key */
  info(key: string): Promise<BloomInfo | undefined>;
  /** Lua with `bloom_add(key, item)` and `bloom_exists(key, item)`, to stand before another script. */
  readonly lua: string;
  /** An item as that Lua takes it in ARGV. */
  encode(item: BloomItem): Buffer;
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

function bad(option: string, expected: string, got: unknown): OptionError {
  return new OptionError(`Bloom filter: option "${option}" should be ${expected}, got ${got}`);
}

export const toBytes = (item: BloomItem): Buffer =>
  typeof item === 'string' ? Buffer.from(item) : Buffer.from(item.buffer, item.byteOffset, item.byteLength);
