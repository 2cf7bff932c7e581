/**
 * One side of the serving benchmark in a process of its own: fork(file, [what, url, …]), wait for { ready }, then send it
 * { waiting, asks } or { cpu }.
 */
import { performance } from 'node:perf_hooks';
import { paperServing, paperWorker } from './paper.js';
import { quantile } from './figures.js';

// as it is published: a loader that compiles on the way slows every function down
const dist = (path: string) => new URL(`../../dist/lib/${path}`, import.meta.url).href;
const { createWorker } = (await import(dist('index.js'))) as typeof import('../../lib/index.js');
const { ServingLayer } = (await import(
  dist('serving/serving-layer.js')
)) as typeof import('../../lib/serving/serving-layer.js');

export interface Run {
  readonly waiting: number;
  readonly seconds?: number;
  /** so many asks, all at once where `waiting` is as many */
  readonly asks?: number;
  readonly timeoutMs?: number;
  readonly sessions?: number;
}

export interface Result {
  readonly asks: number;
  readonly answered: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** microseconds of CPU an ask */
  readonly cpu: number;
}

type Ask = (sid: string, page: string, timeoutMs: number) => Promise<boolean>;

async function run(ask: Ask, { waiting, seconds, asks, timeoutMs = 1000, sessions = 2000 }: Run): Promise<Result> {
  const times: number[] = [];
  let answered = 0;
  let sent = 0;
  const before = process.cpuUsage();
  const started = performance.now();
  const until = seconds === undefined ? Number.POSITIVE_INFINITY : started + seconds * 1000;
  const most = asks ?? Number.POSITIVE_INFINITY;
  const lane = async () => {
    while (sent < most && performance.now() < until) {
      const i = sent++;
      const asked = performance.now();
      if (await ask(`visitor-${i % sessions}`, `/page/${i % 50}`, timeoutMs)) answered++;
      times.push(performance.now() - asked);
    }
  };
  await Promise.all(Array.from({ length: waiting }, lane));
  const tookMs = performance.now() - started;
  const { user, system } = process.cpuUsage(before);
  return {
    asks: sent,
    answered,
    perSecond: (sent / tookMs) * 1000,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    cpu: (user + system) / sent,
  };
}

const [what, url = '', arg = '{}'] = process.argv.slice(2);
const options = JSON.parse(arg) as Record<string, unknown>;
let ask: Ask | undefined;
let close: () => Promise<void> = async () => {};
if (what === 'paper-worker') await paperWorker(url);
else if (what === 'worker') {
  const worker = await createWorker({ redis: url, ...options });
  close = () => worker.close();
} else if (what === 'paper') {
  const serving = paperServing(url, Number(options.connections ?? 32));
  ask = async (sid, page) => (await serving.ask('pageview', sid, page)) !== undefined;
  close = () => serving.close();
} else {
  const serving = new ServingLayer(url, options);
  ask = async (sid, page, timeoutMs) => (await serving.ask('pageview', sid, page, 3600, timeoutMs)).answered;
  close = () => serving.close();
}
let cpu = process.cpuUsage();
process.on('message', async (message: Run | 'cpu') => {
  if (message === 'cpu') {
    const { user, system } = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    process.send?.({ cpuMicros: user + system });
  } else if (ask) process.send?.(await run(ask, message));
});
process.once('SIGTERM', () => void close().then(() => process.exit(0)));
process.once('disconnect', () => process.exit(0));
process.send?.({ ready: true });
