/** The serving layer and the worker beside the white paper's pattern: npm run bench:serving (some minutes; --quick). */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../demo/private-redis.js';
import { startCluster } from '../test/support/cluster.js';
import { cached } from '../test/support/servers.js';
import { until } from '../test/support/until.js';
import { viewsOf } from '../test/support/views.js';
import { messageOf } from './support/child-message.js';
import { median, quick, report, round } from './support/figures.js';
import type { Result, Run } from './support/serving-process.js';
import type { SiteSide } from './support/serving-site.js';

const SESSIONS = 2000;
const ROUNDS = quick ? 2 : 5;
const SECONDS = quick ? 0.7 : 2;
const redis = await startPrivateRedis({ args: ['--loadmodule', cached('redisbloom.so')] });
const client = new Redis(redis.url);

/** A process, and what can be asked of it. */
interface Side {
  readonly child: ChildProcess;
  readonly port: number;
  run(wanted: Run): Promise<Result>;
  /** CPU time since the last call, µs */
  cpu(): Promise<number>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

async function start(file: string, ...args: string[]): Promise<Side> {
  const child = fork(fileURLToPath(new URL(`./support/${file}.ts`, import.meta.url)), args, {
    execArgv: ['--import', 'tsx'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const { port } = (await messageOf(child)) as { port: number };
  const ask = async (message: Run | 'cpu') => {
    child.send(message);
    return messageOf(child);
  };
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  };
  return {
    child,
    port,
    run: (wanted) => ask(wanted) as Promise<Result>,
    cpu: () => ask('cpu') as Promise<number>,
    stop,
  };
}
const startSide = (what: string, options: object = {}) =>
  start('serving-process', what, redis.url, JSON.stringify(options));

async function redisCpu(server = client): Promise<number> {
  const text = await server.info('cpu');
  const [, sys, , user] = /used_cpu_sys:([\d.]+)(\r\n)used_cpu_user:([\d.]+)/.exec(text) ?? [];
  return (Number(sys) + Number(user)) * 1e6;
}

function allAnswered({ asks, answered }: Result): void {
  if (asks !== answered) throw new Error(`${asks - answered} of ${asks} were not answered`);
}

const pairs: Record<string, (waiting: number) => Promise<[worker: Side | undefined, serving: Side]>> = {
  'the paper’s pattern': async (waiting) => [
    await startSide('paper worker'),
    await startSide('paper', { connections: waiting }),
  ],
  'ours, pub/sub': async () => [
    await startSide('worker', { namespace: 'm:' }),
    await startSide('ours', { namespace: 'm:' }),
  ],
  'ours, stream': async () => [
    await startSide('worker', { namespace: 's:', transport: 'stream' }),
    await startSide('ours', { namespace: 's:', transport: 'stream' }),
  ],
  'ours, pub/sub, without RedisBloom': async () => [
    await startSide('worker', { namespace: 'f:', bloom: 'fallback' }),
    await startSide('ours', { namespace: 'f:' }),
  ],
};

/** without a worker, and what they are measured by */
const bare = 'the bare script, run by the application';
const embedded = 'ours, embedded';
Object.assign(pairs, {
  [bare]: async () => [undefined, await startSide('bare script', { namespace: 'b:' })],
  [embedded]: async () => [undefined, await startSide('embedded', { namespace: 'e:' })],
});
const [paper = ''] = Object.keys(pairs);

interface Measured extends Result {
  readonly worker: number;
  readonly serving: number;
  readonly redis: number;
}

async function measure([worker, serving]: readonly (Side | undefined)[], wanted: Run): Promise<Measured> {
  await Promise.all([worker?.cpu(), serving?.cpu()]);
  const before = await redisCpu();
  const result = (await serving?.run(wanted)) as Result;
  const after = await redisCpu();
  const [ofWorker = 0, ofServing = 0] = await Promise.all([worker?.cpu(), serving?.cpu()]);
  const each = (micros: number) => micros / result.asks;
  return { ...result, worker: each(ofWorker), serving: each(ofServing), redis: each(after - before) };
}

// 1. asks a second over the number that wait; five rounds of every side at 32 and 256
const WAITING = quick ? [32, 256] : [1, 8, 32, 128, 256, 1024];
const measured = new Map<string, Measured[]>();
for (let r = 0; r < ROUNDS; r++)
  for (const waiting of WAITING)
    for (const [name, make] of Object.entries(pairs)) {
      const local = name === bare || name === embedded;
      const counted = waiting === 32 || waiting === 256 || (waiting === 1 && (local || name === 'ours, pub/sub'));
      if (!counted && (r > 1 || name.endsWith('RedisBloom'))) continue;
      const pair = await make(waiting);
      await pair[1].run({ waiting, seconds: quick ? 0.5 : 1.5 });
      const key = `${name} ${waiting}`;
      measured.set(key, [...(measured.get(key) ?? []), await measure(pair, { waiting, seconds: SECONDS })]);
      // the serving process first; a worker that is asked to go gives its leases back
      for (const side of pair.toReversed()) await side?.stop(name === paper ? 'SIGKILL' : 'SIGTERM');
    }
const of = (name: string, waiting: number, field: keyof Measured) =>
  median((measured.get(`${name} ${waiting}`) ?? []).map((one) => one[field]));
const speed = Object.keys(pairs)
  .filter((name) => name !== bare)
  .flatMap((name) =>
    [32, 256].map((waiting) => ({
      side: name,
      waiting,
      'asks a second': Math.round(of(name, waiting, 'perSecond')),
      'x the pattern': round(of(name, waiting, 'perSecond') / of(paper, waiting, 'perSecond')),
      'p50 ms': round(of(name, waiting, 'p50')),
      'p50, x the pattern': round(of(name, waiting, 'p50') / of(paper, waiting, 'p50')),
      'p99 ms': round(of(name, waiting, 'p99')),
      'p99, x the pattern': round(of(name, waiting, 'p99') / of(paper, waiting, 'p99')),
      'CPU µs an ask: serving': round(of(name, waiting, 'serving'), 1),
      worker: round(of(name, waiting, 'worker'), 1),
      Redis: round(of(name, waiting, 'redis'), 1),
      lost: (measured.get(`${name} ${waiting}`) ?? []).reduce((sum, { asks, answered }) => sum + asks - answered, 0),
    })),
  );

const local = [1, 32, 256].flatMap((waiting) =>
  [bare, embedded, 'ours, pub/sub'].map((name) => ({
    side: name,
    waiting,
    'asks a second': Math.round(of(name, waiting, 'perSecond')),
    'x the bare script': round(of(name, waiting, 'perSecond') / of(bare, waiting, 'perSecond')),
    'p50 ms': round(of(name, waiting, 'p50')),
    'CPU µs an ask: this process': round(of(name, waiting, 'serving'), 1),
    'CPU, x the bare script': round(of(name, waiting, 'serving') / of(bare, waiting, 'serving')),
    worker: round(of(name, waiting, 'worker'), 1),
    Redis: round(of(name, waiting, 'redis'), 1),
  })),
);

// how long one call holds Redis: 64 messages at once, each a page that is new to its session, and nothing else going on
const held: object[] = [];
await client.config('SET', 'slowlog-log-slower-than', '200');
await client.config('SET', 'slowlog-max-len', '1000');
for (const name of ['ours, pub/sub', 'ours, pub/sub, without RedisBloom']) {
  const [worker, serving] = (await pairs[name]!(1)) as [Side, Side];
  await serving.run({ waiting: 64, asks: 2000, send: true, sessions: 50 });
  await client.call('SLOWLOG', 'RESET');
  for (let i = 0; i < 20; i++) await serving.run({ waiting: 64, asks: 640, send: true, sessions: 640 });
  const slow = (await client.call('SLOWLOG', 'GET', '1000')) as [number, number, number, string[]][];
  const ms = slow.filter(([, , , words]) => Number(words[2]) > 0).map(([, , us]) => us / 1000);
  held.push({
    side: name,
    'calls over 0.2 ms': ms.length,
    'median ms': round(median(ms)),
    'longest ms': round(Math.max(...ms)),
  });
  await serving.stop();
  await worker.stop();
}

await client.config('SET', 'slowlog-log-slower-than', '-1');

// 2. connections while 10,000 wait
const crowd: object[] = [];
for (const name of [paper, 'ours, pub/sub', 'ours, stream']) {
  const connected = async () => Number(/connected_clients:(\d+)/.exec(await client.info('clients'))?.[1]);
  const none = await connected();
  const [worker, serving] = (await pairs[name]!(256)) as [Side, Side];
  await serving.run({ waiting: 16, asks: 100 });
  let most = await connected();
  let running = true;
  const answer = serving.run({ waiting: 10_000, asks: 10_000, timeoutMs: 2000 }).finally(() => {
    running = false;
  });
  while (running) most = Math.max(most, await connected());
  const { asks, answered } = await answer;
  await serving.stop('SIGKILL');
  await until('they are gone', async () => (await connected()) < most);
  const ofWorker = (await connected()) - none;
  await worker.stop('SIGKILL');
  crowd.push({
    side: name,
    waiting: asks,
    'connections of the serving process': most - none - ofWorker,
    'of the worker': ofWorker,
    'lost after 2 s': asks - answered,
  });
}

// 3. Redis commands a page view, of all processes; what a script does inside is not one
async function commandsOf(act: () => Promise<unknown>): Promise<number> {
  const monitor = (await client.monitor()) as unknown as Redis;
  let sent = 0;
  const ended = new Promise<void>((resolve) => {
    monitor.on('monitor', (_time: string, args: string[], source: string) => {
      if (args[0] === 'echo') resolve();
      else if (source !== 'lua' && args[0] !== 'ping') sent++;
    });
  });
  await act();
  await client.echo('end');
  await ended;
  monitor.disconnect();
  return sent;
}
const commands: object[] = [];
for (const name of [paper, 'ours, pub/sub', 'ours, stream']) {
  const row: Record<string, unknown> = { side: name };
  for (const waiting of [1, 32, 256]) {
    const [worker, serving] = (await pairs[name]!(waiting)) as [Side, Side];
    await serving.run({ waiting, asks: 1000 });
    const asks = waiting === 1 ? 1000 : 4000;
    const sent = await commandsOf(async () => allAnswered(await serving.run({ waiting, asks })));
    row[`commands a page view, ${waiting} waiting`] = round(sent / asks);
    await serving.stop();
    await worker.stop();
  }
  commands.push(row);
}

// 4. an Express site: CPU time a request, requests a second
const siteSides: readonly SiteSide[] = [
  'sessions only',
  'page view not waited for',
  'page view waited for',
  'embedded, page view not waited for',
  'embedded, page view waited for',
];
const sites = await Promise.all(siteSides.map((side) => start('serving-site', side, redis.url)));
const siteWorker = await startSide('worker', { namespace: 'site:' });
// what autocannon and Node's fetch call themselves is a bot's
const browser = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0' };
const cookies = await Promise.all(
  sites.map(({ port }) =>
    Promise.all(
      Array.from({ length: 64 }, async () => {
        const response = await fetch(`http://127.0.0.1:${port}/login`, { headers: browser });
        return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
      }),
    ),
  ),
);
const siteFigures = new Map<SiteSide, { perSecond: number; cpu: number; p50: number }[]>();
for (let r = 0; r < ROUNDS; r++)
  for (const [i, side] of siteSides.entries()) {
    const site = sites[i] as Side;
    let next = 0;
    await site.cpu();
    const result = await autocannon({
      url: `http://127.0.0.1:${site.port}`,
      connections: 64,
      duration: quick ? 1 : 4,
      requests: [{ path: `/page/${r}` }],
      setupClient: (one) => one.setHeaders({ ...browser, cookie: cookies[i]?.[next++ % 64] as string }),
    });
    const cpu = await site.cpu();
    if (result.non2xx || result.errors) throw new Error(`${side}: ${result.non2xx} non-2xx, ${result.errors} errors`);
    const figures = { perSecond: result.requests.average, cpu: cpu / result.requests.total, p50: result.latency.p50 };
    siteFigures.set(side, [...(siteFigures.get(side) ?? []), figures]);
  }
for (const side of [...sites, siteWorker]) await side.stop('SIGKILL');
const ofSite = (side: SiteSide, field: 'perSecond' | 'cpu' | 'p50') =>
  median((siteFigures.get(side) ?? []).map((one) => one[field]));
const express = siteSides.map((side) => ({
  side,
  'CPU µs a request': round(ofSite(side, 'cpu'), 1),
  'CPU, x sessions only': round(ofSite(side, 'cpu') / ofSite('sessions only', 'cpu')),
  'requests a second': Math.round(ofSite(side, 'perSecond')),
  'requests, x sessions only': round(ofSite(side, 'perSecond') / ofSite('sessions only', 'perSecond')),
  'p50 ms': ofSite(side, 'p50'),
}));

// 5. no worker
const away: object[] = [];
for (const [name, options] of [
  ['pub/sub', { namespace: 'm:' }],
  ['stream', { namespace: 's:', transport: 'stream' }],
] as const) {
  const worker = await startSide('worker', options);
  const serving = await startSide('ours', options);
  await serving.run({ waiting: 1, asks: 2000 });
  await worker.stop();
  await serving.run({ waiting: 1, asks: 1 });
  const { asks, answered, p50, p99 } = await serving.run({ waiting: 1, asks: 3000, timeoutMs: 100 });
  await serving.stop('SIGKILL');
  away.push({ 'no worker': name, asks, answered, 'p50 ms': round(p50), 'p99 ms': round(p99) });
}
{
  const [worker, serving] = (await pairs['ours, pub/sub']!(1)) as [Side, Side];
  await serving.run({ waiting: 1, asks: 100 });
  worker.child.kill('SIGSTOP');
  const first = await serving.run({ waiting: 1, asks: 5, timeoutMs: 100 });
  const then = await serving.run({ waiting: 1, asks: 3000, timeoutMs: 100 });
  for (const [what, { asks, answered, p50, p99 }] of [
    ['frozen, the first five', first],
    ['frozen, the circuit open', then],
  ] as const)
    away.push({ 'no worker': what, asks, answered, 'p50 ms': round(p50), 'p99 ms': round(p99) });
  for (const side of [worker, serving]) await side.stop('SIGKILL');
}
await client.flushall();

// 6. nothing lost, nothing twice
const total = async (namespace: string) => {
  const all = Array.from({ length: SESSIONS }, (_, i) => `visitor-${i}`);
  const views = await Promise.all(all.map((sid) => viewsOf(client, namespace, sid)));
  return views.reduce((sum, n) => sum + n, 0);
};
const exact: object[] = [];
{
  const VIEWS = quick ? 20_000 : 100_000;
  const options = { namespace: 's:', transport: 'stream' };
  const workers = await Promise.all([1, 2, 3].map(() => startSide('worker', options)));
  await until('they share', async () => {
    const all = await client.mget(Array.from({ length: 16 }, (_, i) => `s:ss:stream:{${i}}:worker`));
    return new Set(all).size === 3 && !all.includes(null);
  });
  const serving = await startSide('ours', options);
  const started = performance.now();
  const load = serving.run({ waiting: 200, asks: VIEWS, send: true, sessions: SESSIONS });
  await until('half are counted', async () => (await total('s:')) > VIEWS / 2, 60_000);
  await workers[0]?.stop('SIGKILL');
  const pending = await Promise.all(
    Array.from(
      { length: 16 },
      async (_, i) => ((await client.xpending(`s:ss:stream:{${i}}`, 'workers')) as [number])[0],
    ),
  );
  await load;
  await until('all are counted', async () => (await total('s:')) >= VIEWS, 60_000);
  const seconds = (performance.now() - started) / 1000;
  await until(
    'nothing is left',
    async () => {
      const left = await Promise.all(Array.from({ length: 16 }, (_, i) => client.xlen(`s:ss:stream:{${i}}`)));
      return left.every((n) => n === 0);
    },
    60_000,
  );
  exact.push({
    what: 'stream: one of three workers killed (SIGKILL)',
    sent: VIEWS,
    counted: await total('s:'),
    'unfinished at that moment': pending.reduce((sum, n) => sum + n, 0),
    seconds: round(seconds, 1),
  });
  for (const side of [serving, ...workers.slice(1)]) await side.stop();
}
await client.flushall();
{
  const options = { namespace: 'm:' };
  let worker = await startSide('worker', options);
  const serving = await startSide('ours', options);
  const load = serving.run({ waiting: 64, seconds: quick ? 3 : 10, timeoutMs: 2000, sessions: SESSIONS });
  for (let i = 0; i < 4; i++) {
    const next = await startSide('worker', options);
    await worker.stop();
    worker = next;
  }
  const { asks, answered } = await load;
  exact.push({
    what: 'pub/sub: four rolling restarts, two workers overlapping',
    sent: asks,
    counted: await total('m:'),
    unanswered: asks - answered,
  });
  for (const side of [serving, worker]) await side.stop();
}

// 7. more workers, more serving processes
const scale: object[] = [];
for (const [servings, workers] of [
  [1, 1],
  [1, 2],
  [1, 4],
  [2, 1],
  [2, 2],
  [2, 4],
] as const) {
  const figures: { perSecond: number; redis: number; workers: number; servings: number }[] = [];
  for (let r = 0; r < (quick ? 1 : 3); r++) {
    const shards = await Promise.all(
      Array.from({ length: workers }, (_, i) =>
        // the benchmark's ids begin alike: their last character would tell them apart, but a shard goes by the first
        startSide('worker', {
          namespace: 'm:',
          sessionGlob: `*[${'0123456789'.slice((i * 10) / workers, ((i + 1) * 10) / workers)}]`,
        }),
      ),
    );
    const all = await Promise.all(Array.from({ length: servings }, () => startSide('ours', { namespace: 'm:' })));
    await Promise.all(all.map((side) => side.run({ waiting: 128, seconds: 0.5 })));
    await Promise.all([...shards, ...all].map((side) => side.cpu()));
    const before = await redisCpu();
    const results = await Promise.all(all.map((side) => side.run({ waiting: 128, seconds: SECONDS })));
    const after = await redisCpu();
    const asks = results.reduce((sum, one) => sum + one.asks, 0);
    const sum = async (sides: Side[]) =>
      (await Promise.all(sides.map((side) => side.cpu()))).reduce((a, b) => a + b, 0);
    figures.push({
      perSecond: results.reduce((total, one) => total + one.perSecond, 0),
      redis: (after - before) / asks,
      workers: (await sum(shards)) / asks,
      servings: (await sum(all)) / asks,
    });
    for (const side of [...all, ...shards]) await side.stop('SIGKILL');
  }
  const middle = (field: keyof (typeof figures)[0]) => median(figures.map((one) => one[field]));
  const busy = { Redis: middle('redis'), workers: middle('workers') / workers, serving: middle('servings') / servings };
  const [bottleneck] = Object.entries(busy).toSorted((a, b) => b[1] - a[1])[0] as [string, number];
  scale.push({
    'serving processes': servings,
    workers,
    'asks a second, two cores for all': Math.round(middle('perSecond')),
    'CPU µs a page view: Redis': round(middle('redis'), 1),
    'all workers': round(middle('workers'), 1),
    'all serving': round(middle('servings'), 1),
    'busiest process': bottleneck,
  });
}

// 8. a Cluster of three masters, on the same two cores
const clustered: object[] = [];
{
  const cluster = await startCluster(3, ['--loadmodule', cached('redisbloom.so')]);
  const masters = cluster.nodes.map(({ host, port }) => new Redis(port, host));
  for (const transport of ['pubsub', 'stream']) {
    const options = { namespace: `${transport}:`, transport, nodes: cluster.nodes };
    const [worker, serving] = [await startSide('worker', options), await startSide('ours', options)];
    await serving.run({ waiting: 256, seconds: 1 });
    await Promise.all([worker.cpu(), serving.cpu()]);
    const sum = async () => (await Promise.all(masters.map(redisCpu))).reduce((a, b) => a + b, 0);
    const before = await sum();
    const { asks, answered, perSecond, p50 } = await serving.run({ waiting: 256, seconds: 2 * SECONDS });
    const after = await sum();
    clustered.push({
      transport,
      'asks a second': Math.round(perSecond),
      'p50 ms': round(p50),
      'CPU µs a page view: all masters': round((after - before) / asks, 1),
      worker: round((await worker.cpu()) / asks, 1),
      serving: round((await serving.cpu()) / asks, 1),
      lost: asks - answered,
    });
    for (const side of [worker, serving]) await side.stop('SIGKILL');
  }
  for (const master of masters) master.disconnect();
  await cluster.stop();
}

const curves = [paper, 'ours, pub/sub', 'ours, stream'];
const perSecond = (name: string, waiting: number) => Math.round(of(name, waiting, 'perSecond'));
report('serving', {
  'asks a second, one serving process, one worker, medians of five interleaved rounds': speed,
  'without a worker, beside the bare script, medians of five interleaved rounds': local,
  'asks a second over the number that wait': curves.map((name) => ({
    side: name,
    ...Object.fromEntries(WAITING.map((waiting) => [waiting, perSecond(name, waiting)])),
  })),
  'how long a call of up to 64 messages holds Redis': held,
  'connections while 10,000 wait': crowd,
  'Redis commands a page view, counted': commands,
  'an Express site at 64 connections': express,
  'what an ask takes without a worker': away,
  'nothing lost, nothing twice': exact,
  'more workers, more serving processes, 128 waiting each': scale,
  'a Cluster of three masters on the same two cores, 256 waiting': clustered,
});
client.disconnect();
await redis.stop();
