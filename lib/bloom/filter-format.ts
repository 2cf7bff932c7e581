import { createHash } from 'node:crypto';
import type { HashPair } from '../hash/murmur-hash.js';
import { bloomFault } from './bloom-error.js';

/**
 * A filter's bytes as BF.SCANDUMP gives them (WIRE.md), all numbers little-endian. First the header, at these offsets:
 *   0 items (8 bytes), 8 number of layers (4), 12 options (4), 16 expansion (4);
 * then for each layer, from its own beginning:
 *   0 bytes (8), 8 bits (8), 16 items (8), 24 error rate (a double), 32 bits for an item (a double), 40 hashes (4), 44 entries, the number
 *   of items that it is made for (8), and a byte that is 0;
 * then the layers' bits.
 */
export const HEADER_BYTES = 20;
export const LAYER_HEADER_BYTES = 53;
/** Is added to the options of a filter that gets no further layers. */
const NON_SCALING_FLAG = 8;
/** What TYPE gives for a filter of RedisBloom. */
export const MODULE_TYPE = 'MBbloom--';
const TWO_32 = 2 ** 32;
/** RedisBloom 2's options for every filter: no rounding to powers of two, and 64-bit hashes. */
const USUAL_OPTIONS = 5;
/** About as much as a string of Redis holds, 512 MB. */
export const MAX_FILTER_BYTES = 536_000_000;
/** More layers are taken for damage, as in fallback/bloom.lua: the format itself has no bound. */
const MAX_DUMP_LAYERS = 1000;
export const MAX_EXPANSION = 32_768;
/** ln(2) and its square, with the digits that RedisBloom has: others might round to another size. */
const LN2 = 0.693147180559945;
const LN2_SQUARED = 0.480453013918201;

export interface Layer {
  readonly bits: number;
  /** items in it */
  readonly count: number;
  readonly errorRate: number;
  /** bits that an item sets */
  readonly hashes: number;
  /** items that it is made for */
  readonly entries: number;
  /** where its bits begin, in bytes from the beginning of the dump */
  readonly at: number;
}

export interface FilterForm {
  readonly items: number;
  readonly options: number;
  readonly expansion: number;
  readonly layers: readonly Layer[];
  /** header and bits, in bytes */
  readonly length: number;
}

export const isNonScaling = ({ options }: Pick<FilterForm, 'options'>): boolean => options >= NON_SCALING_FLAG;

/** Reads a header; of a dump that is complete, checks that all layers' bits are there. Anything odd is a coded error. */
export function parseForm(bytes: Buffer, isComplete = true): FilterForm {
  const damaged = () => bloomFault('DAMAGED');
  if (bytes.length < HEADER_BYTES) throw damaged();
  const n = bytes.readUInt32LE(8);
  if (n < 1 || n > MAX_DUMP_LAYERS || bytes.length < HEADER_BYTES + n * LAYER_HEADER_BYTES) throw damaged();
  const options = bytes.readUInt32LE(12);
  if (options !== USUAL_OPTIONS && options !== USUAL_OPTIONS + NON_SCALING_FLAG) throw bloomFault('FOREIGN');
  // An expansion of 0 would make layers that hold nothing; one over what an option allows would take all of the memory.
  const expansion = bytes.readUInt32LE(16);
  if ((options === USUAL_OPTIONS && expansion === 0) || expansion > MAX_EXPANSION) throw damaged();
  const layers: Layer[] = [];
  let at = HEADER_BYTES + n * LAYER_HEADER_BYTES;
  for (let i = 0; i < n; i++) {
    const from = HEADER_BYTES + i * LAYER_HEADER_BYTES;
    const size = u64(bytes, from);
    const bits = u64(bytes, from + 8);
    const hashes = bytes.readUInt32LE(from + 40);
    const errorRate = bytes.readDoubleLE(from + 24);
    if (bits !== size * 8 || bits === 0 || !(errorRate > 0 && errorRate < 1)) throw damaged();
    // Both implementations round up; other versions of the module may round otherwise. A number that differs by more than 1 was not computed
    // from this error rate.
    const usual = LN2 * bitsPerItem(errorRate);
    if (hashes < 1 || Math.abs(hashes - usual) > 1.001 || u64(bytes, from + 44) < 1) throw damaged();
    // The module takes a last byte other than 0 for a layer whose bits are a power of two, and would look for items at other bits.
    const perItem = bytes.readDoubleLE(from + 32);
    if (!(Math.abs(perItem / bitsPerItem(errorRate) - 1) <= 1e-6) || bytes[from + LAYER_HEADER_BYTES - 1] !== 0)
      throw damaged();
    // The next layer is made for these entries times the expansion, so the bits have to be as many as these entries take, but
    // for rounding.
    if (Math.abs(bits / bitsFor(u64(bytes, from + 44), errorRate) - 1) > 1e-6) throw damaged();
    layers.push({
      bits,
      count: u64(bytes, from + 16),
      errorRate,
      hashes,
      entries: u64(bytes, from + 44),
      at,
    });
    at += size;
  }
  if (isComplete && at !== bytes.length) throw damaged();
  const items = u64(bytes, 0);
  if (items !== layers.reduce((sum, { count }) => sum + count, 0)) throw damaged();
  return {
    items,
    options,
    expansion,
    layers,
    length: at,
  };
}

