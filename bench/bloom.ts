/** RedisBloom and the fallback side by side: npm run bench:bloom (some minutes; --quick for a tenth of it). */
import { performance } from 'node:perf_hooks';
import { Redis } from 'ioredis';
import murmurhash from 'murmurhash';
import xxhash from 'xxhash-wasm';
import { startPrivateRedis } from '../demo/private-redis.js';
import { PlainBloomFilter } from '../fallback/plain-bloom.js';
import type { BloomFilter, BloomShape } from '../lib/bloom/bloom-filter.js';
import { hashPair, murmurHash64A } from '../lib/hash/murmur-hash.js';
import { RedisBloomFilter } from '../lib/bloom/redis-bloom.js';
import { intelligenceKey } from '../lib/redis/keys.js';
import { keysOf } from '../lib/intelligence/commands.js';
import { storedItems } from '../lib/intelligence/command/stored-item.js';
import { pageview } from '../lib/intelligence/commands/pageview/index.js';
import { commandScript, TO_CALLER } from '../lib/intelligence/script.js';
import { cached } from '../test/support/servers.js';
import { commandStats, median, quick, report, round } from './support/figures.js';

const ROUNDS = 5;
const scale = quick ? 0.1 : 1;
const binary = process.argv.find((arg) => arg.startsWith('--server='))?.slice(9);
const redis = await startPrivateRedis({
  ...(binary && { binary: cached(binary) }),
  args: ['--loadmodule', process.env.REDIS_BLOOM_MODULE ?? cached('redisbloom.so')],
});
const client = new Redis(redis.url);
const filters = { module: new RedisBloomFilter(client), fallback: new PlainBloomFilter(client) };
const sides = Object.entries(filters) as ['module' | 'fallback', BloomFilter][];
const names = (from: number, upto: number, of = 'item') =>
  Array.from({ length: upto - from }, (_, i) => `${of}:${from + i}`);

