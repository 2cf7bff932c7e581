import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect } from 'chai';
import express from 'express';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { type IntelligentSessionOptions, intelligentSession, RedisSessionStore } from '../../lib/index.js';
import { streamKey } from '../../lib/redis/keys.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { Worker } from '../../lib/worker/worker.js';
import { startDistance } from '../support/delay.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { startWorkerOf, ways } from '../support/ways.js';

async function nobodysUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return `redis://127.0.0.1:${port}`;
}

/** The next warning of this process that has this code. */
async function warning(code: string): Promise<Error> {
  for (;;) {
    const [told] = (await once(process, 'warning')) as [Error & { code?: string }];
    if (told.code === code) return told;
  }
}

describe('starting', () => {
  let redis: PrivateRedis;
  const open: (() => Promise<unknown>)[] = [];

  before(async () => {
    redis = await startPrivateRedis();
  });
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });
  after(async () => {
    await redis.stop();
  });

  const sessionsOf = (options: IntelligentSessionOptions) => {
    const sessions = intelligentSession({ secret: 'x', ...options });
    open.push(() => sessions.close());
    return sessions;
  };
  const siteOf = async (options: IntelligentSessionOptions) => {
    const sessions = sessionsOf(options);
    const app = express().use(sessions);
    app.get('/ask', async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
    app.get('/quiet', (req, res) => void res.json({ id: req.sessionID }));
    const site = await Site.open(app);
    open.push(() => site.close());
    return site;
  };

  for (const ms of [0, 130])
    it(`the first visitors wait for the first connection of an embedded site, Redis ${ms} ms away`, async () => {
      const far = await startDistance(redis.port, ms);
      try {
        const limits = { maxWaitMs: 10_000, timeout: 2_000 };
        const site = await siteOf({ redis: far.url, worker: 'embedded', namespace: `start-${ms}:`, ...limits });
        const visit = async () => {
          const visitor = new Visitor(site.url);
          for (const totalPages of [1, 2]) expect(await visitor.json('/ask')).to.include({ totalPages });
        };
        await Promise.all(Array.from({ length: 6 }, visit));
      } finally {
        for (const close of open.splice(0).reverse()) await close();
        await far.stop();
      }
    });

  for (const [way, options] of Object.entries(ways))
    it(`no first use of a script costs a round trip to learn that Redis does not know it (${way})`, async () => {
      const server = await startPrivateRedis();
      open.push(() => server.stop());
      const own = { redis: server.url, namespace: 'start-scripts:' };
      const worker = await startWorkerOf({ ...options, ...own });
      open.push(async () => worker?.close());
      const site = await siteOf({ ...options, ...own, timeout: 2_000 });
      const client = new Redis(server.url);
      open.push(async () => client.disconnect());
      expect(await new Visitor(site.url).json('/ask')).to.include({ totalPages: 1 });
      expect(await client.info('errorstats')).to.not.include('NOSCRIPT');
    });

  it('a page view that nobody waits for is kept until the first connection is there', async () => {
    const namespace = 'start-kept:';
    const site = await siteOf({ redis: redis.url, worker: 'embedded', namespace });
    const visitor = new Visitor(site.url);
    await visitor.json('/quiet');
    expect(await visitor.json('/ask')).to.include({ totalPages: 2 });
  });

  for (const transport of ['pubsub', 'stream'] as const)
    it(`what one session asks and sends before the first connection arrives in that order (${transport})`, async () => {
      const far = await startDistance(redis.port, 40);
      const client = new Redis(redis.url);
      const namespace = `start-order-${transport}:`;
      const serving = new RemoteExecutor(far.url, { namespace, transport, partitions: 1 });
      const heard: { request: string; payload: string }[] = [];
      try {
        const listener = client.duplicate();
        open.push(async () => listener.disconnect());
        await listener.psubscribe(`${namespace}*`);
        listener.on('pmessage', (_pattern, request: string, payload: string) => heard.push({ request, payload }));
        const pages = Array.from({ length: 12 }, (_, i) => `/${i}`);
        // another session's question does not hold this one's order back, nor the other way round
        const asked = [serving.ask('pageview', 'other', '/other', { ttlSeconds: 60, timeoutMs: 1 })];
        for (const [i, page] of pages.entries())
          if (i % 3 === 1) serving.send('pageview', 'one', page, { ttlSeconds: 60 });
          else asked.push(serving.ask('pageview', 'one', page, { ttlSeconds: 60, timeoutMs: 1 }));
        await Promise.all(asked);
        await until('all messages', async () => {
          if (transport === 'stream') {
            const entries = await client.xrange(streamKey(namespace, 0), '-', '+');
            for (const [, [, request = '', , payload = '']] of entries.slice(heard.length))
              heard.push({ request, payload });
          }
          return heard.length >= 13;
        });
        const ofOne = heard.filter(({ request }) => request.includes(':one:'));
        expect(ofOne.map(({ payload }) => payload)).to.deep.equal(pages);
        const numbers = ofOne.map(({ request }) => Number.parseInt(/~([0-9a-z]+)/.exec(request)?.[1] ?? '', 36));
        expect(numbers).to.deep.equal([...numbers].sort((x, y) => x - y));
      } finally {
        await serving.close();
        client.disconnect();
        await far.stop();
      }
    });

  it('an embedded site whose account may not ask for the module holds its first visitors no longer than maxWaitMs', async () => {
    const client = new Redis(redis.url);
    await client.call('ACL', 'SETUSER', 'silent', 'on', '>x', '~*', '+@all', '-command');
    client.disconnect();
    const told = warning('INTELLIGENT_SESSION_FAULT');
    const url = redis.url.replace('redis://', 'redis://silent:x@');
    const site = await siteOf({ redis: url, worker: 'embedded', maxWaitMs: 300, namespace: 'silent:' });
    const started = performance.now();
    expect(await new Visitor(site.url).json('/ask')).to.equal(null);
    expect(performance.now() - started).to.be.below(1_500);
    // and whoever listens to no event is told what it may not
    expect((await told).message).to.match(/NOPERM.*command/);
  });

  it('a Redis that is not there is a warning on the console, where nobody listens to the store', async () => {
    const url = await nobodysUrl();
    const told = warning('INTELLIGENT_SESSION_REDIS_AWAY');
    const store = new RedisSessionStore({ url, maxWaitMs: 100 });
    open.push(() => store.close());
    expect((await told).message).to.contain(`No connection to Redis at ${new URL(url).host}: connect ECONNREFUSED`);
  });

  it('and none where somebody does', async () => {
    const heard: string[] = [];
    const listen = (warned: Error) => void heard.push(warned.message);
    process.on('warning', listen);
    const store = new RedisSessionStore({ url: await nobodysUrl(), maxWaitMs: 100 });
    open.push(() => store.close());
    await once(store, 'away');
    await new Promise(setImmediate); // a warning is emitted in a later tick
    process.off('warning', listen);
    expect(heard).to.deep.equal([]);
  });

  it('a fault says once what it is', async () => {
    const sessions = sessionsOf({ redis: await nobodysUrl(), maxWaitMs: 100 });
    const faults: string[] = [];
    sessions.serving.on('fault', ({ message }) => faults.push(message));
    await sessions.serving.ask('pageview', 'someone', '/', { ttlSeconds: 60, timeoutMs: 100 });
    expect(faults.length).to.be.above(0);
    for (const message of faults) expect(message.match(/ERR_INTELLIGENT_SESSION/g)).to.have.length(1);
  });

  it('a worker that is closed while it starts leaves no connection', async () => {
    const client = new Redis(redis.url);
    const started: Promise<unknown>[] = [];
    // at every point of its start
    for (let turns = 0; turns < 150; turns++) {
      const worker = new Worker({ redis: redis.url, namespace: 'closed:' });
      started.push(worker.start().catch((error: Error) => error.message));
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      process.kill(redis.pid, 'SIGSTOP'); // what was asked is answered after the end
      await worker.close({ timeout: 0 });
      process.kill(redis.pid, 'SIGCONT');
    }
    for (const ended of await Promise.all(started))
      if (typeof ended === 'string') expect(ended).to.contain('This worker was closed');
    const connections = async () =>
      String(await client.client('LIST'))
        .trim()
        .split('\n').length;
    await until('no connection but this', async () => (await connections()) === 1, 5_000);
    client.disconnect();
  });

  it('to close is not to lose Redis: a store tells of nothing', async () => {
    const store = new RedisSessionStore({ url: redis.url });
    await once(store, 'back');
    const told: string[] = [];
    store.on('away', () => told.push('away'));
    store.on('fault', ({ message }) => told.push(message));
    const ended = once(store, 'disconnect'); // express-session goes on without it
    await store.close();
    await ended;
    expect(told).to.deep.equal([]);
  });
});
