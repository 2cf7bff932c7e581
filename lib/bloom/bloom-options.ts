import * as v from 'valibot';
import { checkOptions } from '../options/check-options.js';
import { integer } from '../options/checks.js';
import { about, withNeeds } from '../options/option-facts.js';
import { loadScript } from '../redis/load-script.js';
import type { BloomOptions, BloomShape, ResolvedShape } from './bloom-filter.js';
import { HEADER_BYTES, LAYER_HEADER_BYTES, MAX_EXPANSION } from './filter-format.js';

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
    v.optional(integer(1, MAX_EXPANSION), 2),
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

/** Fills the gaps of a shape by `defaults`, then by the options' own ones, and checks it. */
export function resolveShape(options: BloomShape, defaults: BloomShape = {}): ResolvedShape {
  const given = Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== undefined));
  const resolved = checkOptions(shapeSchema, { ...defaults, ...given }, 'Bloom filter');
  // RedisBloom writes an expansion of 2 into the header of a filter that does not scale
  return resolved.nonScaling ? { ...resolved, expansion: 2 } : resolved;
}

/** What the commands of `req.intelligence` let a filter grow to: every check asks each layer. */
const MAX_COMMAND_FILTER_BYTES = 256 * 1024;
const MAX_COMMAND_FILTER_LAYERS = 32;

/** What the fallback's string has before the headers of the layers: a magic word and the header of a dump. */
const FALLBACK_HEADER_BYTES = 8 + HEADER_BYTES;

/** How many items a filter within these bounds holds. Its first layer is as large as the options say, even beyond them. */
function mostItems({ errorRate, capacity, expansion, nonScaling }: ResolvedShape): number {
  if (nonScaling) return capacity;
  let [items, bytes, layers, entries, rate] = [0, FALLBACK_HEADER_BYTES, 0, capacity, errorRate / 2];
  for (; layers < MAX_COMMAND_FILTER_LAYERS; layers++, entries *= expansion, rate /= 2) {
    bytes += LAYER_HEADER_BYTES + 8 * Math.ceil((entries * -Math.log(rate)) / Math.LN2 ** 2 / 64);
    if (layers > 0 && bytes > MAX_COMMAND_FILTER_BYTES) break;
    items += entries;
  }
  return items;
}

/** The Lua functions on filters that a file has, told to make new filters of this shape. */
export function bloomLua(shape: ResolvedShape, file: string): string {
  const { errorRate, capacity, expansion, nonScaling } = shape;
  const values = [errorRate, capacity, expansion, nonScaling, mostItems(shape)].join(', ');
  return `local ERROR_RATE, CAPACITY, EXPANSION, NON_SCALING, MAX_ITEMS = ${values}\n${loadScript(file)}`;
}