/** Items in batches of 1,000, four batches under way at a time. */
async function inBatches<T>(
  from: number,
  upto: number,
  act: (items: string[]) => Promise<T>,
  of?: string,
): Promise<T[]> {
  const replies: T[] = [];
  let next = from;
  const lane = async () => {
    while (next < upto) {
      const start = next;
      next = Math.min(upto, start + 1000);
      replies.push(await act(names(start, next, of)));
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return replies;
}

// 1. the same answers, the same bytes
const shapes: BloomShape[] = [
  {},
  { capacity: 10_000, errorRate: 0.001, expansion: 2 },
  { capacity: 50, errorRate: 0.05, expansion: 4 },
  { capacity: 3000, errorRate: 0.01, expansion: 1 },
  { capacity: 200_000, errorRate: 0.01, nonScaling: true },
];
const same: object[] = [];
for (const shape of shapes) {
  const operations = 200_000 * scale;
  let differing = 0;
  for (const [side, filter] of sides) await filter.reserve(`same:${side}`, shape);
  for (let done = 0; done < operations; done += 1000) {
    const random = () => `item:${Math.floor(Math.random() * operations * 0.4)}`;
    const added = Array.from({ length: 500 }, random);
    const asked = Array.from({ length: 500 }, () => (Math.random() < 0.5 ? random() : `other:${Math.random()}`));
    const [a, b] = await Promise.all([
      filters.module.addMany('same:module', added),
      filters.fallback.addMany('same:fallback', added),
    ]);
    const [c, d] = await Promise.all([
      filters.module.existsMany('same:module', asked),
      filters.fallback.existsMany('same:fallback', asked),
    ]);
    differing += a.filter((answer, i) => answer !== b[i]).length + c.filter((answer, i) => answer !== d[i]).length;
  }
  const dumps = await Promise.all(sides.map(([side, filter]) => filter.dump(`same:${side}`)));
  const [x, y] = dumps.map((dump) => dump?.bytes ?? Buffer.alloc(0)) as [Buffer, Buffer];
  let bytes = Math.abs(x.length - y.length);
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) bytes++;
  const layers = (await filters.fallback.info('same:fallback'))?.layers;
  same.push({
    shape: JSON.stringify(shape),
    operations,
    layers,
    'differing answers': differing,
    'differing bytes': bytes,
  });
  await client.flushall();
}

const usedMemory = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
// 2., 3., 4. false positives, false negatives, memory; filters made at their size, and grown from 100
const rates: object[] = [];
const memory: object[] = [];
const missed = { module: { checks: 0, negatives: 0 }, fallback: { checks: 0, negatives: 0 } };
async function findAll(side: 'module' | 'fallback', key: string, upto: number): Promise<void> {
  const found = (await inBatches(0, upto, (items) => filters[side].existsMany(key, items))).flat();
  missed[side].checks += upto;
  missed[side].negatives += found.filter((has) => !has).length;
}
for (const n of [100, 10_000, 1_000_000 * scale])
  for (const errorRate of [0.05, 0.01, 0.001])
    for (const made of ['at its size', 'grown from 100'] as const) {
      if (n === 100 && made === 'grown from 100') continue;
      const figures: Record<string, number> = {};
      const bytes: Record<string, number> = {};
      for (const [side, filter] of sides) {
        await filter.reserve('f', { errorRate, capacity: made === 'at its size' ? n : 100 });
        for (let grown = 0; grown < n; grown += n / 2) {
          await inBatches(grown, grown + n / 2, (items) => filter.addMany('f', items));
          await findAll(side, 'f', grown + n / 2);
        }
        const probes = Math.round(200_000 * Math.max(scale, 0.1));
        const answers = await inBatches(0, probes, (items) => filter.existsMany('f', items), 'absent');
        figures[side] = answers.flat().filter(Boolean).length / probes;
        bytes[side] = (await client.memory('USAGE', 'f')) as number;
        const before = await usedMemory();
        await client.del('f');
        bytes[`${side} allocated`] = before - (await usedMemory());
      }
      rates.push({ items: n, made, configured: errorRate, ...figures });
      if (errorRate === 0.01)
        memory.push({
          items: n,
          made,
          ...bytes,
          ratio: round((bytes.fallback as number) / (bytes.module as number), 3),
        });
    }
for (const [side] of sides) {
  const writers = Array.from({ length: 4 }, () => new Redis(redis.url));
  const total = 400_000 * scale;
  await Promise.all(
    writers.map((writer, w) => {
      const own = side === 'module' ? new RedisBloomFilter(writer) : new PlainBloomFilter(writer);
      return (async () => {
        // half of each writer's items are the next one's too
        for (let i = 0; i < total / 2; i += 1000)
          await own.addMany('shared', names((w * total) / 4 + i, Math.min((w * total) / 4 + i + 1000, total)));
      })();
    }),
  );
  for (const writer of writers) writer.disconnect();
  do await findAll(side, 'shared', total);
  while (side === 'fallback' && missed.fallback.checks < 10_000_000 * scale);
  await client.unlink('shared');
}

// 5. server time, by INFO commandstats
const COUNT = Math.round(4000 * Math.max(scale, 0.25));
async function serverTime(act: (i: number) => Promise<unknown>): Promise<{ usec: number; command: string }> {
  await client.config('RESETSTAT');
  for (let i = 0; i < COUNT; i += 100) await Promise.all(Array.from({ length: 100 }, (_, j) => act(i + j)));
  const stats = Object.entries(await commandStats(client)).filter(([name]) => !/config|info/.test(name));
  // commands that ran inside a script are counted within it
  const [script] = stats.filter(([name]) => /^eval/.test(name)).sort(([, a], [, b]) => b.calls - a.calls);
  const own = script ? [script] : stats.filter(([, { calls }]) => calls >= COUNT);
  return {
    usec: own.reduce((sum, [, stat]) => sum + stat.usec / COUNT, 0),
    command: own.map(([name]) => name).join(' + '),
  };
}
const times: Record<string, { usec: number[]; command: string }> = {};
async function time(name: string, act: (i: number) => Promise<unknown>): Promise<void> {
  const { usec, command } = await serverTime(act);
  times[name] = { usec: [...(times[name]?.usec ?? []), usec], command };
}
const none = {
  ...filters.module,
  lua: `local function bloom_check() return true end
local function bloom_add() return 1 end
local function bloom_which() end`,
};
const pageviews = { 'no filter': none, module: filters.module, fallback: filters.fallback };
for (let r = 0; r < ROUNDS; r++) {
  await client.flushall();
  for (const capacity of [100, 100_000]) {
    // 40 filters, 100 items each: none grows
    const key = (side: string, i: number) => `${side}:${capacity}:${i % 40}`;
    for (const [side, filter] of sides) for (let i = 0; i < 40; i++) await filter.reserve(key(side, i), { capacity });
    const of = `capacity ${capacity}:`;
    await time(`${of} add, BF.ADD`, (i) => client.call('BF.ADD', key('module', i), `a${i}`));
    await time(`${of} add, fallback`, (i) => filters.fallback.add(key('fallback', i), `a${i}`));
    await time(`${of} add of a present item, BF.ADD`, (i) => client.call('BF.ADD', key('module', i), `a${i}`));
    await time(`${of} add of a present item, fallback`, (i) => filters.fallback.add(key('fallback', i), `a${i}`));
    await time(`${of} check, BF.EXISTS`, (i) => client.call('BF.EXISTS', key('module', i), `a${i}`));
    await time(`${of} check, fallback`, (i) => filters.fallback.exists(key('fallback', i), `a${i}`));
    await time(`${of} check of an absent item, BF.EXISTS`, (i) => client.call('BF.EXISTS', key('module', i), `b${i}`));
    await time(`${of} check of an absent item, fallback`, (i) => filters.fallback.exists(key('fallback', i), `b${i}`));
  }
  for (const [side, bloom] of Object.entries(pageviews)) {
    // one message a call, that nobody waits for
    const script = commandScript({ bloom: bloom as BloomFilter, activityDays: 7 }, TO_CALLER);
    const of = {
      bloom: side === 'fallback' ? filters.fallback : filters.module,
      activityDays: 7,
      combos: new Map(),
      items: storedItems(undefined),
      messageAgeMs: 60_000,
    };
    for (const what of ['new page', 'page again'])
      await time(`page view script, ${what}, ${side}`, (i) => {
        const sid = `s${i % 100}`;
        const all = what === 'new page' && i < 100 && { all: true }; // a visitor's first
        const keys = (all ? keysOf(pageview) : pageview.keys).map((name) => intelligenceKey(side, sid, name));
        const id = `${what.replace(' ', '-')}~${i.toString(36)}`;
        const fields = pageview.fields({ sid, id, isAnonymous: false, payload: `/page/${Math.floor(i / 100)}` }, of);
        const message = { command: 'pageview', key: 1, ttl: 600_000, ...all, ...fields };
        return script.run(client, [...keys, JSON.stringify([message])], keys.length);
      });
  }
}
const usec = (name: string) => median(times[name]?.usec ?? []);
const ofModule = (name: string): string | undefined => {
  if (name.endsWith(', fallback') && !name.startsWith('page'))
    return name.replace('fallback', / add/.test(name) ? 'BF.ADD' : 'BF.EXISTS');
  return undefined;
};
const server = Object.entries(times).map(([what, { command }]) => {
  const peer = ofModule(what);
  return { what, command, µs: round(usec(what)), ...(peer && { 'x module': round(usec(what) / usec(peer), 1) }) };
});
const inPageview = ['new page', 'page again'].map((what) => {
  const [none, module_, fallback] = ['no filter', 'module', 'fallback'].map((side) =>
    usec(`page view script, ${what}, ${side}`),
  ) as [number, number, number];
  return {
    what: `the filter’s part of a page view, ${what}`,
    'module µs': round(module_ - none),
    'fallback µs': round(fallback - none),
    'whole script, fallback / module': round(fallback / module_),
  };
});

// 6. adds a second through one pipelined client
const pipelined: object[] = [];
for (const capacity of [100_000, 100]) {
  const perSecond: Record<'module' | 'fallback', number[]> = { module: [], fallback: [] };
  for (let r = 0; r < ROUNDS; r++)
    for (const [side, filter] of r % 2 ? sides.toReversed() : sides) {
      await filter.reserve('pipelined', { capacity });
      const started = performance.now();
      const adds = 50_000 * scale;
      for (let i = 0; i < adds; i += 1000)
        await Promise.all(names(i, i + 1000, `round${r}`).map((item) => filter.add('pipelined', item)));
      perSecond[side].push((adds / (performance.now() - started)) * 1000);
      await client.unlink('pipelined');
    }
  pipelined.push({
    filter: capacity === 100 ? `grown from 100 to ${50_000 * scale}` : `reserved for ${capacity}`,
    module: Math.round(median(perSecond.module)),
    fallback: Math.round(median(perSecond.fallback)),
    ratio: round(median(perSecond.fallback) / median(perSecond.module)),
  });
}

// 7. hashes a second
const { h64Raw, h64 } = await xxhash();
const texts = names(0, 1000, 'https://shop.example/p').map((text) => text.padEnd(30, '/').slice(0, 30));
const byteItems = texts.map((text) => Buffer.from(text));
const hashers: Record<string, (i: number) => unknown> = {
  'ours: both hashes of an item, from text': (i) => hashPair(Buffer.from(texts[i] as string)),
  'ours: both hashes of an item, from bytes': (i) => hashPair(byteItems[i] as Buffer),
  'ours: MurmurHash64A, one, from bytes': (i) => murmurHash64A(byteItems[i] as Buffer, { lo: 1, hi: 2 }),
  'murmurhash (npm): v3, 32 bits, from text': (i) => murmurhash.v3(texts[i] as string),
  'xxhash-wasm (npm): 64 bits, from bytes': (i) => h64Raw(byteItems[i] as Buffer),
  'xxhash-wasm (npm): 64 bits, from text': (i) => h64(texts[i] as string),
};
const hashed: Record<string, number[]> = {};
for (let r = 0; r <= ROUNDS; r++)
  for (const [name, hash] of Object.entries(hashers)) {
    const started = performance.now();
    for (let i = 0; i < 300_000 * scale; i++) hash(i % 1000);
    const rate = (300_000 * scale * 1000) / (performance.now() - started);
    if (r > 0) hashed[name] = [...(hashed[name] ?? []), rate]; // the first round warms up
  }
const hashes = Object.entries(hashed).map(([what, all]) => ({ what, 'a second': Math.round(median(all)) }));

// 8. a check against a filter that has grown
const grown: object[] = [];
for (const [side, filter] of sides)
  for (const layers of [1, 4, 7, 11]) {
    await filter.reserve('grown', { capacity: 100 });
    for (let n = 0; ((await filter.info('grown'))?.layers ?? 0) < layers; n += 50)
      await filter.addMany('grown', names(n, n + 50));
    await filter.exists('grown', 'first look');
    const all = [];
    for (let r = 0; r < ROUNDS; r++) all.push(await serverTime((i) => filter.exists('grown', `absent ${r} ${i}`)));
    grown.push({
      side,
      layers,
      items: await filter.cardinality('grown'),
      'µs a check of an absent item': round(median(all.map(({ usec }) => usec))),
      command: all[0]?.command,
    });
    await client.unlink('grown');
  }

report(binary ? `bloom-${binary}` : 'bloom', {
  'the same answers and bytes': same,
  'false positives': rates,
  'false negatives': Object.entries(missed).map(([side, figures]) => ({ side, ...figures })),
  'memory, MEMORY USAGE': memory,
  'server time a call, INFO commandstats, median of five rounds': server,
  'inside the page-view script': inPageview,
  'adds a second, one pipelined client': pipelined,
  'hashes a second, 30-byte items': hashes,
  'a check of a grown filter': grown,
});
await client.quit();
await redis.stop();
