import { expect } from 'chai';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { PlainBloomFilter } from '../../fallback/plain-bloom.js';
import {
  emptyLayer,
  type FilterForm,
  formatDump,
  formHas,
  HEADER_BYTES as LAYER_AT,
  parseForm,
} from '../../lib/bloom/filter-format.js';
import { hashPair } from '../../lib/hash/murmur-hash.js';
import { RedisBloomFilter } from '../../lib/bloom/redis-bloom.js';
import { unionOf } from '../../lib/bloom/union.js';
import { coded, damagedBytes, fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.js';
import { flavours, startServer } from '../support/servers.js';

const BLOOM = /^ERR_INTELLIGENT_SESSION_BLOOM$/;
const options = fc.constantFrom(5, 13);
/** A filter of some layers, as growth makes them or as it does not. */
const dump = fc
  .tuple(
    options,
    fc.nat({ max: 4 }),
    fc.array(
      fc.record({
        entries: fc.integer({ min: 1, max: 200 }),
        errorRate: fc.double({ min: 0.0001, max: 0.9, noNaN: true }),
        fill: fc.nat({ max: 255 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  )
  .map(([how, expansion, layers]) =>
    formatDump(
      { options: how, expansion },
      layers.map(({ entries, errorRate, fill }) => {
        const layer = emptyLayer(entries, errorRate);
        return { ...layer, count: Math.min(fill, entries), data: layer.data.fill(fill) };
      }),
    ),
  );
const anyDump = fc.oneof(
  dump,
  damagedBytes(dump),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
);
/** What was found: a full filter that grows by nothing, and one whose numbers are no longer exact. */
const full = { ...emptyLayer(1, 0.0001), count: 1, data: Buffer.alloc(8, 1) };
const growsByNothing = formatDump({ options: 5, expansion: 0 }, [full]);
const countsTooMuch = formatDump({ options: 5, expansion: 2 }, [full, full]).fill(255, 20 + 16, 20 + 24);
const growsByMuch = formatDump({ options: 5, expansion: 0x140000 }, [full]);
const saysMore = formatDump({ options: 5, expansion: 2 }, [{ ...full, entries: 2 ** 32, count: 2 ** 32 }]);
/** A filter of one layer with one byte of its header, or eight, as they should not be. */
const withField = (at: number, value: string) => {
  const bytes = formatDump({ options: 5, expansion: 2 }, [{ ...full, data: Buffer.alloc(8, 0x15) }]);
  bytes.set(Buffer.from(value, 'hex'), at);
  return bytes;
};
/** For the module its bits were 2^64, which is 1 in its arithmetic: it found every item. */
const isPowerOfTwo = withField(LAYER_AT + 52, '40');
const otherBitsPerItem = withField(LAYER_AT + 32, '000000000000f07f');
const otherItems = withField(0, '0200000000000000');
const found = [growsByNothing, countsTooMuch, growsByMuch, saysMore, isPowerOfTwo, otherBitsPerItem, otherItems];
const pair = hashPair(Buffer.from('an item'));

describe('fuzz: a Bloom filter’s bytes', () => {
  it('are a filter or a coded error: its header, its bits, and the union with another', async function () {
    this.timeout(FUZZ_TIMEOUT_MS);
    await fuzz(
      fc.tuple(anyDump, dump),
      async ([bytes, other]) => {
        const head = await coded(() => parseForm(bytes, false), BLOOM);
        const form = await coded(() => parseForm(bytes), BLOOM);
        if (form) expect(head).to.deep.equal(form);
        if (found.includes(bytes)) expect(form, 'none of what was found').to.equal(undefined);
        if (!form) return void expect(await coded(() => unionOf([bytes, other]), BLOOM)).to.equal(undefined);
        const has = formHas(bytes, form, pair);
        expect(has).to.be.a('boolean');
        for (const both of [
          [bytes, other],
          [other, bytes],
          [bytes, bytes],
        ]) {
          const united = await coded(() => unionOf(both), BLOOM);
          if (united && has)
            expect(formHas(united, parseForm(united), pair), 'what one has, the union has').to.equal(true);
        }
      },
      { examples: found.map((bytes): [Buffer, Buffer] => [bytes, found[0] as Buffer]) },
    );
  });
});

for (const flavour of flavours.filter(({ name }) => ['redis-7.0, module', 'redis-8.2, fallback'].includes(name)))
  describe(`fuzz: Bloom filters that are loaded into ${flavour.name}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    before(async function () {
      redis = await startServer(this, flavour);
      client = new Redis(redis.url);
    });
    after(async () => {
      client?.disconnect();
      await redis?.stop();
    });

    it('work or are refused by a coded error, the key as it was; the server goes on', async function () {
      this.timeout(FUZZ_TIMEOUT_MS);
      const filter = flavour.bloom === 'module' ? new RedisBloomFilter(client) : new PlainBloomFilter(client);
      await fuzz(
        anyDump,
        async (bytes) => {
          await client.unlink('filter', 'target');
          const loaded = await coded(() => filter.load('filter', { bytes, ttlMs: 60_000 }), BLOOM);
          if (!loaded) return void expect(await client.exists('filter')).to.equal(0);
          const had = await coded(() => filter.exists('filter', 'an item'), BLOOM);
          const form = parseForm(bytes) as FilterForm;
          expect(had).to.equal(formHas(bytes, form, pair));
          const added = await coded(() => filter.add('filter', 'an item'), BLOOM);
          if (added !== undefined) expect(await filter.exists('filter', 'an item')).to.equal(true);
          await coded(() => filter.info('filter'), BLOOM);
          await coded(() => filter.merge('target', ['filter']), BLOOM);
          const again = await coded(() => filter.dump('filter'), BLOOM);
          if (added === undefined && again) expect(again.bytes.equals(bytes), 'as it was').to.equal(true);
        },
        { examples: found },
      );
      expect(await client.ping()).to.equal('PONG');
    });

    if (flavour.bloom === 'fallback')
      it('damaged in place, are an error that leaves them as they are', async function () {
        this.timeout(FUZZ_TIMEOUT_MS);
        const filter = new PlainBloomFilter(client);
        const stored = fc.oneof(
          anyDump.map((bytes) => Buffer.concat([Buffer.from('ISBLOOM1'), bytes])),
          damagedBytes(dump.map((bytes) => Buffer.concat([Buffer.from('ISBLOOM1'), bytes]))),
        );
        await fuzz(
          stored,
          async (bytes) => {
            await client.set('stored', bytes);
            const added = await coded(() => filter.addMany('stored', ['an item']), BLOOM);
            await coded(() => filter.exists('stored', 'an item'), BLOOM);
            await coded(() => filter.info('stored'), BLOOM);
            if (added === undefined && bytes.length > 0)
              expect((await client.getBuffer('stored'))?.equals(bytes), 'as it was').to.equal(true);
          },
          { examples: found.map((bytes) => Buffer.concat([Buffer.from('ISBLOOM1'), bytes])) },
        );
      });
  });