/** The beginning of a dump, before the layers' bits. Of bytes that parseForm() has accepted. */
export const headerOf = (bytes: Buffer): Buffer =>
  bytes.subarray(0, HEADER_BYTES + bytes.readUInt32LE(8) * LAYER_HEADER_BYTES);

/** SHA-1, as Redis' scripts compute it. */
export const digestOf = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex');

/** Makes a dump of layers and their bits. */
export function formatDump(
  { options, expansion }: Pick<FilterForm, 'options' | 'expansion'>,
  layers: readonly (Omit<Layer, 'at'> & { readonly data: Buffer })[],
): Buffer {
  const head = Buffer.alloc(HEADER_BYTES + layers.length * LAYER_HEADER_BYTES);
  head.writeBigUInt64LE(BigInt(layers.reduce((sum, { count }) => sum + count, 0)), 0);
  head.writeUInt32LE(layers.length, 8);
  head.writeUInt32LE(options, 12);
  head.writeUInt32LE(expansion, 16);
  for (const [i, { bits, count, errorRate, hashes, entries }] of layers.entries()) {
    const from = HEADER_BYTES + i * LAYER_HEADER_BYTES;
    head.writeBigUInt64LE(BigInt(bits / 8), from);
    head.writeBigUInt64LE(BigInt(bits), from + 8);
    head.writeBigUInt64LE(BigInt(count), from + 16);
    head.writeDoubleLE(errorRate, from + 24);
    head.writeDoubleLE(bitsPerItem(errorRate), from + 32);
    head.writeUInt32LE(hashes, from + 40);
    head.writeBigUInt64LE(BigInt(entries), from + 44);
  }
  return Buffer.concat([head, ...layers.map(({ data }) => data)]);
}

const bitsPerItem = (errorRate: number): number => -(Math.log(errorRate) / LN2_SQUARED);

/** How many bits a layer has, rounded as the module does it. */
const bitsFor = (entries: number, errorRate: number): number =>
  Math.max(64, Math.ceil(Math.floor(entries * bitsPerItem(errorRate)) / 64) * 64);

/** An empty layer for so many entries, as the module computes it. */
export function emptyLayer(entries: number, errorRate: number): Omit<Layer, 'at'> & { readonly data: Buffer } {
  const per = bitsPerItem(errorRate);
  const bits = bitsFor(entries, errorRate);
  if (bits / 8 > MAX_FILTER_BYTES) throw bloomFault('TOOBIG');
  return { bits, count: 0, errorRate, hashes: Math.ceil(LN2 * per), entries, data: Buffer.alloc(bits / 8) };
}

/** The numbers of an item's bits in a layer: number i is (first + i * second) mod 2^64 mod bits, computed without BigInt. */
export function positions([first, second]: HashPair, { bits, hashes }: Pick<Layer, 'bits' | 'hashes'>): number[] {
  let { lo, hi } = first;
  const at: number[] = [];
  for (let i = 0; i < hashes; i++) {
    // bits < 2^37: the remainder times 2^16 stays exact
    at.push(((((((hi % bits) * 65536) % bits) * 65536) % bits) + lo) % bits);
    lo += second.lo;
    hi += second.hi;
    if (lo >= TWO_32) {
      lo -= TWO_32;
      hi++;
    }
    if (hi >= TWO_32) hi -= TWO_32;
  }
  return at;
}

/** Does a complete dump's filter hold the item, as far as it can tell? */
export function formHas(dump: Buffer, { layers }: FilterForm, pair: HashPair): boolean {
  return layers.some((layer) =>
    positions(pair, layer).every((b) => ((dump[layer.at + Math.floor(b / 8)] as number) >> (b % 8)) & 1),
  );
}

/** A number of 64 bits in a header. One that JavaScript can't hold exactly is in no filter that is undamaged. */
function u64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32;
  if (!Number.isSafeInteger(value)) throw bloomFault('DAMAGED');
  return value;
}
