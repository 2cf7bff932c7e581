/**
 * What visitors see while a site, its Redis or the way between them has a bad second, beside connect-redis 9 in the same
 * run: npm run bench:real-life (some minutes; --quick: fewer rounds; a part of
 * a trouble's name: only those).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../demo/private-redis.js';
import { WorkerProcess } from '../demo/worker-process.js';
import { FaultyProxy } from '../test/support/proxy.js';
import { BROWSER } from '../test/support/site.js';
import { until } from '../test/support/until.js';
import { viewsOf } from '../test/support/views.js';
import { messageOf } from './support/child-message.js';
import { quick, report } from './support/figures.js';
import type { Side } from './support/real-life-site.js';

const ROUNDS = quick ? 1 : 5;
const VISITORS = 12;
const sides: readonly Side[] = ['connect-redis 9', 'ours'];
const children: ChildProcess[] = [];

async function start(file: string, args: readonly string[]): Promise<{ port: number; stop(): Promise<void> }> {
  const child = fork(fileURLToPath(new URL(`./support/${file}`, import.meta.url)), args, {
    execArgv: ['--import', 'tsx'],
  });
  children.push(child);
  const { port } = (await messageOf(child)) as { port: number };
  const stop = async () => {
    child.disconnect();
    await once(child, 'exit');
  };
  return { port, stop };
}

interface Seen {
  answered: number;
  failed: number;
  /** pages without a session: a counter that begins anew */
  without: number;
  /** page views without a report */
  unreported: number;
  /** page views that no worker has counted */
  uncounted: number;
  slowestMs: number;
}

const nothingSeen = (): Seen => ({ answered: 0, failed: 0, without: 0, unreported: 0, uncounted: 0, slowestMs: 0 });

class Visitor {
  cookie = '';
  #n = 0;
  constructor(
    /** where the next page is asked for; another process of the site has another one */
    public port: number,
    readonly seen: Seen,
    readonly reports: boolean,
  ) {}

  get pages(): number {
    return this.#n;
  }

  get sid(): string {
    return decodeURIComponent(this.cookie).replace(/^connect\.sid=s:([^.]+)\..*$/, '$1');
  }

  async go(path: string, counts = true): Promise<void> {
    const started = performance.now();
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      headers: { 'user-agent': BROWSER, cookie: this.cookie },
    });
    const body = (await response.json()) as { n?: number; total?: number };
    this.seen.slowestMs = Math.max(this.seen.slowestMs, performance.now() - started);
    const [set] = response.headers.getSetCookie();
    if (set) this.cookie = set.split(';', 1)[0] as string;
    if (!response.ok) {
      this.seen.failed++;
      return;
    }
    this.seen.answered++;
    if (!counts) return;
    if (body.n !== this.#n + 1) this.seen.without++;
    this.#n = body.n ?? 0;
    if (this.reports && path === '/page' && body.total === undefined) this.seen.unreported++;
  }
}

/** Visitors who read pages while `trouble` goes on. */
async function during(port: number, seen: Seen, reports: boolean, trouble: () => Promise<void>): Promise<void> {
  const visitors = Array.from({ length: VISITORS }, () => new Visitor(port, seen, reports));
  await Promise.all(visitors.map((visitor) => visitor.go('/page')));
  let on = true;
  const all = Promise.all(
    visitors.map(async (visitor) => {
      while (on) await visitor.go('/page');
    }),
  );
  await trouble();
  on = false;
  await all;
}

const redis = await startPrivateRedis({ args: ['--enable-debug-command', 'yes'] });
const client = new Redis(redis.url);
const worker = new WorkerProcess(['--redis', redis.url], 'ignore');
await worker.start();
const streamWorker = new WorkerProcess(['--redis', redis.url, '--transport', 'stream'], 'ignore');
await streamWorker.start();
const idle = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const busy = (ms: number) => client.call('DEBUG', 'SLEEP', ms / 1000);

type Trouble = (side: Side, seen: Seen) => Promise<void>;
const reportsOf = (side: Side) => side === 'ours';

const loads =
  (ms: number): Trouble =>
  async (side, seen) => {
    const site = await start('real-life-site.ts', [side, redis.url, String(ms)]);
    const visitors = Array.from({ length: 8 }, () => new Visitor(site.port, seen, reportsOf(side)));
    await Promise.all(visitors.map((visitor) => visitor.go('/page')));
    await site.stop();
  };
const blocks =
  (ms: number): Trouble =>
  async (side, seen) => {
    const site = await start('real-life-site.ts', [side, redis.url, '0']);
    await during(site.port, seen, reportsOf(side), async () => {
      const blocker = new Visitor(site.port, seen, false);
      for (let i = 0; i < 5; i++) {
        await blocker.go(`/block/${ms}`);
        await idle(100);
      }
    });
    await site.stop();
  };
