/** What a critical page costs with the worker, without it and with a frozen one: npm run bench:degraded */
import { performance } from 'node:perf_hooks';
import { startPrivateRedis } from '../demo/private-redis.js';
import { WorkerProcess } from '../demo/worker-process.js';
import { ServingLayer } from '../lib/serving/serving-layer.js';

const ROUNDS = 5;
const ASKS = 400;
const TIMEOUT_MS = 100;

const redis = await startPrivateRedis();
const worker = new WorkerProcess(['--redis', redis.url]);
const serving = new ServingLayer(redis.url);
const times: Record<string, number[]> = { 'with the worker': [], 'worker away': [], 'worker frozen': [] };

async function measure(name: string, asks: number): Promise<void> {
  for (let i = 0; i < asks; i++) {
    const started = performance.now();
    const { answered } = await serving.ask('pageview', `visitor-${i % 50}`, '/a', 600, TIMEOUT_MS);
    times[name]?.push(performance.now() - started);
    if (answered !== (name === 'with the worker')) throw new Error(`${name}: answered is ${answered}`);
  }
}

for (let round = 0; round < ROUNDS; round++) {
  await worker.start();
  for (let warm = 0; warm < 50; warm++) await serving.ask('pageview', 'warm', '/a', 600, 1000);
  await measure('with the worker', ASKS);
  process.kill(worker.pid as number, 'SIGSTOP');
  await measure('worker frozen', 20);
  process.kill(worker.pid as number, 'SIGCONT');
  await worker.stop();
  await measure('worker away', ASKS);
}

const table = Object.entries(times).map(([name, all]) => {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (q: number) =>
    Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0).toFixed(2));
  return { name, asks: sorted.length, 'p50 ms': at(0.5), 'p99 ms': at(0.99), 'max ms': at(1) };
});
console.table(table);
await serving.close();
await redis.stop();
