/**
 * MurmurHash64A (Austin Appleby, public domain), as RedisBloom uses it, in 32-bit halves: no BigInt.
 * The result stands in `lo` and `hi`, so that a hash allocates nothing.
 */
const M_LO = 0x5bd1e995;
const M_HI = 0xc6a4a793;

export let lo = 0;
export let hi = 0;

/** (aLo, aHi) * M, mod 2^64, into lo and hi. */
function timesM(aLo: number, aHi: number): void {
  const a0 = aLo & 0xffff;
  const a1 = aLo >>> 16;
  const b0 = M_LO & 0xffff;
  const b1 = M_LO >>> 16;
  const p00 = a0 * b0;
  const p01 = a0 * b1;
  const p10 = a1 * b0;
  const middle = (p00 >>> 16) + (p01 & 0xffff) + (p10 & 0xffff);
  const carry = a1 * b1 + (p01 >>> 16) + (p10 >>> 16) + (middle >>> 16);
  lo = (middle << 16) | (p00 & 0xffff) | 0;
  hi = (carry + Math.imul(aLo, M_HI) + Math.imul(aHi, M_LO)) | 0;
}

/** Hashes `data` with the 64-bit seed (seedLo, seedHi); read `lo` and `hi` (signed 32-bit) at once. */
export function murmurHash64A(data: Uint8Array, seedLo: number, seedHi: number): void {
  const length = data.length;
  timesM(length | 0, 0);
  let hLo = seedLo ^ lo;
  let hHi = seedHi ^ hi;
  const end = length & ~7;
  let i = 0;
  for (; i < end; i += 8) {
    const kLo =
      (data[i] as number) |
      ((data[i + 1] as number) << 8) |
      ((data[i + 2] as number) << 16) |
      ((data[i + 3] as number) << 24);
    const kHi =
      (data[i + 4] as number) |
      ((data[i + 5] as number) << 8) |
      ((data[i + 6] as number) << 16) |
      ((data[i + 7] as number) << 24);
    timesM(kLo, kHi);
    lo ^= hi >>> 15; // k ^= k >> 47
    timesM(lo, hi);
    timesM(hLo ^ lo, hHi ^ hi);
    hLo = lo;
    hHi = hi;
  }
  if (i < length) {
    for (let shift = 0; i < length; i++, shift += 8) {
      if (shift < 32) hLo ^= (data[i] as number) << shift;
      else hHi ^= (data[i] as number) << (shift - 32);
    }
    timesM(hLo, hHi);
    hLo = lo;
    hHi = hi;
  }
  hLo ^= hHi >>> 15;
  timesM(hLo, hHi);
  lo ^= hi >>> 15;
}

/** An item's two hashes, each as its low and its high 32 bits: the first has RedisBloom's seed, the second the first. */
export function hashWords(data: Uint8Array): [number, number, number, number] {
  murmurHash64A(data, M_LO | 0, M_HI | 0);
  const h1Lo = lo;
  const h1Hi = hi;
  murmurHash64A(data, h1Lo, h1Hi);
  return [h1Lo >>> 0, h1Hi >>> 0, lo >>> 0, hi >>> 0];
}

/** The same as 16 bytes, little-endian. */
export function hashPair(data: Uint8Array): Buffer {
  const pair = Buffer.allocUnsafe(16);
  for (const [i, word] of hashWords(data).entries()) pair.writeUInt32LE(word, 4 * i);
  return pair;
}
