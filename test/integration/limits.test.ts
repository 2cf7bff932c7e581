import { setImmediate as immediate } from 'node:timers/promises';
import { expect } from 'chai';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  type Worker,
} from '../../lib/index.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { startDistance } from '../support/delay.js';
import { FaultyProxy } from '../support/proxy.js';
import { allowDebug, startServer } from '../support/servers.js';
import { Site, Visitor } from '../support/site.js';
import { stall } from '../support/stall.js';
import { until } from '../support/until.js';
import { viewsOf } from '../support/views.js';

interface Body {
  readonly id?: string;
  readonly n?: number;
  readonly total?: number;
}

/** Every page changes the session, and tells how many there were by session and by page views. */
function counting(sessions: IntelligentSession): Express {
  const app = express().use(sessions);
  app.get('/stall/:ms', (req, res) => {
    stall(Number(req.params.ms));
    res.json({ id: req.sessionID });
  });
  app.get('/quiet', (req, res) => void res.json({ id: req.sessionID }));
  app.get('/big', (req, res) => {
    Object.assign(req.session, { big: `${Math.random()}${'x'.repeat(1_000_000)}` });
    res.json({});
  });
  app.get('/{*any}', async (req, res) => {
    const values = req.session as { n?: number } | undefined;
    if (!values) return void res.json({});
    values.n = (values.n ?? 0) + 1;
    const report = await req.intelligence.pageview();
    res.json({ id: req.sessionID, n: values.n, total: report?.totalPages });
  });
  app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
    if (res.headersSent) res.end();
    else res.sendStatus(error.status ?? 500);
  });
  return app;
}

