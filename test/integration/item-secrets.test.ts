import { once } from 'node:events';
import { inspect } from 'node:util';
import { expect } from 'chai';
import express from 'express';
import { Cluster, Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  RedisSessionStore,
} from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { itemKeyOf } from '../../lib/intelligence/item-key.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { itemKeyKey } from '../../lib/redis/keys.js';
import { startCluster } from '../support/cluster.js';
import { FaultyProxy } from '../support/proxy.js';
import { flavours, startServer } from '../support/servers.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';

const [older, newer] = ['an older secret of the site', 'a newer secret of the site'] as const;
const namespace = 'secrets:';
const KEY = itemKeyKey(namespace);
const log = { info() {}, warn() {} };

/** Opens sites and workers with secrets of their own, all on one Redis or Cluster. */
class Ground {
  readonly opened: (() => Promise<unknown>)[] = [];
  readonly faults: (Error & { code?: string })[] = [];

  constructor(
    readonly redis: string | Cluster,
    readonly options: IntelligentSessionOptions,
  ) {}

  async site(itemSecret: string | readonly string[], options: IntelligentSessionOptions = {}) {
    const { worker, transport } = this.options;
    if (worker !== 'embedded' && options.worker !== 'embedded') {
      const started = await createWorker({
        ...{ redis: this.redis, namespace, itemSecret, log },
        ...(transport && { transport }),
      });
      this.opened.push(() => started.close());
    }
    const sessions: IntelligentSession = intelligentSession({
      ...{ redis: this.redis, namespace, secret: 'test', itemSecret, timeout: 5000, maxWaitMs: 5000 },
      user: (session) => (session as { user?: string }).user,
      notifications: { groups: () => ['everyone'] },
      ...this.options,
      ...options,
    });
    sessions.serving.on('fault', (error) => this.faults.push(error));
    this.opened.push(() => sessions.close());
    const app = express().use(sessions);
    app.post('/login/:user', async (req, res) => {
      await req.session.regenerate();
      Object.assign(req.session, req.params);
      await req.session.save();
      res.json({});
    });
    app.post(
      '/mark/:id',
      async (req, res) => void res.json(await req.intelligence.markNotificationSeen(req.params.id)),
    );
    app.post('/forget', async (req, res) => void res.json(await req.intelligence.forget()));
    app.post('/knows', async (req, res) => {
      const { intelligence } = req;
      const [fresh, list, published] = await Promise.all([
        intelligence.freshPages(['/a', '/b', '/never']),
        intelligence.notifications([{ id: 'own-1' }, { id: 'own-2' }]),
        intelligence.notifications(),
      ]);
      const seen = [...list, ...published]
        .filter(({ seen: isSeen }) => isSeen)
        .map(({ id }) => id)
        .toSorted();
      res.json({ fresh, seen, degraded: intelligence.degraded });
    });
    app.get('/{*page}', async (req, res) => {
      const report = await req.intelligence.pageview();
      res.json({ ...report, degraded: req.intelligence.degraded });
    });
    const site = await Site.open(app);
    this.opened.push(() => site.close());
    return { sessions, url: site.url };
  }

  async close(): Promise<void> {
    for (const close of this.opened.splice(0).reverse()) await close();
  }
}

const post = async (visitor: Visitor, path: string) => (await visitor.fetch(path, { method: 'POST' })).json();
const at = (url: string, { cookie }: Pick<Visitor, 'cookie'>): Visitor => Object.assign(new Visitor(url), { cookie });

