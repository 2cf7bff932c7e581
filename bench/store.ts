/** RedisSessionStore beside connect-redis 9, connect-redis 8 and MemoryStore: npm run bench:store (some minutes; --quick). */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../demo/private-redis.js';
import { messageOf } from './support/child-message.js';
import { median, quantile, quick, report, round } from './support/figures.js';
import type { Side } from './support/store-site.js';

const ROUNDS = 5;
const SECONDS = quick ? 1 : 3;
const sides: readonly Side[] = ['connect-redis 9', 'connect-redis 8', 'MemoryStore', 'ours', 'ours, near cache'];
const onRedis = sides.filter((side) => side !== 'MemoryStore');
const redis = await startPrivateRedis();
const client = new Redis(redis.url);

const children: ChildProcess[] = [];
async function start(file: string, args: readonly string[]): Promise<{ port: number; stop: () => Promise<void> }> {
  const child = fork(fileURLToPath(new URL(`./support/${file}`, import.meta.url)), args, {
    execArgv: ['--import', 'tsx'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  children.push(child);
  const { port } = (await messageOf(child)) as { port: number };
  const stop = async () => {
    child.disconnect();
    await once(child, 'exit');
  };
  return { port, stop };
}
const site = (side: Side, url = redis.url) => start('store-site.ts', [side, url]);

interface Answer {
  readonly body: Record<string, unknown>;
  readonly cookie: string;
  readonly ms: number;
}
function get(port: number, path: string, cookie = ''): Promise<Answer> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const asked = request({ port, path, host: '127.0.0.1', headers: { cookie } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () => {
        const ms = performance.now() - started;
        if (response.statusCode !== 200) reject(new Error(`${path}: ${response.statusCode} ${text}`));
        else
          resolve({ body: JSON.parse(text), cookie: response.headers['set-cookie']?.[0]?.split(';')[0] ?? cookie, ms });
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

const idleFor = (ms: number): Promise<undefined> => new Promise((resolve) => setTimeout(resolve, ms, undefined));

/** Commands that a process sent; what a script does inside is not one. */
async function commandsOf(act: () => Promise<void>): Promise<number> {
  const monitor = (await client.monitor()) as unknown as Redis;
  let sent = 0;
  let ended: () => void = () => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  monitor.on('monitor', (_time: string, args: string[], source: string) => {
    if (args[0] === 'echo') ended();
    else if (source !== 'lua' && !/^(ping|info|hello|client|subscribe)$/i.test(args[0] as string)) sent++;
  });
  await act();
  await client.echo('end');
  await end;
  monitor.disconnect();
  return sent;
}

// 1. commands and round trips of a request
const REQUESTS = 200;
const trips: object[] = [];
const far = await start('delaying-proxy.ts', [String(redis.port), '10']);
for (const side of onRedis)
  for (const path of ['/read', '/write']) {
    const near = await site(side);
    const { cookie } = await get(near.port, '/login');
    for (let i = 0; i < 5; i++) await get(near.port, path, cookie);
    const commands = await commandsOf(async () => {
      for (let i = 0; i < REQUESTS; i++) await get(near.port, path, cookie);
    });
    await near.stop();
    const distant = await site(side, `redis://127.0.0.1:${far.port}`);
    const login = await get(distant.port, '/login');
    await get(distant.port, path, login.cookie);
    const times: number[] = [];
    for (let i = 0; i < 5; i++) times.push((await get(distant.port, path, login.cookie)).ms);
    await distant.stop();
    trips.push({
      side,
      request: path === '/read' ? 'reads' : 'changes',
      'commands a request': round(commands / REQUESTS),
      'round trips waited for': Math.round(median(times) / 20),
    });
  }
await far.stop();

// 2. a millisecond of network each way
const slow = await start('delaying-proxy.ts', [String(redis.port), '1']);
const delayed = await Promise.all(onRedis.map((side) => site(side, `redis://127.0.0.1:${slow.port}`)));
const p50: Record<string, number[]> = {};
for (let r = 0; r < ROUNDS; r++)
  for (const [i, side] of onRedis.entries()) {
    const { port } = delayed[i] as { port: number };
    const { cookie } = await get(port, '/login');
    const times: number[] = [];
    for (let n = 0; n < (quick ? 50 : 200); n++) times.push((await get(port, '/read', cookie)).ms);
    p50[side] = [...(p50[side] ?? []), median(times)];
  }
for (const one of [...delayed, slow]) await one.stop();
const base = median(p50['connect-redis 9'] ?? []);
const latency = onRedis.map((side) => ({
  side,
  'p50 ms of a reading request': round(median(p50[side] ?? [])),
  'x connect-redis 9': round(median(p50[side] ?? []) / base),
}));

// 3. requests a second at 64 connections
const rates: Record<string, number[]> = {};
const all = await Promise.all(sides.map((side) => site(side)));
const cookies = await Promise.all(
  all.map(({ port }) => Promise.all(Array.from({ length: 64 }, async () => (await get(port, '/login')).cookie))),
);
for (let r = 0; r < ROUNDS; r++)
  for (const path of ['/read', '/write'])
    for (const [i, side] of sides.entries()) {
      let next = 0;
      const result = await autocannon({
        url: `http://127.0.0.1:${all[i]?.port}`,
        connections: 64,
        duration: SECONDS,
        requests: [{ path }],
        setupClient: (one) => one.setHeaders({ cookie: cookies[i]?.[next++ % 64] as string }),
      });
      if (result.non2xx || result.errors)
        throw new Error(`${side} ${path}: ${result.non2xx} non-2xx, ${result.errors}`);
      rates[`${side} ${path}`] = [...(rates[`${side} ${path}`] ?? []), result.requests.average];
    }
const rate = (side: Side, path: string) => median(rates[`${side} ${path}`] ?? []);
const throughput = sides.map((side) => ({
  side,
  'reads a second': Math.round(rate(side, '/read')),
  'changes a second': Math.round(rate(side, '/write')),
  'reads, x connect-redis 9': round(rate(side, '/read') / rate('connect-redis 9', '/read')),
  'changes, x connect-redis 9': round(rate(side, '/write') / rate('connect-redis 9', '/write')),
  'reads, x MemoryStore': round(rate(side, '/read') / rate('MemoryStore', '/read')),
}));

// 4. concurrent changes; 5. a logout during slow requests
const SESSIONS = quick ? 100 : 1000;
const inLanes = async (lanes: number, act: (i: number) => Promise<void>) => {
  let next = 0;
  const lane = async () => {
    while (next < SESSIONS) await act(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
};
const lost: object[] = [];
for (const [i, side] of sides.entries()) {
  const { port } = all[i] as { port: number };
  let changes = 0;
  await inLanes(10, async () => {
    const { cookie } = await get(port, '/login');
    await Promise.all(Array.from({ length: 20 }, (_, k) => get(port, `/set/k${k}`, cookie)));
    const { body } = await get(port, '/session', cookie);
    for (let k = 0; k < 20; k++) if (body[`k${k}`] !== 1) changes++;
  });
  let alive = 0;
  await inLanes(100, async () => {
    const { cookie } = await get(port, '/login');
    const slowly = get(port, '/slow', cookie);
    await get(port, '/read', cookie);
    await get(port, '/logout', cookie);
    await slowly;
    if ((await get(port, '/session', cookie)).body.slow !== undefined) alive++;
  });
  lost.push({
    side,
    sessions: SESSIONS,
    'lost of 20 changes each': changes,
    'alive after their logout': alive,
  });
}
for (const one of all) await one.stop();

// 6. length() of many sessions, and what another client waits meanwhile
const MANY = quick ? 100_000 : 1_000_000;
await client.flushall();
for (let i = 0; i < MANY; i += 10_000) {
  const pipeline = client.pipeline();
  for (let k = i; k < i + 10_000; k++)
    pipeline.set(`sess:${k.toString(36).padStart(32, '0')}`, '{"cookie":{"originalMaxAge":null},"n":1}', 'EX', 86_400);
  await pipeline.exec();
}
await client.config('SET', 'slowlog-log-slower-than', '100');
await client.config('SET', 'slowlog-max-len', '10000');
const lengths: object[] = [];
for (const side of [
  'nothing: what the measurement itself sees',
  'connect-redis 9',
  'connect-redis 8',
  'ours',
] as const) {
  const one = side.startsWith('nothing') ? undefined : await site(side as Side);
  await client.call('SLOWLOG', 'RESET');
  const waits: number[] = [];
  let running = true;
  const counting = (one ? get(one.port, '/length') : idleFor(3000)).finally(() => {
    running = false;
  });
  while (running) {
    const asked = performance.now();
    await client.ping();
    waits.push(performance.now() - asked);
  }
  const answer = await counting;
  const slow = (await client.call('SLOWLOG', 'GET', '10000')) as [number, number, number, string[]][];
  lengths.push({
    side,
    length: answer?.body.length,
    seconds: answer && round(answer.ms / 1000),
    'p50 ms that another client waits': round(median(waits)),
    'p99.9 ms': round(quantile(waits, 0.999)),
    'max ms': round(waits.reduce((longest, one) => Math.max(longest, one), 0)),
    'longest SCAN in Redis, ms': round(
      Math.max(0, ...slow.filter(([, , , [name]]) => /scan/i.test(name as string)).map(([, , us]) => us)) / 1000,
    ),
  });
  await one?.stop();
}

report('store', {
  'commands and round trips of a request, counted': trips,
  'a millisecond of network each way': latency,
  'requests a second, 64 connections, median of five interleaved rounds': throughput,
  'concurrent requests': lost,
  'length() of all sessions': lengths,
});
client.disconnect();
await redis.stop();
