import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { PlainBloomFilter } from '../../fallback/plain-bloom.js';
import type { BloomFilter } from '../../lib/bloom/bloom-filter.js';
import { chooseBloomFilter } from '../../lib/bloom/choose.js';
import { RedisBloomFilter } from '../../lib/bloom/redis-bloom.js';
import { flavours, startServer } from '../support/servers.js';

const CODE = 'ERR_INTELLIGENT_SESSION_BLOOM';

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error) => error.code,
  );
}

for (const flavour of flavours.filter(({ bloom }) => bloom === 'module'))
  describe(`Bloom filters on ${flavour.server} with RedisBloom`, () => {
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

    for (const implementation of ['module', 'fallback'] as const)
      describe(implementation, () => {
        let filter: BloomFilter;
        let key: string;
        before(async () => {
          filter = await chooseBloomFilter(client, implementation);
          expect(filter.implementation).to.equal(implementation);
        });
        beforeEach(() => {
          key = `contract:${randomBytes(6).toString('hex')}`;
        });

        it('has every item that was added, and says which were new', async () => {
          expect(await filter.exists(key, 'a')).to.equal(false);
          expect(await filter.add(key, 'a')).to.equal(true);
          expect(await filter.addMany(key, ['a', 'b', 'b'])).to.deep.equal([false, true, false]);
          expect(await filter.existsMany(key, ['a', 'b', 'c'])).to.deep.equal([true, true, false]);
          expect(await filter.cardinality(key)).to.equal(2);
        });

        it('tells its shape, undefined for a missing key', async () => {
          expect(await filter.info(key)).to.equal(undefined);
          expect(await filter.cardinality(key)).to.equal(0);
          await filter.reserve(key, { capacity: 10, expansion: 3 });
          await filter.addMany(
            key,
            Array.from({ length: 50 }, (_, i) => `item ${i}`),
          );
          expect(await filter.info(key)).to.deep.include({ capacity: 130, layers: 3, expansion: 3 });
        });

        it('takes items of any bytes, an empty one and one of 1 MB among them', async () => {
          const items = ['', 'a\0b', 'é', 'e\u0301', randomBytes(1_000_000), Buffer.from([255, 0, 254])];
          expect(await filter.addMany(key, items)).to.deep.equal(items.map(() => true));
          expect(await filter.existsMany(key, items)).to.deep.equal(items.map(() => true));
        });

        it('refuses to reserve a key that exists, to overfill a non-scaling filter, and a key of another type', async () => {
          await filter.reserve(key, { capacity: 2, nonScaling: true });
          expect(await codeOf(filter.reserve(key))).to.equal(CODE);
          await filter.addMany(key, ['1', '2']);
          expect(await codeOf(filter.addMany(key, ['3', '4', '5']))).to.equal(CODE);
          await client.set(`${key}:string`, 'a text that is long enough to hold a header, if it were one');
          await client.rpush(`${key}:list`, 'x');
          for (const other of [`${key}:string`, `${key}:list`]) {
            expect(await codeOf(filter.add(other, 'x')), other).to.equal(CODE);
            expect(await codeOf(filter.exists(other, 'x')), other).to.equal(CODE);
          }
        });

        it('refuses shapes that are none', async () => {
          for (const shape of [
            { capacity: 0 },
            { capacity: 2 ** 40 },
            { errorRate: 0 },
            { errorRate: 1 },
            { expansion: 0 },
          ])
            expect(await codeOf(filter.reserve(key, shape))).to.equal('ERR_INTELLIGENT_SESSION_OPTION');
          expect(await client.exists(key)).to.equal(0);
        });
      });

    it('are the same bit for bit: every answer, and BF.SCANDUMP against the fallback’s string', async () => {
      const bloom = new RedisBloomFilter(client);
      const plain = new PlainBloomFilter(client);
      const shapes = [
        {},
        { capacity: 70, errorRate: 0.001, expansion: 1 },
        { capacity: 50, errorRate: 0.05, expansion: 4 },
        { capacity: 3000, errorRate: 0.01, nonScaling: true },
      ];
      for (const [n, shape] of shapes.entries()) {
        const [a, b] = [`bits:module:${n}`, `bits:plain:${n}`];
        await Promise.all([bloom.reserve(a, shape), plain.reserve(b, shape)]);
        for (let batch = 0; batch < 8; batch++) {
          const items = Array.from({ length: 250 }, (_, i) => `item ${(batch * 250 + i) % 1700} ${'x'.repeat(i % 9)}`);
          expect(await plain.addMany(b, items)).to.deep.equal(await bloom.addMany(a, items));
        }
        const probes = Array.from({ length: 3000 }, (_, i) => `probe ${i}`);
        expect(await plain.existsMany(b, probes)).to.deep.equal(await bloom.existsMany(a, probes));
        const chunks: Buffer[] = [];
        for (let cursor = 0; ;) {
          const [next, chunk] = (await client.callBuffer('BF.SCANDUMP', a, cursor)) as [number, Buffer];
          if (Number(next) === 0) break;
          cursor = Number(next);
          chunks.push(chunk);
        }
        const stored = (await client.getBuffer(b)) as Buffer;
        expect(stored.subarray(8).equals(Buffer.concat(chunks)), JSON.stringify(shape)).to.equal(true);
      }
    });

    it('says so where a filter has the other implementation’s form', async () => {
      const bloom = new RedisBloomFilter(client);
      const plain = new PlainBloomFilter(client);
      await bloom.add('form:module', 'x');
      await plain.add('form:plain', 'x');
      expect(await codeOf(plain.add('form:module', 'y'))).to.equal(CODE);
      expect(await codeOf(bloom.add('form:plain', 'y'))).to.equal(CODE);
    });
  });
