/** An Express site with sessions only, or with page views: fork(file, [side, url]), wait for { port }; 'cpu' as the others. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import session from 'express-session';

const built = new URL('../../dist/lib/index.js', import.meta.url).href;
const { intelligentSession, RedisSessionStore } = (await import(built)) as typeof import('../../lib/index.js');

type Kind = 'page view not waited for' | 'page view waited for';
export type SiteSide = 'sessions only' | Kind | `embedded, ${Kind}`;

const [side, url = ''] = process.argv.slice(2) as [SiteSide, string?];
const cookie = { maxAge: 3_600_000 };
const app = express().disable('x-powered-by').disable('etag');
if (side === 'sessions only') {
  const store = new RedisSessionStore({ url });
  app.use(session({ store, secret: 's', resave: false, saveUninitialized: true, cookie }));
} else {
  const worker = side.startsWith('embedded') ? 'embedded' : 'external';
  app.use(
    intelligentSession({
      redis: url,
      secret: 'of no use but for benchmarks, 32 bytes',
      session: { cookie },
      timeout: 1000,
      namespace: 'site:',
      worker,
    }),
  );
}
const waits = side.endsWith('page view waited for');
app.get('/login', (req, res) => {
  Object.assign(req.session, { user: 'robin', cart: [1, 2, 3], note: 'x'.repeat(200) });
  res.json({ id: req.sessionID });
});
app.get('/page/:n', async (req, res) => {
  const user = (req.session as { user?: string }).user;
  const total = waits ? (await req.intelligence.pageview())?.totalPages : undefined;
  if (waits && total === undefined) res.status(500);
  res.json({ page: req.params.n, user, total });
});
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
let cpu = process.cpuUsage();
process.on('message', () => {
  const { user, system } = process.cpuUsage(cpu);
  cpu = process.cpuUsage();
  process.send?.(user + system);
});
process.once('disconnect', () => process.exit(0));
process.send?.({ port: (server.address() as AddressInfo).port });