/** What is learned under one secret, asked under others. */
function rotating(
  open: () => { redis: string | Cluster; client: Redis | Cluster },
  options: IntelligentSessionOptions,
) {
  let ground: Ground;
  before(() => {
    ground = new Ground(open().redis, options);
  });
  afterEach(async () => {
    await ground.close();
    expect(ground.faults.splice(0)).to.deep.equal([]);
  });
  const known = { fresh: ['/never'], seen: ['for all', 'for ann', 'own-1'], degraded: false };

  it('what was seen under one secret is found, carried and forgotten under the next', async () => {
    const publisher = createNotifications({ redis: open().redis, namespace, itemSecret: [newer, older] });
    const first = await ground.site(older);
    await publisher.publish({ group: 'everyone' }, { id: 'for all', title: 'all' });
    await publisher.publish({ user: 'ann' }, { id: 'for ann', title: 'own' });
    await publisher.close();
    const ann = new Visitor(first.url);
    await ann.json('/a');
    await post(ann, '/login/ann');
    await ann.json('/b');
    for (const id of ['own-1', 'for all', 'for ann']) expect(await post(ann, `/mark/${id}`), id).to.equal(true);
    expect(await post(ann, '/knows')).to.deep.equal(known);
    // two visitors who are not logged in yet
    const [kim, lee] = [new Visitor(first.url), new Visitor(first.url)];
    for (const visitor of [kim, lee]) await visitor.json('/a');

    const both = await ground.site([newer, older]);
    const phone = new Visitor(both.url);
    await post(phone, '/login/ann');
    expect(await post(phone, '/knows')).to.deep.equal(known);
    expect(await phone.json('/b')).to.include({ totalPages: 3, uniquePages: 2, previouslyVisited: true });
    const kimLater = at(both.url, kim);
    expect(await kimLater.json('/a')).to.include({ totalPages: 2, previouslyVisited: true });
    // the secret that was there first is gone
    const last = await ground.site(newer);
    const tablet = new Visitor(last.url);
    await post(tablet, '/login/ann');
    expect(await post(tablet, '/knows')).to.deep.equal(known);
    const leeLater = at(last.url, lee);
    expect(await leeLater.json('/a')).to.include({ totalPages: 2, previouslyVisited: true });
    await post(leeLater, '/login/lee');
    expect(await leeLater.json('/a')).to.include({ totalPages: 3, uniquePages: 1, previouslyVisited: true });
    expect((await last.sessions.of({ user: 'ann' }).explain())?.pageViews).to.equal(3);
    // processes with the former one alone go on
    expect(await at(first.url, ann).json('/b')).to.include({ totalPages: 4, previouslyVisited: true });

    expect(await last.sessions.of({ user: 'ann' }).forget()).to.equal(true);
    const { gone, ...keys } = commandKeys(namespace, userSubject('ann', itemKeyOf(older)));
    const left = await Promise.all([gone, ...Object.values(keys)].map((key) => open().client.exists(key)));
    expect(left.reduce((sum, one) => sum + one)).to.equal(1);
  });
}

for (const flavour of flavours.filter(({ name }) => ['redis-7.0, module', 'redis-8.2, fallback'].includes(name)))
  for (const [way, options] of [
    ['embedded', { worker: 'embedded' }],
    ['pub/sub', {}],
    ['streams', { transport: 'stream' }],
  ] as const)
    describe(`itemSecret that changes, on ${flavour.name}, ${way}`, () => {
      let redis: PrivateRedis;
      let client: Redis;
      before(async function () {
        redis = await startServer(this, flavour);
        client = new Redis(redis.url);
      });
      after(async () => {
        client?.disconnect();
        await redis?.stop();
      });
      rotating(() => ({ redis: redis.url, client }), options);
    });

describe('itemSecret that changes, on a Cluster', function () {
  this.timeout(60_000);
  let cluster: Awaited<ReturnType<typeof startCluster>>;
  let client: Cluster;
  before(async () => {
    cluster = await startCluster(3);
    client = new Cluster([...cluster.nodes]);
  });
  after(async () => {
    client?.disconnect();
    await cluster?.stop();
  });
  rotating(() => ({ redis: client, client }), {});
});

