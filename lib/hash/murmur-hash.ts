/** A 64-bit number as its low and its high 32 bits, both unsigned: BigInt would take ten times as long. */
export interface Uint64 {
  readonly lo: number;
  readonly hi: number;
}

/** MurmurHash64A's multiplier. RedisBloom takes it for the seed of an item's first hash, too. */
const M_LO = 0x5bd1e995;
const M_HI = 0xc6a4a793;
const M: Uint64 = { lo: M_LO, hi: M_HI };
/** the upper and the lower 16 bits of M_LO */
const M_LO_UPPER = 0x5bd1;
const M_LO_LOWER = 0xe995;

/** The low 32 bits of a number times M. The number's high bits don't change them. */
const lowTimesM = (lo: number): number => Math.imul(lo, M_LO);

/** The high 32 bits of a number times M, by products of 16 bits each, which are exact. */
const highTimesM = (lo: number, hi: number): number => {
  const upper = lo >>> 16;
  const lower = lo & 0xffff;
  const left = upper * M_LO_LOWER;
  const right = lower * M_LO_UPPER;
  const middle = ((lower * M_LO_LOWER) >>> 16) + (left & 0xffff) + (right & 0xffff);
  const carried = upper * M_LO_UPPER + (left >>> 16) + (right >>> 16) + (middle >>> 16);
  return (carried + Math.imul(lo, M_HI) + Math.imul(hi, M_LO)) | 0;
};

/** MurmurHash64A (Austin Appleby, public domain), as RedisBloom uses it. */
export function murmurHash64A(data: Uint8Array, seed: Uint64): Uint64 {
  const { length } = data;
  let lo = seed.lo ^ lowTimesM(length);
  let hi = seed.hi ^ highTimesM(length, 0);
  const end = length & ~7; // of the whole blocks of 8 bytes
  for (let at = 0; at < end; at += 8) {
    const blockLo = word(data, at);
    const blockHi = highTimesM(blockLo, word(data, at + 4));
    const mixedLo = lowTimesM(blockLo) ^ (blockHi >>> 15); // block ^ (block >> 47)
    hi ^= highTimesM(mixedLo, blockHi);
    lo ^= lowTimesM(mixedLo);
    hi = highTimesM(lo, hi);
    lo = lowTimesM(lo);
  }
  if (end < length) {
    lo ^= partOfWord(data, end);
    hi = highTimesM(lo, hi ^ partOfWord(data, end + 4));
    lo = lowTimesM(lo);
  }
  lo ^= hi >>> 15;
  hi = highTimesM(lo, hi);
  lo = lowTimesM(lo);
  return { lo: (lo ^ (hi >>> 15)) >>> 0, hi: hi >>> 0 };
}

/** Four bytes as one number, the lowest first. */
const word = (data: Uint8Array, at: number): number =>
  (data[at] as number) |
  ((data[at + 1] as number) << 8) |
  ((data[at + 2] as number) << 16) |
  ((data[at + 3] as number) << 24);

/** As word(), where the data may have fewer than four bytes left: the others count as 0. */
function partOfWord(data: Uint8Array, at: number): number {
  let value = 0;
  for (let i = Math.min(at + 4, data.length) - 1; i >= at; i--) value = (value << 8) | (data[i] as number);
  return value;
}

/** An item's two hashes, as RedisBloom makes them: the first is the second one's seed. */
export type HashPair = readonly [first: Uint64, second: Uint64];

export function hashPair(data: Uint8Array): HashPair {
  const first = murmurHash64A(data, M);
  return [first, murmurHash64A(data, first)];
}
