import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { hashPair, type Uint64 } from '../../lib/hash/murmur-hash.js';

const M = 0xc6a4a7935bd1e995n;
const MASK = (1n << 64n) - 1n;

/** The algorithm once more, in BigInt, straight from its definition. */
function reference(data: Uint8Array, seed: bigint): bigint {
  let h = seed ^ ((BigInt(data.length) * M) & MASK);
  const whole = data.length - (data.length % 8);
  const word = (from: number, to: number) =>
    data.subarray(from, to).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  for (let i = 0; i < whole; i += 8) {
    let k = (word(i, i + 8) * M) & MASK;
    k = ((k ^ (k >> 47n)) * M) & MASK;
    h = ((h ^ k) * M) & MASK;
  }
  if (whole < data.length) h = ((h ^ word(whole, data.length)) * M) & MASK;
  h = ((h ^ (h >> 47n)) * M) & MASK;
  return h ^ (h >> 47n);
}

const toBigInt = ({ lo, hi }: Uint64): bigint => (BigInt(hi) << 32n) | BigInt(lo);

const { hashes }: { hashes: { item: string; h1: string; h2: string }[] } = JSON.parse(
  readFileSync(new URL('../vectors/bloom-filter.json', import.meta.url), 'utf8'),
);

describe('MurmurHash64A', () => {
  it('is what the test vectors say', () => {
    expect(hashes.length).to.be.greaterThan(15);
    for (const { item, h1, h2 } of hashes) {
      const pair = hashPair(Buffer.from(item, 'hex')).map(toBigInt);
      expect(
        pair.map((hash) => hash.toString(16)),
        item,
      ).to.deep.equal([h1, h2]);
    }
  });

  it('is the published algorithm, for items of any bytes and length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (data) => {
        const h1 = reference(data, M);
        expect(hashPair(data).map(toBigInt)).to.deep.equal([h1, reference(data, h1)]);
      }),
      { numRuns: 500 },
    );
  });
});