const busyFor =
  (ms: number): Trouble =>
  async (side, seen) => {
    const site = await start('real-life-site.ts', [side, redis.url, '0']);
    await during(site.port, seen, reportsOf(side), async () => {
      for (let i = 0; i < 3; i++) {
        await busy(ms);
        await idle(200);
      }
    });
    await site.stop();
  };
const far: Trouble = async (side, seen) => {
  const proxy = await start('delaying-proxy.ts', [String(redis.port), '130']);
  const site = await start('real-life-site.ts', [side, `redis://127.0.0.1:${proxy.port}`, '0']);
  const visitors = Array.from({ length: 8 }, () => new Visitor(site.port, seen, reportsOf(side)));
  for (let i = 0; i < 3; i++) await Promise.all(visitors.map((visitor) => visitor.go('/page')));
  await site.stop();
  await proxy.stop();
};
const big: Trouble = async (side, seen) => {
  const site = await start('real-life-site.ts', [side, redis.url, '0']);
  const visitors = Array.from({ length: 40 }, () => new Visitor(site.port, seen, false));
  for (let i = 0; i < 5; i++) await Promise.all(visitors.map((visitor) => visitor.go('/big', false)));
  await site.stop();
};
/** Four processes of one site, one of which blocks for 1.5 s at a time; each visitor's pages go to each of them in turn. */
const oneOfFour =
  (transport: 'pubsub' | 'stream'): Trouble =>
  async (side, seen) => {
    if (side !== 'ours' && transport === 'stream') return; // it has no messages
    const four = Array.from({ length: 4 }, () => start('real-life-site.ts', [side, redis.url, '0', transport]));
    const sites = await Promise.all(four);
    const ports = sites.map(({ port }) => port);
    const visitors = Array.from({ length: VISITORS }, () => new Visitor(ports[0] as number, seen, false));
    let on = true;
    const all = visitors.map(async (visitor, v) => {
      for (let i = v; on; i++) {
        visitor.port = ports[i % 4] as number;
        await visitor.go('/quiet');
      }
    });
    const blocker = new Visitor(ports[0] as number, nothingSeen(), false);
    for (let i = 0; i < 3; i++) {
      await blocker.go('/block/1500');
      await idle(200);
    }
    on = false;
    await Promise.all(all);
    if (side === 'ours')
      for (const { sid, pages } of visitors) {
        const counted = () => viewsOf(client, '', sid);
        await until('all are counted', async () => (await counted()) >= pages, 3_000).catch(() => {});
        seen.uncounted += Math.abs(pages - (await counted()));
      }
    for (const site of sites) await site.stop();
  };
/** The connections that are there go silent, and new ones are taken and not answered. */
const blackHole: Trouble = async (side, seen) => {
  if (side !== 'ours') return; // waits for ever
  const proxy = await FaultyProxy.open(redis.port);
  const site = await start('real-life-site.ts', [side, proxy.url, '0']);
  const visitor = new Visitor(site.port, seen, false);
  await visitor.go('/page');
  proxy.hold();
  const began = performance.now();
  for (const end = began + 6000; performance.now() < end; await idle(20)) await visitor.go('/page');
  proxy.release();
  await site.stop();
  await proxy.close();
};

const troubles: Record<string, Trouble> = {
  'loads for 700 ms, then listens: first 8 visitors': loads(700),
  'loads for 2 s, then listens: first 8 visitors': loads(2000),
  'a handler blocks the event loop, 5 x 300 ms': blocks(300),
  'a handler blocks the event loop, 5 x 700 ms': blocks(700),
  'a handler blocks the event loop, 5 x 1 s': blocks(1000),
  'Redis busy for everybody, 3 x 350 ms': busyFor(350),
  'Redis busy for everybody, 3 x 800 ms': busyFor(800),
  'Redis 130 ms away each way': far,
  '40 visitors save 1 MB each, five times': big,
  'four processes, one blocked 3 x 1.5 s (pub/sub)': oneOfFour('pubsub'),
  'four processes, one blocked 3 x 1.5 s (stream)': oneOfFour('stream'),
  'a black-holed connection, 6 s of one visitor': blackHole,
};

/** a part of a trouble's name: only those */
const only = process.argv.slice(2).find((word) => !word.startsWith('-')) ?? '';
const results: object[] = [];
try {
  for (const [name, trouble] of Object.entries(troubles)) {
    if (!name.includes(only)) continue;
    const of: Record<string, Seen> = {};
    for (const side of sides) of[side] = nothingSeen();
    for (let round = 0; round < ROUNDS; round++) for (const side of sides) await trouble(side, of[side] as Seen);
    for (const side of sides) {
      const { slowestMs, ...counts } = of[side] as Seen;
      results.push({ trouble: name, side, ...counts, slowestMs: Math.round(slowestMs) });
    }
  }
  report('real-life', { [`${ROUNDS} rounds, ${VISITORS} visitors`]: results });
} finally {
  client.disconnect();
  await worker.stop();
  await streamWorker.stop();
  await redis.stop();
  for (const child of children) if (child.connected) child.disconnect();
}
