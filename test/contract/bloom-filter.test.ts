import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { Cluster, Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { PlainBloomFilter } from '../../fallback/plain-bloom.js';
import { bloomFault } from '../../lib/bloom/bloom-error.js';
import type { BloomDump, BloomFilter, BloomInfo, BloomShape } from '../../lib/bloom/bloom-filter.js';
import { chooseBloomFilter } from '../../lib/bloom-choice/choose-bloom-filter.js';
import { copyFilter } from '../../lib/bloom/copy-filter.js';
import { parseForm } from '../../lib/bloom/filter-format.js';
import { RedisBloomFilter } from '../../lib/bloom/redis-bloom.js';
import { Script } from '../../lib/redis/run-script.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { flavours, startServer } from '../support/servers.js';

const vectors: Vectors = JSON.parse(readFileSync(new URL('../vectors/bloom-filter.json', import.meta.url), 'utf8'));

interface Vectors {
  readonly filters: Record<string, { shape: BloomShape; items: string[]; dump: string }>;
}

const CODE = 'ERR_INTELLIGENT_SESSION_BLOOM';

function patched(bytes: Buffer, patch: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  patch(copy);
  return copy;
}

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

        it('leaves a damaged or foreign string as it is, and says so', async () => {
          await filter.add(`${key}:whole`, 'x');
          const good = await new PlainBloomFilter(client).dump(`${key}:whole`).catch(() => undefined);
          const plain = Buffer.concat([Buffer.from('ISBLOOM1'), good?.bytes ?? randomBytes(300)]);
          const bad = {
            truncated: plain.subarray(0, plain.length - 1),
            'cut in the header': plain.subarray(0, 60),
            'a magic and nothing': plain.subarray(0, 8),
            longer: Buffer.concat([plain, Buffer.from('x')]),
            'of no layers': Buffer.concat([plain.subarray(0, 16), Buffer.alloc(4), plain.subarray(20)]),
            'of 50,000,000 hashes': patched(plain, (bytes) => bytes.writeUInt32LE(50_000_000, 68)),
            'of no hashes': patched(plain, (bytes) => bytes.writeUInt32LE(0, 68)),
            'of 32-bit hashes': patched(plain, (bytes) => bytes.writeUInt32LE(1, 20)),
            'of no error rate': patched(plain, (bytes) => bytes.writeDoubleLE(0, 52)),
            foreign: Buffer.concat([Buffer.from('ISBLOOM2'), plain.subarray(8)]),
            'foreign and short': Buffer.from('x'),
          };
          for (const [name, text] of Object.entries(bad)) {
            const at = `${key}:${name}`;
            await client.set(at, text);
            for (const act of [
              () => filter.add(at, 'x'),
              () => filter.exists(at, 'x'),
              () => filter.dump(at),
              () => filter.merge(at, [`${key}:whole`]),
            ])
              expect(await codeOf(act()), name).to.equal(CODE);
            expect((await client.getBuffer(at))?.equals(text), name).to.equal(true);
          }
        });

        it('loses nothing and counts nothing twice with clients that add at the same time, across growth', async () => {
          const clients = Array.from({ length: 4 }, () => new Redis(redis.url));
          const items = Array.from({ length: 3000 }, (_, i) => `item ${i}`);
          try {
            const answers = await Promise.all(
              clients.map(async (one) => {
                const its = await chooseBloomFilter(one, implementation);
                let fresh = 0;
                const mixed = items.toSorted(() => Math.random() - 0.5);
                for (let i = 0; i < mixed.length; i += 50)
                  fresh += (await its.addMany(key, mixed.slice(i, i + 50))).filter(Boolean).length;
                return fresh;
              }),
            );
            const { items: counted, layers } = (await filter.info(key)) as BloomInfo;
            expect(answers.reduce((sum, n) => sum + n)).to.equal(counted);
            expect(layers).to.be.greaterThan(4);
            expect(counted).to.be.within(2950, 3000);
            expect(await filter.existsMany(key, items)).to.deep.equal(items.map(() => true));
          } finally {
            for (const one of clients) one.disconnect();
          }
        });

        it('keeps its expiry when it grows', async () => {
          await filter.add(key, 'first');
          await client.pexpire(key, 100_000);
          await filter.addMany(
            key,
            Array.from({ length: 500 }, (_, i) => `${i}`),
          );
          expect(await client.pttl(key)).to.be.within(90_000, 100_000);
        });

        it('keyed with a secret, knows an item only with it', async () => {
          const secret = 'a secret of its own';
          const keyed = await chooseBloomFilter(client, implementation, { itemSecret: secret });
          const other = await chooseBloomFilter(client, implementation, { itemSecret: 'another secret here' });
          const urls = Array.from({ length: 50 }, (_, i) => `/private/${i}`);
          await keyed.addMany(key, urls);
          expect(await keyed.existsMany(key, urls)).to.deep.equal(urls.map(() => true));
          for (const stranger of [filter, other])
            expect((await stranger.existsMany(key, urls)).filter(Boolean).length).to.be.lessThan(5);
          expect(await codeOf(chooseBloomFilter(client, implementation, { itemSecret: 'short' }))).to.equal(
            'ERR_INTELLIGENT_SESSION_OPTION',
          );
        });

        describe('merge', () => {
          const names = (from: number, upto: number) => Array.from({ length: upto - from }, (_, i) => `n${from + i}`);
          const falsely = async (at: string) =>
            (await filter.existsMany(at, names(100_000, 120_000))).filter(Boolean).length / 20_000;

          it('of equal shapes unites their layers; counts are estimates, nothing twice', async () => {
            await filter.addMany(`${key}:a`, names(0, 40));
            await filter.addMany(`${key}:b`, names(20, 60));
            await client.pexpire(`${key}:a`, 100_000);
            await filter.merge(`${key}:a`, [`${key}:b`]);
            expect(await filter.existsMany(`${key}:a`, names(0, 60))).to.deep.equal(names(0, 60).map(() => true));
            expect(await filter.info(`${key}:a`)).to.deep.include({ layers: 1, capacity: 100 });
            expect(await filter.cardinality(`${key}:a`)).to.be.within(57, 63);
            expect(await client.pttl(`${key}:a`)).to.be.within(90_000, 100_000);
            expect(await filter.cardinality(`${key}:b`)).to.equal(40);
          });

          it('makes a target that is missing, with the longest expiry', async () => {
            await filter.merge(key, [`${key}:none`]);
            expect(await client.exists(key)).to.equal(0);
            await filter.addMany(`${key}:a`, ['a']);
            await filter.addMany(`${key}:b`, ['b']);
            await client.pexpire(`${key}:a`, 50_000);
            await client.pexpire(`${key}:b`, 100_000);
            await filter.merge(key, [`${key}:a`, `${key}:b`]);
            expect(await filter.existsMany(key, ['a', 'b'])).to.deep.equal([true, true]);
            expect(await client.pttl(key)).to.be.within(90_000, 100_000);
          });

          it('of other shapes and of grown filters holds all, keeps the error rate, and goes on growing', async () => {
            await filter.reserve(`${key}:a`, { capacity: 1000, errorRate: 0.02 });
            await filter.addMany(`${key}:a`, names(0, 500));
            await filter.reserve(`${key}:b`, { capacity: 300, errorRate: 0.005, expansion: 3 });
            await filter.addMany(`${key}:b`, names(500, 1100));
            await filter.merge(`${key}:a`, [`${key}:b`]);
            await filter.addMany(`${key}:a`, names(1100, 6000));
            expect(await filter.existsMany(`${key}:a`, names(0, 6000))).to.not.include(false);
            expect(await falsely(`${key}:a`)).to.be.lessThan(0.02);
          });

          it('is refused, and nothing changed, where the error rate would not hold', async () => {
            const sources = ['a', 'b', 'c', 'd'].map((name) => `${key}:${name}`);
            for (const [i, source] of sources.entries()) await filter.addMany(source, names(i * 100, i * 100 + 100));
            const before = await filter.dump(sources[0] as string);
            expect(await codeOf(filter.merge(sources[0] as string, sources))).to.equal(CODE);
            expect((await filter.dump(sources[0] as string))?.bytes.equals(before?.bytes as Buffer)).to.equal(true);
            await filter.reserve(`${key}:fixed`, { capacity: 10, nonScaling: true });
            expect(await codeOf(filter.merge(`${key}:fixed`, sources))).to.equal(CODE);
            expect(await filter.cardinality(`${key}:fixed`)).to.equal(0);
          });

          it('loses nothing that another merge brings meanwhile', async () => {
            for (const name of 'abc') await filter.reserve(`${key}:${name}`, { capacity: 5000 });
            for (let round = 0; round < 60; round++) {
              await filter.addMany(`${key}:a`, names(round * 100, round * 100 + 2));
              await filter.add(`${key}:b`, `b${round}`);
              await filter.add(`${key}:c`, `c${round}`);
              await Promise.all([filter.merge(`${key}:a`, [`${key}:b`]), filter.merge(`${key}:a`, [`${key}:c`])]);
              expect(await filter.existsMany(`${key}:a`, [`b${round}`, `c${round}`])).to.deep.equal([true, true]);
            }
          });

          it('of a filter that is full with itself, or again, changes nothing', async () => {
            await filter.reserve(`${key}:a`, { capacity: 1000 });
            await filter.addMany(`${key}:a`, names(0, 1000));
            expect(await copyFilter({ filter, key: `${key}:a` }, { filter, key: `${key}:b` })).to.equal(true);
            const before = await filter.dump(`${key}:b`);
            for (let again = 0; again < 3; again++) await filter.merge(`${key}:b`, [`${key}:a`]);
            expect((await filter.dump(`${key}:b`))?.bytes.equals(before?.bytes as Buffer)).to.equal(true);
          });

          it('keeps the target’s own error rate, however many filters of looser ones come', async () => {
            await filter.reserve(`${key}:a`, { capacity: 1000, errorRate: 0.001 });
            await filter.addMany(`${key}:a`, names(0, 500));
            await filter.reserve(`${key}:b`, { capacity: 1000, errorRate: 0.4 });
            await filter.addMany(`${key}:b`, names(500, 510));
            await filter.reserve(`${key}:c`, { capacity: 1000, errorRate: 0.2 });
            await filter.addMany(`${key}:c`, names(600, 1550));
            await filter.merge(`${key}:a`, [`${key}:b`]);
            expect(await codeOf(filter.merge(`${key}:a`, [`${key}:c`]))).to.equal(CODE);
            expect(await falsely(`${key}:a`)).to.be.lessThan(0.002);
          });

          it('loses nothing that is added meanwhile', async () => {
            await filter.addMany(`${key}:b`, names(5000, 5080));
            await filter.reserve(`${key}:a`, { capacity: 10_000 });
            const adding = Promise.all(names(0, 200).map((name) => filter.add(`${key}:a`, name)));
            await Promise.all([filter.merge(`${key}:a`, [`${key}:b`]), adding]);
            expect(await filter.existsMany(`${key}:a`, [...names(0, 200), ...names(5000, 5080)])).to.not.include(false);
          });
        });

        it('takes 20,000 items at once, and refuses what is no item with a code', async () => {
          const items = Array.from({ length: 20_000 }, (_, i) => `item ${i}`);
          await filter.reserve(key, { capacity: 20_000 });
          expect((await filter.addMany(key, items)).filter(Boolean)).to.have.lengthOf.within(19_900, 20_000);
          expect(await filter.existsMany(key, items)).to.not.include(false);
          for (const item of [5, null, undefined, ['a'], new ArrayBuffer(3)])
            expect(await codeOf((async () => filter.add(key, item as never))())).to.equal(
              'ERR_INTELLIGENT_SESSION_ARGUMENT',
            );
        });

        it('is right on clients with a keyPrefix, automatic pipelines, numbers as text', async () => {
          for (const options of [
            { keyPrefix: 'pre:' },
            { enableAutoPipelining: true },
            { stringNumbers: true },
          ] as const) {
            const odd = new Redis(redis.url, options);
            try {
              const of = await chooseBloomFilter(odd, implementation);
              const at = `${key}:${Object.keys(options)[0]}`;
              await of.reserve(`${at}:big`, { capacity: 5000 });
              for (const one of [at, `${at}:big`]) {
                expect(await of.addMany(one, ['a', 'b', 'a'])).to.deep.equal([true, true, false]);
                for (let look = 0; look < 2; look++)
                  expect(await of.existsMany(one, ['a', 'c'])).to.deep.equal([true, false]);
              }
              expect(await client.exists(`${'keyPrefix' in options ? 'pre:' : ''}${at}`)).to.equal(1);
              await of.add(`${at}:source`, 'q');
              await of.merge(at, [`${at}:source`]);
              expect(await of.exists(at, 'q')).to.equal(true);
              expect(await copyFilter({ filter: of, key: at }, { filter: of, key: `${at}:copy` })).to.equal(true);
            } finally {
              odd.disconnect();
            }
          }
        });

        it('copies a filter in its last milliseconds as one that expires', async () => {
          await filter.add(key, 'a');
          const dump = (await filter.dump(key)) as BloomDump;
          await filter.load(`${key}:last`, { ...dump, ttlMs: 0 });
          expect(await client.pttl(`${key}:last`))
            .to.be.within(-2, 1)
            .and.not.equal(-1);
          expect(await filter.load(key, { ...dump, ttlMs: undefined }, new Map([[key, dump]]))).to.equal(true);
          expect(await client.pttl(key)).to.equal(-1);
        });

        it('dumps, copies and grows filters of many layers', async () => {
          await filter.reserve(key, { capacity: 10, expansion: 1 });
          const items = Array.from({ length: 900 }, (_, i) => `item ${i}`);
          await filter.addMany(key, items);
          expect((await filter.info(key))?.layers).to.be.greaterThan(76);
          expect(await copyFilter({ filter, key }, { filter, key: `${key}:copy` })).to.equal(true);
          expect(await filter.existsMany(`${key}:copy`, items)).to.not.include(false);
        });

        it('leaves the target as it was where a load is refused', async () => {
          await filter.addMany(key, ['a', 'b']);
          const dump = (await filter.dump(key)) as BloomDump;
          for (const bytes of [
            patched(dump.bytes, (copy) => copy.writeUInt32LE(99, 60)),
            patched(dump.bytes, (copy) => copy.writeDoubleLE(0, 44)),
            dump.bytes.subarray(0, 90),
          ]) {
            const code = await codeOf(filter.load(key, { bytes, ttlMs: undefined }, new Map([[key, dump]])));
            expect(code).to.equal(CODE);
            expect((await filter.dump(key))?.bytes.equals(dump.bytes)).to.equal(true);
          }
        });

        it('is loaded where the key is missing, unless it is named among what has to be unchanged', async () => {
          await filter.add(key, 'a');
          const dump = (await filter.dump(key)) as BloomDump;
          const other = `${key}:other`;
          expect(await filter.load(key, dump)).to.equal(false);
          expect(await filter.load(key, dump, new Map([[other, undefined]]))).to.equal(false);
          expect(await filter.load(key, dump, new Map([[key, dump]]))).to.equal(true);
          expect(await filter.load(other, dump, new Map([[key, undefined]]))).to.equal(false);
          expect(await filter.load(other, dump, new Map([[key, dump]]))).to.equal(true);
        });

        it('refuses to load by what is no Map of dumps', async () => {
          await filter.add(key, 'a');
          const dump = (await filter.dump(key)) as BloomDump;
          for (const unchanged of [{}, [key], key, 5, new Map([[key, 5]]), new Map([[key, {}]]), new Map([[5, dump]])])
            expect(await codeOf(filter.load(key, dump, unchanged as never)), String(unchanged)).to.equal(
              'ERR_INTELLIGENT_SESSION_ARGUMENT',
            );
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

    it('take many items in a script as they take each alone; it grows as often', async () => {
      const shapes = [{}, { capacity: 70, errorRate: 0.001, expansion: 1 }, { capacity: 5000 }];
      for (const [n, shape] of shapes.entries()) {
        const alone = new PlainBloomFilter(client, shape);
        const [one, module_, plain] = [`many:alone:${n}`, `many:module:${n}`, `many:plain:${n}`];
        const refused = new Set<number>();
        // half of them are there, and empty
        if (n % 2 === 1) for (const key of [one, plain]) await alone.reserve(key, shape);
        if (n % 2 === 1) await new RedisBloomFilter(client, shape).reserve(module_, shape);
        for (let batch = 0; batch < 12; batch++) {
          const items = Array.from({ length: 90 }, (_, i) => `item ${(batch * 80 + i) % 700}`);
          await alone.addMany(one, items);
          for (const [key, bloom] of [
            [module_, new RedisBloomFilter(client, shape)],
            [plain, alone],
          ] as const) {
            const lua = `${bloom.lua}\nbloom_add_all(KEYS[1], cjson.decode(ARGV[1]))\nreturn bloom_refused`;
            const argument = JSON.stringify(items.map((item) => bloom.scriptItem(item)));
            refused.add(Number(await new Script(lua).run(client, [key, argument])));
          }
        }
        const dump = async (bloom: BloomFilter, key: string) => (await bloom.dump(key))?.bytes.toString('base64');
        const expected = await dump(alone, one);
        expect(await dump(alone, plain), JSON.stringify(shape)).to.equal(expected);
        expect(await dump(new RedisBloomFilter(client), module_), JSON.stringify(shape)).to.equal(expected);
        expect([...refused]).to.deep.equal([0]);
        expect((await alone.info(plain))?.items).to.be.within(680, 700);
      }
    });

    it('are what the test vectors say, so that any language can read a filter of today', async () => {
      const filters = { module: new RedisBloomFilter(client), fallback: new PlainBloomFilter(client) };
      for (const [name, { shape, items, dump }] of Object.entries(vectors.filters))
        for (const [implementation, filter] of Object.entries(filters)) {
          const key = `vector:${implementation}:${name}`;
          await filter.reserve(key, shape);
          await filter.addMany(
            key,
            items.map((hex) => Buffer.from(hex, 'hex')),
          );
          expect((await filter.dump(key))?.bytes.toString('hex'), `${implementation} ${name}`).to.equal(dump);
        }
    });

    it('copy into each other losslessly, with the expiry, layers over 16 MB among them', async () => {
      const bloom = new RedisBloomFilter(client);
      const plain = new PlainBloomFilter(client);
      const items = Array.from({ length: 1000 }, (_, i) => `item ${i}`);
      for (const [name, shape] of Object.entries({
        small: { capacity: 100 },
        large: { capacity: 12_000_000, errorRate: 0.001 },
        fixed: { capacity: 2000, nonScaling: true },
      }))
        for (const [from, to] of [
          [bloom, plain],
          [plain, bloom],
        ] as const) {
          const [source, target] = [`copy:${name}:${from.implementation}`, `copy:${name}:of:${from.implementation}`];
          await from.reserve(source, shape);
          await from.addMany(source, items);
          await client.pexpire(source, 100_000);
          expect(await copyFilter({ filter: from, key: source }, { filter: to, key: target })).to.equal(true);
          expect(await to.existsMany(target, items)).to.not.include(false);
          expect(await client.pttl(target)).to.be.within(90_000, 100_000);
          await Promise.all([from.add(source, 'one more'), to.add(target, 'one more')]);
          const [a, b] = [await from.dump(source), await to.dump(target)];
          expect(a?.bytes.equals(b?.bytes as Buffer), `${name} of ${from.implementation}`).to.equal(true);
          expect(await codeOf(copyFilter({ filter: from, key: source }, { filter: to, key: target }))).to.equal(CODE);
          await client.del(source, target);
          expect(await copyFilter({ filter: from, key: source }, { filter: to, key: target })).to.equal(false);
        }
    });

    it('check a filter over 4 KB by one BITFIELD_RO, and see when another has let it grow', async () => {
      const mine = new PlainBloomFilter(client);
      const other = new PlainBloomFilter(client);
      await mine.reserve('big', { capacity: 5000 });
      const names = (upto: number) => Array.from({ length: upto }, (_, i) => `name ${i}`);
      await other.addMany('big', names(4990));
      expect(await mine.exists('big', 'name 1')).to.equal(true);
      await client.config('RESETSTAT');
      expect(await mine.existsMany('big', ['name 1', 'name 4989', 'nobody'])).to.deep.equal([true, true, false]);
      const stats = await client.info('commandstats');
      expect(stats).to.match(/cmdstat_bitfield_ro:calls=1,/);
      expect(stats).to.not.match(/cmdstat_(evalsha|getrange)/);
      for (let grown = 0; grown < 2; grown++) {
        await other.addMany('big', names(12_000 * (grown + 1)));
        expect(await mine.existsMany('big', ['name 1', 'name 11999', 'nobody'])).to.deep.equal([true, true, false]);
        expect(await mine.existsMany('big', names(12_000))).to.not.include(false);
      }
      await client.del('big');
      expect(await mine.existsMany('big', ['name 1'])).to.deep.equal([false]);
      await client.lpush('big', 'x');
      expect(await codeOf(mine.exists('big', 'name 1'))).to.equal(CODE);
    });

    it('see that another filter of the same size is there by now, whose items set 256 bits more', async () => {
      const mine = new PlainBloomFilter(client);
      const bitsFor = (errorRate: number) => -Math.log(errorRate) / Math.LN2 ** 2;
      const many = { errorRate: 2 ** -256.5, capacity: 120 };
      const few = { errorRate: 0.6, capacity: Math.ceil((many.capacity * bitsFor(many.errorRate)) / bitsFor(0.6)) };
      const sizes: { bits: number; hashes: number }[] = [];
      const names = (what: string) => Array.from({ length: 100 }, (_, i) => `${what} ${i}`);
      for (const shape of [few, many]) {
        await client.del('same');
        const other = new PlainBloomFilter(client);
        await other.reserve('same', { ...shape, nonScaling: true });
        await other.addMany('same', names('there'));
        const [layer] = parseForm(((await other.dump('same')) as BloomDump).bytes).layers;
        sizes.push({ bits: layer?.bits ?? 0, hashes: layer?.hashes ?? 0 });
        expect(await mine.exists('same', 'there 1')).to.equal(true);
      }
      expect(sizes.map(({ hashes }) => hashes)).to.deep.equal([1, 257]);
      expect(sizes[0]?.bits).to.equal(sizes[1]?.bits);
      expect(await mine.existsMany('same', names('there').slice(0, 2))).to.not.include(false);
      for (const name of names('nobody')) expect(await mine.exists('same', name), name).to.equal(false);
    });

    it('ask the server once a connection which there is', async () => {
      const one = new Redis(redis.url);
      await one.ping();
      await client.config('RESETSTAT');
      for (let i = 0; i < 5; i++) expect((await chooseBloomFilter(one)).implementation).to.equal('module');
      expect(await client.info('commandstats')).to.match(/cmdstat_command\|info:calls=1,|cmdstat_command:calls=1,/);
      one.disconnect();
    });

    it('says so where a filter has the other implementation’s form', async () => {
      const bloom = new RedisBloomFilter(client);
      const plain = new PlainBloomFilter(client);
      await bloom.add('form:module', 'x');
      await plain.add('form:plain', 'x');
      const message = (act: Promise<unknown>) => act.then(String, (error) => `${error.code} ${error.message}`);
      for (const [filter, key, said] of [
        [plain, 'form:module', /BLOOM .*filter of RedisBloom.*copyFilter/],
        [bloom, 'form:plain', /BLOOM .*filter of the fallback.*copyFilter/],
      ] as const) {
        const dump = (await (filter === plain ? bloom : plain).dump(key)) as BloomDump;
        for (const act of [
          () => filter.add(key, 'y'),
          () => filter.exists(key, 'y'),
          () => filter.info(key),
          () => filter.dump(key),
          () => filter.load(key, dump),
          () => filter.merge(key, ['form:module', 'form:plain']),
        ])
          expect(await message(act())).to.match(said);
        const script = new Script(`${filter.lua}\nreturn bloom_add(KEYS[1], cjson.decode(ARGV[1]))`);
        expect(
          bloomFault(await script.run(client, [key, JSON.stringify(filter.scriptItem('y'))]).catch((error) => error))
            .message,
        ).to.match(/move it with copyFilter/);
      }
    });
  });

describe('Bloom filters in a Cluster', () => {
  let cluster: PrivateCluster;
  let client: Cluster;
  before(async () => {
    cluster = await startCluster(3);
    client = new Cluster([...cluster.nodes]);
  });
  after(async () => {
    client?.disconnect();
    await cluster?.stop();
  });

  it('work on keys of every shard, and merge in a slot', async () => {
    const filter = await chooseBloomFilter(client);
    expect(filter.implementation).to.equal('fallback');
    const items = Array.from({ length: 300 }, (_, i) => `item ${i}`);
    for (let i = 0; i < 12; i++) {
      await filter.addMany(`shard ${i}`, items);
      expect(await filter.existsMany(`shard ${i}`, [...items, 'none'])).to.deep.equal([
        ...items.map(() => true),
        false,
      ]);
    }
    await filter.addMany('{slot}a', ['a']);
    await filter.addMany('{slot}b', ['b']);
    await filter.merge('{slot}a', ['{slot}b']);
    expect(await filter.existsMany('{slot}a', ['a', 'b'])).to.deep.equal([true, true]);
    expect(await copyFilter({ filter, key: '{slot}a' }, { filter, key: 'elsewhere' })).to.equal(true);
    expect(await filter.existsMany('elsewhere', ['a', 'b', 'c'])).to.deep.equal([true, true, false]);
  });
});
