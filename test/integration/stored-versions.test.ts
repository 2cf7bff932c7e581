import { once } from 'node:events';
import { expect } from 'chai';
import express from 'express';
import { Cluster, Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type IntelligentSession, intelligentSession, type Worker } from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { besideKey, endedPrefix, streamKey } from '../../lib/redis/keys.js';
import { partitionOf } from '../../lib/transport/protocol.js';
import { RedisSessionStore } from '../../lib/session/redis-session-store.js';
import { startCluster } from '../support/cluster.js';
import { RawVisitor } from '../support/requests.js';
import { Site } from '../support/site.js';
import { until } from '../support/until.js';
import { userKey } from '../support/stores.js';

const NS = 'v:';
const VERSION = 'ERR_INTELLIGENT_SESSION_VERSION';
const codeOf = (fault: unknown) => (fault as { code?: string }).code;

/** What a later version might have written. */
const NEWER: Record<string, { readonly bytes: Buffer; readonly code: string; readonly degraded: readonly string[] }> = {
  activity: {
    bytes: Buffer.concat([Buffer.from([2]), Buffer.alloc(387, 7)]),
    code: VERSION,
    degraded: ['activity', 'report', 'explained'],
  },
  visited: {
    bytes: Buffer.concat([Buffer.from('ISBLOOM2'), Buffer.alloc(400, 7)]),
    code: 'ERR_INTELLIGENT_SESSION_BLOOM',
    degraded: ['fresh', 'report'],
  },
  notified: {
    bytes: Buffer.concat([Buffer.from('ISBLOOM2'), Buffer.alloc(400, 7)]),
    code: 'ERR_INTELLIGENT_SESSION_BLOOM',
    degraded: ['notifications', 'explained'],
  },
};

