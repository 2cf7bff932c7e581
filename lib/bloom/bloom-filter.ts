import { checkList } from '../options/check-arguments.js';
import { createHmac } from 'node:crypto';
import * as v from 'valibot';
import { checkOptions } from '../options/check-options.js';
import { integer } from '../options/checks.js';
import { about, withNeeds } from '../options/option-facts.js';
import { OptionError } from '../errors/errors.js';
import { MOST_EXPANSION } from './filter-format.js';
import { loadScript } from '../redis/load-script.js';

/** The shape of a filter: RedisBloom's names and defaults. */
export interface BloomShape {
  /** Rate of false positives of the whole, over 0 and under 1. @default 0.01 */
  readonly errorRate?: number | undefined;
  /** Items in the first layer, 1 to 2^30. @default 100 */
  readonly capacity?: number | undefined;
  /** Entries of each further layer, as a multiple of the one before, 1 to 32768. @default 2 */
  readonly expansion?: number | undefined;
  /** One layer only: an add to a full filter is an error. @default false */
  readonly nonScaling?: boolean | undefined;
}

/** The same, every part of it known. */
export type ResolvedShape = { readonly [K in keyof BloomShape]-?: NonNullable<BloomShape[K]> };

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
  /** Makes an empty filter, of createBloomFilter()'s shape where `shape` says nothing; rejects if the key exists. */
  reserve(key: string, shape?: BloomShape): Promise<void>;
  /** true if the item was not there (as far as the filter can tell). */
  add(key: string, item: BloomItem): Promise<boolean>;
  /** One round trip, and one atomic step, for each 5,000 items. */
  addMany(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  /** The fallback's first look at a filter over 4 KB, and the first after it has grown, are two round trips more. */
  exists(key: string, item: BloomItem): Promise<boolean>;
  existsMany(key: string, items: readonly BloomItem[]): Promise<boolean[]>;
  /** Items added, 0 for a missing key. */
  cardinality(key: string): Promise<number>;
  /** undefined for a missing key */
  info(key: string): Promise<BloomInfo | undefined>;
  /**
   * `target` then holds what it and the sources held; the sources stay. Two round trips: every filter's bytes come here, and
   * the union goes back; tried again where a filter changes meanwhile (the server compares digests). Layers of one geometry are united bit by bit, others
   * kept side by side; where the error rate would not hold, it rejects and nothing is changed. Counts of united layers are
   * estimates. The target keeps its expiry; a new one has the longest of the sources'. In a Cluster, one slot.
   */
  merge(target: string, sources: readonly string[]): Promise<void>;
  /** The filter whole, undefined for a missing key: at most 512 MB, read at once. */
  dump(key: string): Promise<BloomDump | undefined>;
  /**
   * Writes a filter whole, in one atomic step, if the keys of `unchanged` are, byte for byte, as they were dumped
   * (undefined: missing); false if one is not. By default: if the key is missing.
   */
  load(key: string, dump: BloomDump, unchanged?: ReadonlyMap<string, BloomDump | undefined>): Promise<boolean>;
  /**
   * Lua to stand before another script: `bloom_check(key)` (an error where it is no filter), `bloom_add(key, item, checked)`,
   * `bloom_which(key, items, room)`.
   */
  readonly lua: string;
  /** An item as that Lua takes it, to be sent as JSON. */
  scriptItem(item: BloomItem): string | readonly number[];
  /** What stands for an item: itself, or its HMAC. */
  blind(item: BloomItem): string | Buffer;
}

