import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import express from 'express';
import type { SessionData } from 'express-session';
import { Cluster, Redis } from 'ioredis';
import sinon from 'sinon';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { type CommandRequest, createWorker, intelligentSession, type WorkerOptions } from '../../lib/index.js';
import { ownKey } from '../../lib/redis/keys.js';
import { commands, itKeepsOwnKeys, type OwnKeysGround } from '../contract/own-keys.js';
import { FaultyProxy } from '../support/proxy.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { onCluster, onServers, startWorkerOf, type Way, type Ways, ways } from '../support/ways.js';

const namespace = 'own-keys:';
const base = { namespace, secret: 'test' } as const;

const all: Ways = {
  embedded: { ...ways.embedded, commands },
  'pub/sub': ways['pub/sub'],
  streams: ways.streams,
};

async function openSessions(redis: string | Cluster, client: Redis | Cluster, options: Way) {
  const worker = await startWorkerOf({ ...base, ...options, redis, commands });
  const sessions = intelligentSession({ ...base, ...options, redis });
  const faults: Error[] = [];
  worker?.on('fault', (error) => void faults.push(error));
  if (!worker) sessions.serving.on('fault', (error) => void faults.push(error));
  const ground: OwnKeysGround = { client, serving: sessions.serving, faults };
  return { ground, sessions, close: async () => void (await Promise.all([sessions.close(), worker?.close()])) };
}

const itKeeps = (opened: () => Awaited<ReturnType<typeof openSessions>>) =>
  itKeepsOwnKeys(namespace, () => opened().ground);
onServers(
  "keys of an application's commands",
  all,
  ({ server }, way) => server === 'redis-7.0' || way === 'embedded',
  openSessions,
  itKeeps,
);
onCluster("keys of an application's commands", all, openSessions, itKeeps);

type WithUser = SessionData & { user?: string };

/** A shop with a wish list. */
function shopOf(sessions: ReturnType<typeof intelligentSession>) {
  const app = express();
  app.use(sessions);
  const ask = (req: express.Request, ...writes: unknown[][]) =>
    req.intelligence.ask('write', [...writes, ['SCARD', 'wishlist']], { timeout: 5000 });
  app.post('/wish/:item', async (req, res) => {
    (req.session as WithUser & { wished?: boolean }).wished = true;
    res.json(await ask(req, ['SADD', 'wishlist', req.params.item], ['INCRBY', 'count', '1']));
  });
  app.get('/wishes', async (req, res) => void res.json(await ask(req)));
  app.post('/login/:user', async (req, res) => {
    await req.session.regenerate();
    (req.session as WithUser).user = req.params.user;
    res.json(await ask(req));
  });
  app.post('/logout', (req, res) => void req.session.destroy(() => res.json(null)));
  app.post('/forget', async (req, res) => void res.json(await req.intelligence.forget()));
  app.get('/explain', async (req, res) => void res.json(await req.intelligence.explain()));
  return app;
}

for (const [way, options] of Object.entries(all))
  describe(`a shop whose command keeps a wish list (${way})`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    const opened = useRedis((started) => ({ redis, client } = started));
    const openShop = async () => {
      const { ground, sessions, close } = await openSessions(redis.url, client, {
        ...options,
        user: (session: WithUser) => session.user,
      });
      const site = await Site.open(shopOf(sessions));
      opened.push(close, () => site.close());
      return { site, ground };
    };
    const post = async (visitor: Visitor, path: string) => (await visitor.fetch(path, { method: 'POST' })).json();
    const kept = async () => (await client.keys('*')).filter((key) => /\}:own/.test(key));

    it('the user finds it at the login itself, on this device and the second, and the next visitor does not', async () => {
      const { site } = await openShop();
      const visitor = new Visitor(site.url);
      expect(await post(visitor, '/wish/lamp')).to.equal(1);
      expect(await post(visitor, '/wish/sofa')).to.equal(2);
      expect(await post(visitor, '/login/ann')).to.equal(2);
      const phone = new Visitor(site.url);
      expect(await post(phone, '/wish/chair')).to.equal(1);
      expect(await post(phone, '/login/ann')).to.equal(3);
      expect(await visitor.json('/wishes')).to.equal(3);
      await post(visitor, '/logout');
      expect(await visitor.json('/wishes')).to.equal(0);
      expect(await post(visitor, '/login/bob')).to.equal(0);
      expect(await phone.json('/wishes')).to.equal(3);
      const { text, ownKeys } = await phone.json('/explain');
      expect(ownKeys.map(({ name, size }: { name: string; size: number }) => [name, size])).to.deep.equal([
        ['count', 1],
        ['wishlist', 3],
      ]);
      expect(text).to.contain('We also keep: count (1 byte), wishlist (3 items).');
    });

    it('the end of a visitor’s session leaves nothing of it, nor does forget()', async () => {
      const { site } = await openShop();
      const visitor = new Visitor(site.url);
      const before = new Set(await client.keys('*'));
      await post(visitor, '/wish/lamp');
      expect(await kept()).to.have.lengthOf(3);
      await post(visitor, '/logout');
      await until('it is erased', async () => (await kept()).length === 0);

      for (const login of [false, true]) {
        await post(visitor, '/wish/lamp');
        if (login) await post(visitor, '/login/ann');
        expect(await post(visitor, '/forget')).to.equal(true);
        const rest = (await client.keys('*')).filter(
          (key) => !before.has(key) && !/sess:|^ended:|async:|ss:(shape|stream|workers)/.test(key),
        );
        for (const key of rest) {
          expect(key).to.match(/:gone$/);
          expect(await client.pttl(key), key).to.be.above(0);
        }
      }
    });
  });

