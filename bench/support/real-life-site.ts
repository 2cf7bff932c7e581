/** An Express site that takes its time before it listens: fork(file, [side, url, ms that it loads for, transport]), wait for { port }. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { RedisStore } from 'connect-redis';
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import session from 'express-session';
import { createClient } from 'redis';

const built = new URL('../../dist/lib/index.js', import.meta.url).href;
const { intelligentSession } = (await import(built)) as typeof import('../../lib/index.js');

export type Side = keyof typeof sides;

const sides = {
  'connect-redis 9': (url: string): RequestHandler => {
    const client = createClient({ url });
    client.on('error', () => {});
    client.connect().catch(() => {});
    return session({ store: new RedisStore({ client }), secret: 's', resave: false, saveUninitialized: false });
  },
  ours: (url: string, transport: 'pubsub' | 'stream'): RequestHandler =>
    intelligentSession({ redis: url, secret: 'of no use but for benchmarks, 32 bytes', transport }),
};

function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

const [side, url, loadMs, transport = 'pubsub'] = process.argv.slice(2) as [
  Side,
  string,
  string,
  ('pubsub' | 'stream')?,
];
const app = express().disable('x-powered-by').disable('etag');
app.use(sides[side](url, transport));
block(Number(loadMs));
app.get('/page', async (req, res) => {
  const values = (req.session ?? {}) as unknown as { n?: number };
  values.n = (values.n ?? 0) + 1;
  const report = req.intelligence && (await req.intelligence.pageview());
  res.json({ n: values.n, total: report?.totalPages });
});
app.get('/quiet', (req, res) => {
  const values = (req.session ?? {}) as unknown as { n?: number };
  values.n = (values.n ?? 0) + 1;
  res.json({ n: values.n });
});
app.get('/block/:ms', (req, res) => {
  block(Number(req.params.ms));
  const values = req.session as unknown as { n?: number };
  values.n = (values.n ?? 0) + 1;
  res.json({ n: values.n });
});
app.get('/big', (req, res) => {
  Object.assign(req.session, { big: Math.random() + 'x'.repeat(1_000_000) });
  res.json({ n: 0 });
});
app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
  res.status(error.status ?? 500).json({ error: error.message });
});
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.({ port: (server.address() as AddressInfo).port });
process.once('disconnect', () => process.exit(0));