for (const executor of ['embedded', 'external'] as const)
  describe(`what a later version has stored, met by this one, ${executor}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    let worker: Worker | undefined;
    let sessions: IntelligentSession;
    let site: Site;
    const faults: unknown[] = [];

    before(async () => {
      redis = await startPrivateRedis();
      client = new Redis(redis.url);
      if (executor === 'external') {
        worker = await createWorker({ redis: redis.url, namespace: NS, bloom: 'fallback' });
        worker.on('fault', (error) => faults.push(error));
      }
      sessions = intelligentSession({
        redis: redis.url,
        namespace: NS,
        secret: 'test',
        timeout: 5000,
        worker: executor,
        track: false,
        ...(executor === 'embedded' && { bloom: 'fallback' as const }),
      });
      sessions.serving.on('fault', (error) => faults.push(error));
      const app = express();
      app.use(sessions);
      app.get('/', async (req, res) => {
        const { intelligence } = req;
        const session = req.session as { count?: number };
        session.count = (session.count ?? 0) + 1;
        const report = await intelligence.pageview();
        res.json({
          sid: req.sessionID,
          count: session.count,
          report: report?.totalPages ?? null,
          activity: (await intelligence.activity({ minutes: 5 }))?.length ?? null,
          fresh: (await intelligence.freshPages(['/', '/b'])).join(),
          explained: (await intelligence.explain())?.notificationsRead ?? null,
          notifications: (await intelligence.notifications(['n'])).map(({ seen }) => seen ?? null).join(),
        });
      });
      site = await Site.open(app);
    });
    after(async () => {
      await site?.close();
      await sessions?.close();
      await worker?.close();
      client?.disconnect();
      await redis?.stop();
    });

    for (const [name, { bytes, code, degraded }] of Object.entries(NEWER))
      it(`${name}: is a coded fault, stays as it is, and the rest of the page is as ever`, async () => {
        const visitor = new RawVisitor(site);
        const first = await visitor.json('/');
        const key = intelligenceKeys(NS, first.sid)[name as keyof ReturnType<typeof intelligenceKeys>];
        await client.set(key, bytes);
        faults.length = 0;
        const page = await visitor.json('/');
        const asEver = {
          count: 2,
          report: 2,
          activity: 5,
          fresh: '/b',
          explained: 0,
          notifications: first.notifications,
        };
        const without = {
          report: null,
          activity: null,
          fresh: '/,/b',
          explained: null,
          notifications: page.notifications,
        };
        for (const [figure, value] of Object.entries(asEver))
          expect(page[figure], figure).to.equal(
            degraded.includes(figure) ? without[figure as keyof typeof without] : value,
          );
        await until('all faults are told', () => faults.length >= degraded.length);
        expect(faults.map(codeOf)).to.include(code).and.not.include('ERR_INTELLIGENT_SESSION_REDIS');
        for (const fault of faults) expect(String(fault)).to.match(/this version does not know|The command failed/);
        expect(await client.getBuffer(key)).to.deep.equal(bytes);
      });
  });

describe('what a later version has stored, met by this one', () => {
  let redis: PrivateRedis;
  let client: Redis;
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  after(async () => {
    client?.disconnect();
    await redis?.stop();
  });

  it('a message of a stream: is a coded fault, is not worked on, and what comes after it is', async () => {
    const key = streamKey(NS, partitionOf('sid', 16));
    await client.xadd(key, '*', 'r2', 'pageview:sid:s~1@@@60', 'p', '/a');
    await client.xadd(key, '*', 'r1', 'pageview:sid:s~2@@@60', 'p', '/a');
    const { activity } = intelligenceKeys(NS, 'sid');
    const worker = await createWorker({
      redis: redis.url,
      namespace: NS,
      transport: 'stream',
      log: { info() {}, warn() {} },
    });
    const faults: unknown[] = [];
    worker.on('fault', (error) => faults.push(error));
    await until('the second is counted', async () => (await client.exists(activity)) === 1);
    await until('the first is told', () => faults.length === 1);
    expect(faults.map(codeOf)).to.deep.equal([VERSION]);
    expect((await client.getrangeBuffer(activity, 9, 12)).readUInt32LE(0)).to.equal(1);
    await worker.close();
  });

  it('a user’s sessions: sessions are saved and noted, and destroyAllOf() ends them all', async () => {
    type Data = { cookie: { originalMaxAge: number }; user: string };
    const store = new RedisSessionStore({ redis: redis.url, user: (session) => (session as never as Data).user });
    const faults: unknown[] = [];
    store.on('fault', (error) => faults.push(error));
    const save = (sid: string) =>
      store.set(sid, { cookie: { originalMaxAge: 60_000, maxAge: 60_000 }, user: 'robin' } as never);
    await client.set('sess:theirs', JSON.stringify({ cookie: { originalMaxAge: 60_000 }, user: 'robin' }));
    const newer = { theirs: '2:something/else', mine: '2:something/else' };
    await client.hset(userKey('robin'), newer);
    await save('mine');
    await save('another');
    expect(faults.map(codeOf)).to.deep.equal([VERSION, VERSION]);
    const noted = await client.hgetall(userKey('robin'));
    expect(noted).to.include(newer);
    expect(await client.pttl(userKey('robin')), 'nobody knows when theirs ends').to.equal(-1);
    expect(noted.another).to.match(/^1:\d+:\d+$/);
    expect(await store.destroyAllOf('robin')).to.equal(3);
    expect(await client.exists('sess:theirs', 'sess:mine', 'sess:another')).to.equal(0);
    await store.close();
  });

  it('an encrypted session: is absent with a coded fault, and stays as it is', async () => {
    const store = new RedisSessionStore({ redis: redis.url, encryption: { secrets: ['s'.repeat(32)] } });
    await client.set('sess:sealed', 'e3.AAAA');
    const fault = once(store, 'fault');
    expect(await store.get('sealed')).to.equal(null);
    expect(codeOf((await fault)[0])).to.equal('ERR_INTELLIGENT_SESSION_UNREADABLE');
    expect(await client.get('sess:sealed')).to.equal('e3.AAAA');
    await store.close();
  });

  it('in a Cluster, when all of a user’s sessions were ended: a coded fault, and the session is saved', async function () {
    this.timeout(60_000);
    const cluster = await startCluster(3);
    try {
      const of = new Cluster([...cluster.nodes]);
      const store = new RedisSessionStore({ client: of, user: () => 'robin' });
      const faults: unknown[] = [];
      store.on('fault', (error) => faults.push(error));
      const ended = besideKey(endedPrefix(''), userKey('robin'));
      const newer = '2:something/else';
      await of.rpush(ended, newer);
      await store.set('mine', { cookie: { originalMaxAge: 60_000 } } as never);
      expect(faults.map(codeOf)).to.deep.equal([VERSION]);
      expect(await store.get('mine')).to.have.property('cookie');
      expect(await of.lrange(ended, 0, -1)).to.deep.equal([newer]);
      await store.close();
      of.disconnect();
    } finally {
      await cluster.stop();
    }
  });
});
