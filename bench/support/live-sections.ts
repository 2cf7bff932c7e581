/** The live sections of bench:notifications: open event streams in a process of its own, and their browsers in another one. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { quantile, quick, round } from './figures.js';
import type { BrowserTask } from './live-browsers.js';
import type { SiteMemory } from './live-site.js';

/** Visits that warm a site up before its memory is taken. */
const WARMING = 200;
const nowMs = () => Number(process.hrtime.bigint() / 1_000n) / 1_000;

function start(file: string, ...args: string[]): ChildProcess {
  return fork(fileURLToPath(new URL(`./${file}.ts`, import.meta.url)), args, {
    execArgv: ['--expose-gc', '--import', 'tsx'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
}

async function ask<T>(child: ChildProcess, message: BrowserTask | 'memory' | 'delay'): Promise<T> {
  child.send(message);
  const [answer] = await once(child, 'message');
  return answer as T;
}

async function stop(...children: ChildProcess[]): Promise<void> {
  for (const child of children) {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
}

interface OpenStreams {
  readonly memory: SiteMemory;
  readonly before: SiteMemory;
  /** From the call of publish() to each browser, ms; empty for a site that hears of nothing. */
  readonly times: readonly number[];
  readonly delay: { readonly max: number; readonly p99: number };
  readonly listening: number;
}

/** Opens streams at a site, and publishes to all of them, `rounds` times. */
async function openStreams(what: 'bare' | 'ours', url: string, browsers: number, rounds: number): Promise<OpenStreams> {
  const admin = new Redis(url);
  await admin.flushall();
  const site = start('live-site', what, url);
  const [{ port }] = (await once(site, 'message')) as [{ port: number }];
  const client = start('live-browsers', String(port));
  await once(client, 'message');
  const notifications = createNotifications({ redis: url });
  try {
    await ask(client, { open: WARMING });
    const before = await ask<SiteMemory>(site, 'memory');
    await ask(client, { open: browsers });
    const memory = await ask<SiteMemory>(site, 'memory');
    const listening = (String(await admin.client('LIST')).match(/ sub=[1-9]/g) ?? []).length;
    await ask(site, 'delay');
    const times: number[] = [];
    for (let i = 1; what === 'ours' && i <= rounds; i++) {
      await ask(client, { expect: i });
      const all = once(client, 'message') as Promise<[{ times: number[] }]>;
      const began = nowMs();
      await notifications.publish({ group: 'everyone' }, { title: 'News' });
      const [{ times: arrived }] = await all;
      times.push(...arrived.map((time) => time - began));
    }
    const delay = await ask<{ max: number; p99: number }>(site, 'delay');
    return { before, memory, times, delay, listening };
  } finally {
    await stop(client, site);
    await notifications.close();
    admin.disconnect();
  }
}

/** Publish to badge in 1,000 open browsers of one process. */
async function badgeRows(url: string, quick: boolean): Promise<object[]> {
  const browsers = quick ? 200 : 1_000;
  const { times, listening, delay } = await openStreams('ours', url, browsers, quick ? 3 : 20);
  return [
    {
      browsers: browsers + WARMING,
      'p50, ms': round(quantile(times, 0.5)),
      'p99, ms': round(quantile(times, 0.99)),
      'last, ms': round(Math.max(...times)),
      'connections that listen': listening,
      'event loop delay, p99, ms': round(delay.p99),
    },
  ];
}

/** 10,000 open streams: memory of each beside a bare one, and a publication to all of them. */
async function streamRows(url: string, quick: boolean): Promise<object[]> {
  const streams = quick ? 1_000 : 10_000;
  const rows: object[] = [];
  for (const what of ['bare', 'ours'] as const) {
    const { before, memory, times, delay } = await openStreams(what, url, streams - WARMING, 3);
    const each = (of: (memory: SiteMemory) => number) => round((of(memory) - of(before)) / (streams - WARMING), 0);
    rows.push({
      stream: what === 'bare' ? 'express-session, bare' : 'sessions.live()',
      streams,
      'heap of each, bytes': each(({ heap, external }) => heap + external),
      'memory of each (RSS), bytes': each(({ rss }) => rss),
      ...(what === 'ours' && {
        'publish to all: p50, ms': round(quantile(times, 0.5)),
        'publish to all: last, ms': round(Math.max(...times)),
        'event loop delay, longest, ms': round(delay.max),
      }),
    });
  }
  return rows;
}

/** Event streams of open browsers. */
export async function liveNotifications(): Promise<Record<string, readonly object[]>> {
  const redis = await startPrivateRedis();
  try {
    return {
      'live: a publication to open browsers of one process': await badgeRows(redis.url, quick),
      'live: open event streams of one process': await streamRows(redis.url, quick),
    };
  } finally {
    await redis.stop();
  }
}