describe('limits count only time in which the event loop could read', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let worker: Worker;
  const open: (() => Promise<unknown>)[] = [];

  before(async () => {
    redis = await startPrivateRedis({ args: allowDebug() });
    client = new Redis(redis.url);
    worker = await createWorker({ redis: redis.url });
  });
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });
  after(async () => {
    await worker.close();
    client.disconnect();
    await redis.stop();
  });

  const sessionsOf = (url = redis.url, options: IntelligentSessionOptions = {}): IntelligentSession => {
    const sessions = intelligentSession({ redis: url, secret: 'x', ...options });
    open.push(() => sessions.close());
    return sessions;
  };
  const siteOf = async (sessions: IntelligentSession): Promise<Site> => {
    const site = await Site.open(counting(sessions));
    open.push(() => site.close());
    return site;
  };
  /** So many requests of a visitor, one after the other: each must have its session and its report. */
  const visit = async (site: Site, times: number): Promise<Visitor> => {
    const visitor = new Visitor(site.url);
    for (let n = 1; n <= times; n++) {
      const response = await visitor.fetch('/page');
      expect(response.status).to.equal(200);
      const { id: _, ...counts } = (await response.json()) as Body;
      expect(counts).to.deep.equal({ n, total: n });
    }
    return visitor;
  };

  for (const ms of [700, 2000])
    it(`an application that loads for ${ms} ms before it listens serves its first visitors`, async () => {
      const sessions = sessionsOf();
      stall(ms);
      const site = await siteOf(sessions);
      await Promise.all(Array.from({ length: 8 }, () => visit(site, 2)));
    });

  it('an application that stalls for a second once it is connected does not lose its connections', async () => {
    const sessions = sessionsOf();
    const site = await siteOf(sessions);
    await visit(site, 1);
    let away = 0;
    sessions.store.on('away', () => away++);
    const others = Promise.all(Array.from({ length: 12 }, () => visit(site, 20)));
    const blocker = new Visitor(site.url);
    for (const ms of [300, 700, 1000]) expect((await blocker.fetch(`/stall/${ms}`)).status).to.equal(200);
    await others;
    expect(away).to.equal(0);
  });

  it('a report is waited for in time that the loop could read: a page that computes for a second gets it', async () => {
    const sessions = sessionsOf();
    const app = express().use(sessions);
    app.get('/', async (req, res) => {
      const asked = req.intelligence.pageview();
      stall(1000);
      res.json((await asked) ?? null);
    });
    const site = await Site.open(app);
    open.push(() => site.close());
    expect(await new Visitor(site.url).json('/')).to.include({ totalPages: 1 });
  });

  for (const transport of ['pubsub', 'stream'] as const)
    it(`a process that stalls for 1.5 s sends every page view (${transport})`, async () => {
      const namespace = `stalled-${transport}:`;
      const own = await createWorker({ redis: redis.url, namespace, transport });
      open.push(() => own.close());
      const sessions = sessionsOf(redis.url, { namespace, transport });
      const site = await siteOf(sessions);
      const visitor = new Visitor(site.url);
      const { id } = (await visitor.json('/quiet')) as { id: string };
      for (let i = 0; i < 5; i++) await visitor.fetch('/quiet');
      await visitor.fetch('/stall/1500');
      for (let i = 0; i < 5; i++) await visitor.fetch('/quiet');
      await until('all twelve are counted', async () => (await viewsOf(client, namespace, id)) === 12);
    });

  it('a Redis that is busy for 0.8 s delays its visitors and fails none', async () => {
    const sessions = sessionsOf();
    const site = await siteOf(sessions);
    await visit(site, 1);
    let pages = 0;
    let on = true;
    const visitors = Array.from({ length: 12 }, async () => {
      const visitor = new Visitor(site.url);
      for (let n = 1; on; n++) {
        const response = await visitor.fetch('/page');
        expect(response.status).to.equal(200);
        expect((await response.json()) as Body).to.include({ n });
        pages++;
      }
    });
    for (let i = 0; i < 2; i++) {
      await client.call('DEBUG', 'SLEEP', 0.8);
      const goal = pages + 24;
      await until('they go on', () => pages >= goal);
    }
    on = false;
    await Promise.all(visitors);
  });

  it('a Redis 130 ms away each way has sessions saved and page views reported', async () => {
    const distance = await startDistance(redis.port, 130);
    open.push(() => distance.stop());
    const site = await siteOf(sessionsOf(distance.url));
    await Promise.all(Array.from({ length: 8 }, () => visit(site, 3)));
  });

  it('so has one that takes an answer at a time from a waiting client (Redis 6.2)', async function () {
    const old = await startServer(this, { name: 'redis-6.2', server: 'redis-6.2', bloom: 'fallback' });
    open.push(() => old.stop());
    const near = await createWorker({ redis: old.url });
    open.push(() => near.close());
    const distance = await startDistance(old.port, 130);
    open.push(() => distance.stop());
    const site = await siteOf(sessionsOf(distance.url));
    await Promise.all(Array.from({ length: 8 }, () => visit(site, 3)));
  });

  it('a worker 130 ms away from Redis knows that it is ready, and answers', async () => {
    const distance = await startDistance(redis.port, 130);
    open.push(() => distance.stop());
    for (const transport of ['pubsub', 'stream'] as const) {
      const far = await createWorker({ redis: distance.url, namespace: 'far:', transport });
      open.push(() => far.close());
      expect(await far.isReady(), transport).to.equal(true);
      // what it has just heard counts for a second
      stall(1000);
      const ready = far.isReady();
      stall(1000);
      expect(await ready, `${transport}, after a stall`).to.equal(true);
      await visit(await siteOf(sessionsOf(distance.url, { namespace: 'far:', transport })), 2);
    }
  });

  for (const transport of ['pubsub', 'stream'] as const)
    it(`a stall of everything at start, or while a message is on its way, degrades no answer, by ${transport}`, async () => {
      const namespace = `stalled-${transport}:`;
      for (let round = 0; round < 6; round++) {
        const starting = createWorker({ redis: redis.url, namespace, transport });
        const serving = new RemoteExecutor(redis.url, { namespace, transport });
        const reasons: string[] = [];
        serving.on('degraded', (command, reason) => reasons.push(`${command}: ${reason}`));
        await immediate();
        stall(230);
        await starting.then((started) => open.push(() => started.close()));
        open.push(() => serving.close());
        const ask = (sid: string) => serving.ask('featuredpages', sid, ['/fresh'], { ttlSeconds: 60, timeoutMs: 100 });
        for (let i = 0; i < 5; i++) expect(await ask(`${round}-${i}`)).to.have.property('answered', true);
        const asked = Array.from({ length: 5 }, (_, i) => ask(`${round}-at-once-${i}`));
        await immediate(); // in a turn of the event loop they are gathered and sent, in the next the worker hears them
        stall(300);
        await Promise.all(asked);
        expect(reasons).to.deep.equal([]);
        for (const close of open.splice(0).reverse()) await close();
      }
    });

  it('forty visitors who save a megabyte each are all served', async () => {
    const site = await siteOf(sessionsOf());
    const visitors = Array.from({ length: 40 }, () => new Visitor(site.url));
    for (let i = 0; i < 2; i++)
      for (const response of await Promise.all(visitors.map((visitor) => visitor.fetch('/big'))))
        expect(response.status).to.equal(200);
  });

  it('a Redis that is not there yet is waited for, up to maxWaitMs; then pages go on without a session', async () => {
    const spare = await startPrivateRedis();
    const { port, url } = spare;
    await spare.stop();
    const sessions = sessionsOf(url, { maxWaitMs: 1500 });
    const site = await siteOf(sessions);
    const reasons: Error[] = [];
    sessions.store.on('away', (reason) => reasons.push(reason));
    const early = new Visitor(site.url);
    early.cookie = (await visit(await siteOf(sessionsOf()), 1)).cookie;
    expect((await early.fetch('/page')).status).to.equal(503);
    expect(reasons.map(({ message }) => message).join()).to.contain(`127.0.0.1:${port}`);
    const started = performance.now();
    expect(await new Visitor(site.url).json('/page')).to.deep.equal({});
    expect(performance.now() - started).to.be.below(100);
    const late = await startPrivateRedis({ port });
    open.push(() => late.stop());
    const back = new Visitor(site.url);
    await until('sessions are back', async () => ((await back.json('/page')) as Body).n === 2);
  });

  for (const [what, freeze] of [
    ['frozen', () => process.kill(redis.pid, 'SIGSTOP')],
    ['black-holed', () => proxy?.hold()],
  ] as const)
    it(`a ${what} Redis is away within some two seconds; then pages wait no longer, and it comes back`, async () => {
      proxy = await FaultyProxy.open(redis.port);
      open.push(async () => proxy?.close());
      const sessions = sessionsOf(proxy.url);
      const site = await siteOf(sessions);
      const known = await visit(site, 1);
      const away = new Promise((resolve) => sessions.store.once('away', resolve));
      const began = performance.now();
      freeze();
      try {
        expect((await known.fetch('/page')).status).to.equal(503);
        await away;
        expect(performance.now() - began).to.be.within(1400, 3000);
        for (let i = 0; i < 10; i++) {
          const started = performance.now();
          expect(await new Visitor(site.url).json('/page')).to.deep.equal({});
          expect(performance.now() - started).to.be.below(150);
        }
      } finally {
        proxy.release();
        process.kill(redis.pid, 'SIGCONT');
      }
      const back = new Visitor(site.url);
      await until('sessions are back', async () => ((await back.json('/page')) as Body).total !== undefined);
    });
  let proxy: FaultyProxy | undefined;

  it('a caller’s own limits win', async () => {
    const impatient = new Redis(redis.url, { commandTimeout: 50, connectTimeout: 1234, lazyConnect: true });
    open.push(async () => impatient.disconnect());
    const short = intelligentSession({ redis: impatient, secret: 'x' });
    open.push(() => short.close());
    const shortSite = await siteOf(short);
    const known = new Visitor(shortSite.url);
    // on a busy machine 50 ms may be too short
    await until('a session is served', async () => ((await known.json('/page')) as Body).total !== undefined);
    const slept = client.call('DEBUG', 'SLEEP', 1);
    const started = performance.now();
    expect((await known.fetch('/page')).status).to.equal(503);
    expect(performance.now() - started).to.be.below(900);
    await slept;
  });

  it('an own command that is slow takes nobody else’s answers', async () => {
    const namespace = 'slow:';
    const own = await createWorker({
      redis: redis.url,
      namespace,
      commands: { slow: () => new Promise((resolve) => setTimeout(resolve, 150, 'late')) },
    });
    open.push(() => own.close());
    const sessions = sessionsOf(redis.url, { namespace });
    const { serving } = sessions;
    await visit(await siteOf(sessions), 1);
    let on = true;
    let asked = 0;
    const askers = Array.from({ length: 12 }, async (_, i) => {
      for (; on; asked++) {
        await serving.ask('slow', `asker-${i}`, '', { ttlSeconds: 60, timeoutMs: 100 });
        await immediate(); // asks of an open circuit end at once
      }
    });
    let reported = 0;
    for (let i = 0; i < 300 || asked < 60; i++) {
      const answer = await serving.ask('pageview', `visitor-${i % 10}`, '/a', { ttlSeconds: 60, timeoutMs: 1000 });
      expect(answer).to.have.property('answered', true);
      reported++;
    }
    on = false;
    await Promise.all(askers);
    expect(reported).to.be.at.least(300);
  });
});