describe('a command that declares keys, over streams, whose worker loses Redis right before it runs', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  const sandbox = sinon.createSandbox();
  afterEach(() => sandbox.restore());

  /** A worker has 256 commands at work and one behind them, which it begins while it can't reach Redis. */
  const beginWithoutRedis = async () => {
    const proxy = await FaultyProxy.open(Number(new URL(redis.url).port));
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let held = 0;
    let runs = 0;
    let ofWorker: CommandRequest['redis'] | undefined;
    const options = {
      namespace,
      transport: 'stream',
      commands: {
        hold: async ({ redis: own }: CommandRequest) => {
          ofWorker = own;
          held++;
          await released;
        },
        wish: {
          keys: { wishlist: { merge: 'union' } },
          run: async ({ keys: { wishlist = '' }, redis: own }) => {
            runs++;
            await own.sadd(wishlist, 'lamp');
          },
        },
      },
    } as const satisfies WorkerOptions;
    const worker = await createWorker({ ...options, redis: proxy.url });
    const { serving, close } = intelligentSession({ ...base, redis: redis.url, transport: 'stream' });
    opened.push(
      () => proxy.close(),
      () => worker.close({ timeout: 0 }),
      close,
    );
    for (let i = 0; i < 256; i++) serving.send('hold', `s${i}`, '', { ttlSeconds: 60 });
    await until('256 are at work', () => held === 256);
    serving.send('wish', 'visitor', '', { ttlSeconds: 60 });
    await until('one waits', async () => (await worker.metrics.metrics()).includes('session_worker_waiting 1\n'));
    proxy.refuses = true;
    proxy.cut();
    await until('the connection is lost', () => ofWorker?.status !== 'ready');
    release();
    for (let turn = 0; turn < 3; turn++) await setImmediate();
    expect(runs).to.equal(0);
    return { worker, proxy, options, runs: () => runs };
  };
  const pending = async () => {
    const streams = (await client.keys(`${namespace}ss:stream:*`)).filter((key) => key.endsWith('}'));
    const counts = await Promise.all(streams.map((key) => client.xpending(key, 'workers')));
    return counts.reduce((sum, [count]) => sum + Number(count), 0);
  };

  it('runs once Redis is back', async () => {
    const { proxy, runs } = await beginWithoutRedis();
    proxy.refuses = false;
    await until('it has run', () => runs() > 0);
    await until('all are finished', async () => (await pending()) === 0);
    expect(await client.pttl(ownKey(namespace, 'visitor', 'wishlist'))).to.be.above(0);
  });

  it('does not run where Redis comes back only after the maximum age of a message', async () => {
    const { worker, proxy, runs } = await beginWithoutRedis();
    const now = performance.now.bind(performance);
    sandbox.stub(performance, 'now').callsFake(() => now() + 86_401_000);
    proxy.refuses = false;
    await until('it is dropped', async () =>
      (await worker.metrics.metrics()).includes('messages_total{command="wish",result="too-old"} 1\n'),
    );
    expect(runs()).to.equal(0);
  });

  it('is left to another worker where this one ends before', async () => {
    const { worker, options, runs } = await beginWithoutRedis();
    await worker.close({ timeout: 0 });
    const another = await createWorker({ ...options, redis: redis.url });
    opened.push(() => another.close());
    await until('it has run', () => runs() > 0);
  });
});
