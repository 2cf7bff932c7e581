/**
 * A site with open event streams in a process of its own: fork(file, [what, url]). `bare` is express-session with a stream as people write
 * one, `ours` is sessions.live(). Answers 'memory' with what it takes, and 'delay' with the event loop's delay since the last time.
 */
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { RedisStore } from 'connect-redis';
import express, { type Response } from 'express';
import session from 'express-session';
import { createClient } from 'redis';

export interface SiteMemory {
  /** What is in use after garbage was collected, bytes. */
  readonly heap: number;
  readonly external: number;
  readonly rss: number;
  readonly streams: number;
}

const [what, url = ''] = process.argv.slice(2);
const dist = (path: string) => new URL(`../../dist/lib/${path}`, import.meta.url).href;
const app = express();
let streams = () => 0;

if (what === 'ours') {
  const { intelligentSession } = (await import(dist('index.js'))) as typeof import('../../lib/index.js');
  const sessions = intelligentSession({
    redis: url,
    secret: 'a secret that is long enough for production',
    worker: 'embedded',
    notifications: { groups: () => ['everyone'] },
  });
  app.use(sessions);
  app.get('/notifications/live', sessions.live());
} else {
  const client = await createClient({ url }).connect();
  app.use(
    session({
      secret: 'a secret that is long enough for production',
      store: new RedisStore({ client }),
      resave: false,
      saveUninitialized: true,
    }),
  );
  const open = new Set<Response>();
  streams = () => open.size;
  app.get('/notifications/live', (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache, no-transform' });
    res.write('event: unread\ndata: {"count":0}\n\n');
    open.add(res);
    res.on('close', () => open.delete(res));
  });
  setInterval(() => {
    for (const res of open) res.write(':\n\n');
  }, 25_000).unref();
}
app.get('/', (_req, res) => {
  res.send('A page');
});
const server = app.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
process.on('message', (asked: 'memory' | 'delay') => {
  if (asked === 'delay') {
    const [max, p99] = [delay.max / 1e6, delay.percentile(99) / 1e6];
    delay.reset();
    process.send?.({ max, p99 });
    return;
  }
  // twice: what a finalizer lets go is collected by the second
  for (let i = 0; i < 2; i++) globalThis.gc?.();
  const { heapUsed: heap, external, rss } = process.memoryUsage();
  process.send?.({ heap, external, rss, streams: streams() } satisfies SiteMemory);
});
