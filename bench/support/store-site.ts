/** An Express site on one session store, in a process of its own: fork(file, [side, url]) and wait for { port }. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { RedisStore as ConnectRedis9 } from 'connect-redis';
import { RedisStore as ConnectRedis8 } from 'connect-redis8';
import express from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';
import { createClient } from 'redis';

declare module 'express-session' {
  interface SessionData {
    changes?: Record<string, unknown>;
  }
}

// as it is published: a loader that compiles on the way slows every function down
const built = new URL('../../dist/lib/index.js', import.meta.url).href;
const { RedisSessionStore } = (await import(built)) as typeof import('../../lib/index.js');

export type Side = keyof typeof stores;

const stores = {
  'connect-redis 9': async (url: string) => {
    const client = createClient({ url });
    await client.connect();
    return new ConnectRedis9({ client });
  },
  'connect-redis 8': async (url: string) => new ConnectRedis8({ client: new Redis(url) }),
  MemoryStore: async () => new session.MemoryStore(),
  ours: async (url: string) => new RedisSessionStore({ url }),
  'ours, users': async (url: string) => new RedisSessionStore({ url, user: (one) => (one as { user?: string }).user }),
  'ours, near cache': async (url: string) => new RedisSessionStore({ url, nearCache: {} }),
};

const [side, url] = process.argv.slice(2) as [Side, string];
const store = await stores[side](url);
const app = express().disable('x-powered-by').disable('etag');
app.use(session({ store, secret: 's', resave: false, saveUninitialized: false, cookie: { maxAge: 3_600_000 } }));
app.get('/login', (req, res) => {
  Object.assign(req.session, { user: 'robin', cart: [1, 2, 3], note: 'x'.repeat(200), n: 0 });
  res.json({ id: req.sessionID });
});
/** A login as sites have it: another id, and a redirect. */
app.get('/enter', (req, res) =>
  req.session.regenerate(() => {
    Object.assign(req.session, { user: req.query.user });
    res.redirect(303, '/inside');
  }),
);
/** The same without another id. */
app.get('/assign', (req, res) => {
  Object.assign(req.session, { user: req.query.user });
  res.redirect(303, '/inside');
});
app.get('/inside', (req, res) => void res.json({ user: (req.session as { user?: string }).user ?? null }));
app.get('/anonymous', (req, res) => {
  Object.assign(req.session, { n: 1 });
  res.json({});
});
app.get('/read', (req, res) => void res.json({ n: (req.session as { n?: number }).n }));
app.get('/write', (req, res) => {
  const of = req.session as { n?: number };
  of.n = (of.n ?? 0) + 1;
  res.json({ n: of.n });
});
/** Changes a key of its own after some work, as a page does. */
app.get('/set/:key', async (req, res) => {
  await wait(5);
  Object.assign(req.session, { [req.params.key as string]: 1 });
  res.json({});
});
app.get('/slow', async (req, res) => {
  await wait(150);
  Object.assign(req.session, { slow: 1 });
  res.json({});
});
app.get('/logout', (req, res) => req.session.destroy(() => void res.json({})));
app.get('/session', (req, res) => void res.json(req.session));
app.get('/length', async (_req, res) => {
  const length = await new Promise(
    (resolve, reject) => void store.length?.((error, n) => (error ? reject(error) : resolve(n))),
  );
  res.json({ length });
});
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.({ port: (server.address() as AddressInfo).port });
process.once('disconnect', () => process.exit(0));
