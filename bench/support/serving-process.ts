/**
 * One side of bench:serving in a process of its own: fork(file, [what, url, options as JSON]), wait for { ready }, then send
 * it a Run, or 'cpu' for the CPU time since the last.
 */
import { performance } from 'node:perf_hooks';
import { Cluster, type ClusterNode } from 'ioredis';
import { quantile } from './figures.js';
import { bareScript } from './bare-script.js';
import { paperServing, paperWorker } from './paper.js';

// as it is published: a loader that compiles on the way slows every function down
const dist = (path: string) => new URL(`../../dist/lib/${path}`, import.meta.url).href;
const { createWorker, intelligentSession } = (await import(dist('index.js'))) as typeof import('../../lib/index.js');
const { RemoteExecutor } = (await import(
  dist('serving/remote-executor.js')
)) as typeof import('../../lib/serving/remote-executor.js');

export interface Run {
  /** so many lanes, each with one ask after the other */
  readonly waiting: number;
  readonly seconds?: number;
  readonly asks?: number;
  readonly timeoutMs?: number;
  readonly sessions?: number;
  /** not waited for: as many as `waiting` in one turn, then a round trip */
  readonly send?: boolean;
}

export interface Result {
  readonly asks: number;
  readonly answered: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

type Ask = (sid: string, page: string, timeoutMs: number) => Promise<boolean>;
type Send = (sid: string, page: string) => void;

async function run(ask: Ask, send: Send | undefined, wanted: Run): Promise<Result> {
  const {
    waiting,
    seconds = Number.POSITIVE_INFINITY,
    asks = Number.POSITIVE_INFINITY,
    timeoutMs = 1000,
    sessions = 2000,
  } = wanted;
  const times: number[] = [];
  let answered = 0;
  let sent = 0;
  const started = performance.now();
  const next = (): [string, string] => {
    const i = sent++;
    return [`visitor-${i % sessions}`, `/page/${i % 50}`];
  };
  const lane = async () => {
    while (sent < asks && performance.now() < started + seconds * 1000) {
      const asked = performance.now();
      if (await ask(...next(), timeoutMs)) answered++;
      times.push(performance.now() - asked);
    }
  };
  if (wanted.send && send)
    while (sent < asks) {
      for (let i = 0; i < waiting && sent < asks; i++) send(...next());
      await ask('round-trip', '/', timeoutMs);
    }
  else await Promise.all(Array.from({ length: waiting }, lane));
  const perSecond = (sent / (performance.now() - started)) * 1000;
  return { asks: sent, answered, perSecond, p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

const [what, url = '', text = '{}'] = process.argv.slice(2);
const { nodes, ...options } = JSON.parse(text) as { nodes?: ClusterNode[] } & Record<string, unknown>;
const redis = nodes ? new Cluster(nodes, { lazyConnect: true }) : url;
let ask: Ask | undefined;
let send: Send | undefined;
let close: () => Promise<void> = async () => {};
if (what === 'paper worker') await paperWorker(url);
else if (what === 'worker') {
  const worker = await createWorker({ redis, ...options });
  close = () => worker.close();
} else if (what === 'paper') {
  const serving = paperServing(url, Number(options.connections));
  ask = async (sid, page, timeoutMs) => (await serving.ask('pageview', sid, page, timeoutMs)) !== undefined;
  close = () => serving.close();
} else if (what === 'bare script') {
  const bare = await bareScript(url, String(options.namespace), 'module');
  ask = async (sid, page) => (await bare.ask(sid, page)) !== null;
  close = () => bare.close();
} else {
  const sessions =
    what === 'embedded'
      ? intelligentSession({ redis, secret: 'of no use but for benchmarks, 32 bytes', worker: 'embedded', ...options })
      : undefined;
  const serving = sessions?.serving ?? new RemoteExecutor(redis, options);
  ask = async (sid, page, timeoutMs) =>
    (await serving.ask('pageview', sid, page, { ttlSeconds: 3600, timeoutMs })).answered;
  send = (sid, page) => serving.send('pageview', sid, page, { ttlSeconds: 3600 });
  close = () => serving.close();
}
let cpu = process.cpuUsage();
const answer = async (message: Run | 'cpu') => {
  if (message === 'cpu') {
    const { user, system } = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    process.send?.(user + system);
  } else if (ask) process.send?.(await run(ask, send, message));
};
process.on('message', (message: Run | 'cpu') => void answer(message));
process.once('SIGTERM', () => void close().then(() => process.exit(0)));
process.once('disconnect', () => process.exit(0));
process.send?.({ ready: true });