const rate = v.custom<number>(
  (value) => typeof value === 'number' && value > 0 && value < 1,
  'a number over 0 and under 1',
);
export const shapeEntries = {
  errorRate: v.pipe(
    v.optional(rate, 0.01),
    about('Rate of false positives of a whole Bloom filter, over 0 and under 1.', { flag: '<rate>' }),
  ),
  capacity: v.pipe(
    v.optional(integer(1, 2 ** 30), 100),
    about('Items in the first layer of a Bloom filter, 1 to 2^30.', { flag: '<items>' }),
  ),
  expansion: v.pipe(
    v.optional(integer(1, MOST_EXPANSION), 2),
    about('Entries of each further layer, as a multiple of the one before, 1 to 32768.', { flag: '<factor>' }),
  ),
};
const nonScaling = v.pipe(
  v.optional(v.boolean(), false),
  about('The filter has one layer only, and an add to a full one is an error.'),
);
const shapeSchema = v.strictObject({ ...shapeEntries, nonScaling });
const itemSecret = v.custom<string | Uint8Array>(
  (value) => (typeof value === 'string' || value instanceof Uint8Array) && value.length >= 16,
  'at least 16 characters or bytes',
);
export const optionsSchema = v.strictObject({
  ...shapeEntries,
  ...withNeeds({ expansion: shapeEntries.expansion }, { nonScaling: false }),
  nonScaling,
  itemSecret: v.pipe(
    v.optional(itemSecret),
    about(
      'What stands in the filter for an item is its HMAC-SHA256 with this secret, 16 characters or bytes at least.',
      {
        more: "Who has the filter and not the secret can't ask it about anything. Another secret is another filter.",
      },
    ),
  ),
});

export function resolveBloomOptions(options: BloomOptions) {
  const { itemSecret, ...shape } = checkOptions(optionsSchema, options, 'createBloomFilter()');
  return { shape: resolveShape(shape), itemSecret };
}

export function resolveShape(options: BloomShape, defaults: BloomShape = {}): ResolvedShape {
  const said = Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== undefined));
  const resolved = checkOptions(shapeSchema, { ...defaults, ...said }, 'Bloom filter');
  // as the module notes it
  return resolved.nonScaling ? { ...resolved, expansion: 2 } : resolved;
}

/** What a worker's commands let one filter grow to: 256 kB, and so many layers, each of which every check asks. */
const MOST_BYTES = 256 * 1024;
const MOST_LAYERS = 32;

/** How many items that is; the first layer is what an option says, whatever its size. */
function mostItems({ errorRate, capacity, expansion, nonScaling }: ResolvedShape): number {
  if (nonScaling) return capacity;
  let [items, bytes, layers, entries, rate] = [0, 28, 0, capacity, errorRate / 2];
  for (; layers < MOST_LAYERS; layers++, entries *= expansion, rate /= 2) {
    bytes += 53 + 8 * Math.ceil((entries * -Math.log(rate)) / Math.LN2 ** 2 / 64);
    if (layers > 0 && bytes > MOST_BYTES) break;
    items += entries;
  }
  return items;
}

/** The functions of a .lua file, for new filters of this shape. */
export function bloomLua(shape: ResolvedShape, file: string): string {
  const { errorRate, capacity, expansion, nonScaling } = shape;
  const values = [errorRate, capacity, expansion, nonScaling, mostItems(shape)].join(', ');
  return `local ERROR_RATE, CAPACITY, EXPANSION, NON_SCALING, MOST_ITEMS = ${values}\n${loadScript(file)}`;
}

/** How an item is made ready: as it is, or its HMAC where there is a secret. */
export function blinding(secret: BloomOptions['itemSecret']): (item: BloomItem) => string | Buffer {
  // text stays text: ioredis sends a command of texts alone at a fraction of the cost
  if (secret === undefined) return (item) => (typeof item === 'string' ? item : toBytes(item));
  return (item) => createHmac('sha256', secret).update(toBytes(item)).digest();
}

export function toBytes(item: BloomItem): Buffer {
  if (typeof item === 'string') return Buffer.from(item);
  if (Buffer.isBuffer(item)) return item;
  if (item instanceof Uint8Array) return Buffer.from(item.buffer, item.byteOffset, item.byteLength);
  throw new OptionError('Bloom filter: an item should be text or bytes', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
}

/** Items of one call; more are sent in so many calls. */
const AT_ONCE = 5000;

/** Acts on items a few thousand at a time: all are sent at once, and worked off in their order. */
export async function inBatches<T>(items: readonly T[], act: (batch: readonly T[]) => Promise<boolean[]>) {
  checkList('Bloom filter', items);
  if (items.length <= AT_ONCE) return items.length === 0 ? [] : act(items);
  const batches: Promise<boolean[]>[] = [];
  for (let i = 0; i < items.length; i += AT_ONCE) batches.push(act(items.slice(i, i + AT_ONCE)));
  return (await Promise.all(batches)).flat();
}