describe('the item key of a namespace', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let ground: Ground;
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  beforeEach(async () => {
    await client.flushall();
    ground = new Ground(redis.url, { worker: 'embedded' });
  });
  afterEach(() => ground.close());
  after(async () => {
    client?.disconnect();
    await redis?.stop();
  });

  it('is stored under each secret, encrypted, and says none', async () => {
    await (await ground.site([newer, older])).sessions.of({ user: 'ann' }).pageview('/a');
    const { version, root, ...others } = await client.hgetall(KEY);
    expect(version).to.equal('1');
    expect(root).to.match(/^[\w-]{8}$/);
    const [fingerprint, ...more] = Object.keys(others);
    expect(more).to.deep.equal([]);
    expect(fingerprint).to.match(/^[\w-]{8}$/);
    const [text] = Object.values(others) as [string];
    const key = itemKeyOf(older) as string;
    for (const bytes of [Buffer.from(text), Buffer.from(text, 'base64url')])
      for (const word of [older, newer, key, Buffer.from(key, 'base64url')])
        expect(bytes.includes(word)).to.equal(false);
    expect(await client.pttl(KEY)).to.equal(-1);
  });

  it('is one where many processes start at once, whatever the order of their lists', async () => {
    const sites = await Promise.all(
      Array.from({ length: 8 }, (_, i) => ground.site(i % 2 ? [newer, older] : [older, newer])),
    );
    for (const [i, { sessions }] of sites.entries())
      expect(await sessions.of({ user: 'ann' }).pageview('/a')).to.include({ totalPages: i + 1, uniquePages: 1 });
    expect(ground.faults).to.deep.equal([]);
  });

  it('counts no page twice of a visitor who had seen some before there was a secret', async () => {
    const without = { redis: redis.url, namespace, secret: 'test', worker: 'embedded', timeout: 5000 } as const;
    const before = intelligentSession(without);
    ground.opened.push(() => before.close());
    const app = express().use(before);
    app.get('/{*page}', async (req, res) => void res.json(await req.intelligence.pageview()));
    const plain = await Site.open(app);
    ground.opened.push(() => plain.close());
    const visitor = new Visitor(plain.url);
    expect(await visitor.json('/a')).to.include({ uniquePages: 1 });
    const { url } = await ground.site(older);
    const later = at(url, visitor);
    expect(await later.json('/b')).to.include({ uniquePages: 2 });
    await post(later, '/login/ann');
    // What was seen without the secret can't be keyed, and is left behind.
    for (const [page, uniquePages, previouslyVisited] of [
      ['/b', 1, true],
      ['/a', 2, false],
      ['/b', 2, true],
    ] as const)
      expect(await later.json(page), page).to.include({ uniquePages, previouslyVisited });
  });

  for (const worker of ['embedded', 'external'] as const)
    it(`another secret without the former one is a fault that says what to do, and the site goes on (${worker})`, async () => {
      await (await ground.site(older)).sessions.of({ user: 'ann' }).pageview('/a');
      const dump = await client.dumpBuffer(KEY);
      if (worker === 'external') {
        const refused = await createWorker({ redis: redis.url, namespace, itemSecret: newer, log }).catch(
          (error) => error,
        );
        expect(refused).to.have.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
        const started = await createWorker({ redis: redis.url, namespace, itemSecret: older, log });
        ground.opened.push(() => started.close());
      }
      const sessions = intelligentSession({
        ...{ redis: redis.url, namespace, secret: 'test', itemSecret: newer, worker, timeout: 5000 },
        user: (session) => (session as { user?: string }).user,
      });
      ground.opened.push(() => sessions.close());
      const faults: (Error & { code?: string })[] = [];
      sessions.serving.on('fault', (error) => faults.push(error));
      const app = express().use(sessions);
      app.post('/login', async (req, res) => {
        Object.assign(req.session, { user: 'ann' });
        await req.session.save();
        res.json({ forgotten: await req.intelligence.forget() });
      });
      app.get('/', async (req, res) => {
        const report = await req.intelligence.pageview();
        res.json({ user: (req.session as { user?: string }).user, report, degraded: req.intelligence.degraded });
      });
      const site = await Site.open(app);
      ground.opened.push(() => site.close());
      const visitor = new Visitor(site.url);
      await until('it is told', () => faults.length > 0);
      expect(faults[0])
        .to.include({ code: 'ERR_INTELLIGENT_SESSION_OPTION' })
        .and.property('message')
        .contains(KEY)
        .and.not.contains(newer);
      expect(await visitor.json('/')).to.deep.equal({ degraded: true });
      expect(await post(visitor, '/login')).to.deep.equal({ forgotten: false });
      expect(await visitor.json('/')).to.deep.equal({ user: 'ann', degraded: true });
      expect(await sessions.of({ user: 'ann' }).askResult('pageview', '/')).to.include({
        answered: false,
        reason: 'redis',
      });
      // nothing was kept of anybody, and what was there is there
      expect(await client.keys(`${namespace}ss:{*`)).to.satisfy((keys: string[]) =>
        keys.every((key) => key.includes(userSubject('ann', itemKeyOf(older)))),
      );
      expect(await client.dumpBuffer(KEY)).to.deep.equal(dump);
      const publisher = createNotifications({ redis: redis.url, namespace, itemSecret: newer });
      ground.opened.push(() => publisher.close());
      const error = await publisher.publish({ user: 'ann' }, { title: 'x' }).catch((cause: unknown) => cause);
      expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
      // who has both from here on lets it in, without a restart
      await (await ground.site([newer, older])).sessions.of({ user: 'ann' }).pageview('/a');
      await until('it is known here, too', async () => (await visitor.json('/')).report?.totalPages > 2);
    });

  it('that a later version stores is a coded fault, and stays as it is', async () => {
    await client.hset(KEY, { version: '2', root: 'whatever' });
    const dump = await client.dumpBuffer(KEY);
    const { sessions } = await ground.site(older);
    await until('it is told', () => ground.faults.length > 0);
    expect(ground.faults[0]).to.include({ code: 'ERR_INTELLIGENT_SESSION_VERSION' });
    expect(await sessions.of({ user: 'ann' }).pageview('/a')).to.equal(undefined);
    expect(await client.dumpBuffer(KEY)).to.deep.equal(dump);
  });

  it('that was deleted is stored again by who uses it, and who has another then is told', async function () {
    this.timeout(60_000);
    const { sessions } = await ground.site([newer, older]);
    await sessions.of({ user: 'ann' }).pageview('/a');
    const before = await client.hgetall(KEY);
    await client.del(KEY);
    await until('it is there again', async () => (await client.hlen(KEY)) === 3, 20_000);
    expect((await client.hgetall(KEY)).root).to.equal(before.root);
    await client.del(KEY);
    const other = await createWorker({ redis: redis.url, namespace, itemSecret: 'quite another secret', log });
    ground.opened.push(() => other.close());
    await until('it is told', () => ground.faults.length > 0, 20_000);
    expect(ground.faults[0]).to.include({ code: 'ERR_INTELLIGENT_SESSION_OPTION' });
    expect(await sessions.of({ user: 'ann' }).pageview('/a')).to.include({ totalPages: 2, previouslyVisited: true });
  });

  for (const worker of ['embedded', 'external'] as const)
    it(`is waited for by a user’s first request where Redis is not there yet (${worker})`, async () => {
      const proxy = await FaultyProxy.open(redis.port);
      ground.opened.push(async () => proxy.close());
      const users = await ground.site(older, { worker });
      if (worker === 'external') {
        const started = await createWorker({ redis: redis.url, namespace, itemSecret: older, log });
        ground.opened.push(() => started.close());
      }
      const visitor = new Visitor(users.url);
      await post(visitor, '/login/ann');
      expect(await visitor.json('/a')).to.include({ totalPages: 1 });
      proxy.hold();
      const late = await ground.site(older, { redis: proxy.url, worker });
      const asked = at(late.url, visitor).json('/a');
      const outside = late.sessions.of({ user: 'ann' }).pageview('/b');
      late.sessions.serving.send('pageview', 'somebody', '/c', { ttlSeconds: 60 });
      // what is changed after the call is not what was asked
      const pages = ['/c', '/d'];
      const fresh = late.sessions.serving.ask('featuredpages', 'somebody', pages, { ttlSeconds: 60, timeoutMs: 5000 });
      pages.length = 0;
      proxy.release();
      expect(await asked).to.include({ previouslyVisited: true, degraded: false });
      expect(await outside).to.include({ uniquePages: 2 });
      expect(await fresh).to.deep.equal({ answered: true, data: ['/d'] });
      await until('what was sent before is counted', async () =>
        Boolean(await client.exists(commandKeys(namespace, 'somebody').activity)),
      );
    });

  it('does not make a page wait where Redis is away', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    proxy.refuses = true;
    ground.opened.push(() => proxy.close());
    for (const worker of ['embedded', 'external'] as const) {
      const sessions = intelligentSession({
        ...{ redis: proxy.url, namespace, secret: 'test', itemSecret: older, worker, maxWaitMs: 300, timeout: 5000 },
        user: () => 'ann',
      });
      ground.opened.push(() => sessions.close());
      await once(sessions.serving, 'away');
      await until('nobody waits for it', () => sessions.serving.itemKey.settled() === undefined);
      const { reason } = (await sessions.of({ user: 'ann' }).askResult('pageview', '/')) as { reason: string };
      expect(reason).to.equal('redis');
    }
  });

  it('stands in no log of a site, nor does a secret or Redis’ password', async () => {
    const url = new URL(redis.url);
    await client.acl('SETUSER', 'somebody', 'on', '>a-password-of-redis', '+@all', '~*', '&*');
    [url.username, url.password] = ['somebody', 'a-password-of-redis'];
    for (const worker of ['embedded', 'external'] as const) {
      const { sessions } = await ground.site([newer, older], { redis: url.href, worker });
      const ann = sessions.of({ user: 'ann' });
      if (worker === 'embedded') await ann.pageview('/a');
      else await sessions.serving.itemKey.settled();
      expect(sessions.serving.itemKey.isKnown).to.equal(true);
      const texts = [
        JSON.stringify(sessions.serving),
        inspect(sessions.serving, { depth: 8 }),
        inspect(ann, { depth: 8 }),
      ];
      for (const text of texts)
        for (const word of [older, newer, itemKeyOf(older) as string, 'a-password-of-redis'])
          expect(text).to.not.contain(word);
    }
  });

  it('that can’t be had when a user is identified leaves nothing of them to whoever comes next', async () => {
    await (await ground.site(older)).sessions.of({ user: 'ann' }).pageview('/a');
    const sessions = intelligentSession({
      ...{ redis: redis.url, namespace, secret: 'test', itemSecret: newer, worker: 'embedded', timeout: 5000 },
      user: 'identify',
    });
    ground.opened.push(() => sessions.close());
    const faults: Error[] = [];
    sessions.serving.on('fault', (error) => faults.push(error));
    const app = express().use(sessions);
    app.post('/login/:user', (req, res) => {
      req.intelligence.identify(req.params.user);
      res.json({});
    });
    app.post('/logout', (req, res) => {
      req.intelligence.identify(undefined);
      res.json({});
    });
    app.get('/{*page}', async (req, res) => {
      const report = await req.intelligence.pageview();
      res.json({ views: report?.totalPages ?? null, degraded: req.intelligence.degraded });
    });
    const site = await Site.open(app);
    ground.opened.push(() => site.close());
    await until('it is refused', () => faults.length > 0);
    const visitor = new Visitor(site.url);
    await visitor.json('/');
    await post(visitor, '/login/ann');
    await ground.site([newer, older]);
    await until('it is known', () => sessions.serving.itemKey.isKnown);
    expect(await visitor.json('/secret')).to.deep.equal({ views: null, degraded: true });
    await post(visitor, '/logout');
    expect(await visitor.json('/')).to.deep.equal({ views: 1, degraded: false });
    await post(visitor, '/login/bob');
    expect(await visitor.json('/')).to.deep.equal({ views: 2, degraded: false });
    expect(await sessions.of({ user: 'bob' }).pageview('/secret')).to.include({ previouslyVisited: false });
  });

  it('is none of the store’s: it finds a user’s sessions under each secret, and ends them', async () => {
    const user = (session: object) => (session as { user?: string }).user;
    const stores = [older, [newer, older]].map(
      (itemSecret) => new RedisSessionStore({ redis: redis.url, user, itemSecret }),
    );
    for (const store of stores) ground.opened.push(() => store.close());
    const [former, both] = stores as [RedisSessionStore, RedisSessionStore];
    await former.set('a', { cookie: {}, user: 'ann' } as never);
    await both.set('b', { cookie: {}, user: 'ann' } as never);
    expect((await both.sessionsOf('ann')).map(({ id }) => id)).to.have.members(['a', 'b']);
    expect(await both.destroyAllOf('ann')).to.equal(2);
    expect(await client.keys('users:*')).to.deep.equal([]);
  });
});
