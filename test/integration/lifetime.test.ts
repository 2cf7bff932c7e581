import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import express from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';
import sinon from 'sinon';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  type CommandRequest,
  createWorker,
  type IntelligentSessionOptions,
  intelligentSession,
  type Worker,
} from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { goneKey, streamKey } from '../../lib/redis/keys.js';
import { partitionOf } from '../../lib/transport/protocol.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { FaultyProxy } from '../support/proxy.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { viewsOf } from '../support/views.js';

describe('what is known of a session', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));
  const sandbox = sinon.createSandbox();
  afterEach(() => sandbox.restore());

  /** This process' clock goes on by more than a minute at once. */
  const passMinute = () => {
    const now = performance.now.bind(performance);
    sandbox.stub(performance, 'now').callsFake(() => now() + 61_000);
  };
  const worker = async (options: Parameters<typeof createWorker>[0] = {}): Promise<Worker> => {
    const one = await createWorker({ redis: redis.url, ...options });
    opened.push(() => one.close());
    return one;
  };
  const serving = (options?: ConstructorParameters<typeof RemoteExecutor>[1]): RemoteExecutor => {
    const one = new RemoteExecutor(redis.url, options);
    opened.push(() => one.close());
    return one;
  };
  const visitorOf = async (options: IntelligentSessionOptions = {}) => {
    const sessions = intelligentSession({ redis: redis.url, secret: 'test', timeout: 2000, ...options });
    const app = express();
    app.use(sessions);
    app.post('/api', (req, res) => void res.json({ id: req.sessionID }));
    app.get('/data.json', (req, res) => void res.json({ id: req.sessionID }));
    app.get('/unread', async (req, res) => void res.json(await req.intelligence.notifications(['n1'])));
    app.post('/mark', async (req, res) => void res.json(await req.intelligence.markNotificationSeen('n1')));
    app.get('/page', async (req, res) => {
      res.json({ id: req.sessionID, report: await req.intelligence.pageview(), degraded: req.intelligence.degraded });
    });
    const site = await Site.open(app);
    opened.push(
      () => sessions.close(),
      () => site.close(),
    );
    const visitor = new Visitor(site.url);
    const post = (path: string) => visitor.fetch(path, { method: 'POST' });
    return { sessions, visitor, post };
  };
  const keysOf = (sid: string) => Object.values(intelligenceKeys('', sid));
  const leftOf = async (sid: string): Promise<number[]> => {
    const all = await Promise.all(keysOf(sid).map((key) => client.pttl(key)));
    return all.filter((ms) => ms !== -2);
  };
  /** Makes it so that what is kept of a session is about to end, which its string says, too. */
  const endsSoon = async (sid: string) => {
    const soon = Buffer.alloc(4);
    soon.writeUInt32LE(Math.floor(Date.now() / 1000) + 60);
    await client.setrange(intelligenceKeys('', sid).activity, 17, soon);
    for (const key of keysOf(sid)) await client.pexpire(key, 60_000);
  };
  const count = async (one: Worker, text: string): Promise<number> => {
    const line = (await one.metrics.metrics()).split('\n').find((each) => each.includes(text));
    return Number(line?.split(' ').at(-1) ?? 0);
  };
  const evalshas = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);

  for (const [name, store] of [
    ['our store', {}],
    ['a store of express-session', new session.MemoryStore()],
  ] as const)
    it(`lives as long as a session that sends no page views (${name})`, async () => {
      await worker();
      const maxAge = 2000;
      const { visitor, post } = await visitorOf({ store, session: { rolling: true, cookie: { maxAge } } });
      const { id } = await visitor.json('/page');
      await visitor.json('/page');
      await post('/mark');
      const end = performance.now() + 2.5 * maxAge;
      await until('two and a half lifetimes have passed', async () => {
        await post('/api');
        return performance.now() > end;
      });
      const page = await visitor.json('/page');
      expect(page.id).to.equal(id);
      expect(page.report).to.include({ totalPages: 3, previouslyVisited: true });
      expect(await visitor.json('/unread')).to.deep.equal([{ id: 'n1', seen: true }]);
    });

  for (const how of ['a worker', 'embedded'] as const)
    it(`lives for 425 days at most, whatever a session says (${how})`, async () => {
      if (how === 'a worker') await worker();
      const { sessions } = await visitorOf(how === 'embedded' ? { worker: 'embedded' } : {});
      const most = 425 * 86_400_000;
      for (const [sid, seconds] of [
        ['long', 1e12],
        ['longer', Number.MAX_VALUE],
      ] as const) {
        await sessions.serving.ask('pageview', sid, '/', { ttlSeconds: seconds, timeoutMs: 5000 });
        await until('it is known', async () => (await leftOf(sid)).length >= 3);
        for (const ms of await leftOf(sid)) expect(ms).to.be.within(most - 60_000, most);
        for (const key of keysOf(sid)) await client.pexpire(key, 20_000);
        sessions.serving.renew(sid, seconds);
        await until('it is renewed', async () => (await leftOf(sid)).every((ms) => ms > 20_000));
        for (const ms of await leftOf(sid)) expect(ms).to.be.within(most - 60_000, most);
      }
    });

  for (const how of ['a worker', 'embedded'] as const)
    it(`ends in time, whatever number of seconds an application says (${how})`, async () => {
      if (how === 'a worker') await worker();
      const { sessions } = await visitorOf(how === 'embedded' ? { worker: 'embedded' } : {});
      for (const [i, seconds] of [1.23456789, 0.0001, 0, -1].entries()) {
        const sid = `odd-${i}`;
        const answer = await sessions.serving.ask('pageview', sid, '/', { ttlSeconds: seconds, timeoutMs: 5000 });
        expect(answer, String(seconds)).to.have.property('answered', true);
        for (const ms of await leftOf(sid)) expect(ms, String(seconds)).to.be.within(-2, 2_200).and.not.equal(-1);
        sessions.serving.renew(sid, seconds);
      }
      expect(() => sessions.serving.ask('pageview', 'odd', '/', { ttlSeconds: Number.NaN, timeoutMs: 5000 })).to.throw(
        /a number of seconds/,
      );
    });

  const renewing: Record<string, (of: Awaited<ReturnType<typeof visitorOf>>) => Promise<unknown>> = {
    'a POST': ({ post }) => post('/api'),
    'a request for data': ({ visitor }) => visitor.fetch('/data.json'),
    'a question': ({ visitor }) =>
      visitor.fetch('/unread', { headers: { 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'cors' } }),
    'a mark': ({ post }) => post('/mark'),
  };
  for (const [name, act] of Object.entries(renewing))
    it(`is renewed by ${name}`, async () => {
      await worker();
      const all = await visitorOf();
      const { id } = await all.visitor.json('/page');
      await all.post('/mark');
      // as if it were about to end
      const other = await visitorOf();
      other.visitor.cookie = all.visitor.cookie;
      for (const key of keysOf(id)) await client.pexpire(key, 20_000);
      await act(other);
      await until('it is renewed', async () => (await leftOf(id)).every((ms) => ms > 86_000_000));
      expect(await leftOf(id)).to.have.length(4);
    });

  it('is renewed where no worker takes the page view, asked for or not', async () => {
    const first = await worker();
    const { visitor } = await visitorOf();
    const { id } = await visitor.json('/page');
    await first.close();
    for (const ask of [true, false]) {
      const { visitor: again } = await visitorOf();
      again.cookie = visitor.cookie;
      for (const key of keysOf(id)) await client.pexpire(key, 20_000);
      if (ask) expect(await again.json('/page')).to.include({ degraded: true });
      else await again.fetch('/no-such-page');
      await until('it is renewed', async () => (await leftOf(id)).every((ms) => ms > 86_000_000));
    }
  });

  it('is renewed by one script in a sixteenth of its time, and not at all by a session that is new', async () => {
    await worker();
    const { visitor, post } = await visitorOf({ store: new session.MemoryStore() });
    await visitor.json('/page');
    const before = await evalshas();
    for (let i = 0; i < 20; i++) await post('/api');
    for (let i = 0; i < 20; i++) await fetch(`${visitor.url}/api`, { method: 'POST' });
    // what was sent before is worked on by now
    await visitor.json('/page');
    // the renewal, and the page view
    expect((await evalshas()) - before).to.be.within(1, 2);
  });

  it('is renewed at once where the session is to live longer', async () => {
    await worker();
    const layer = serving();
    await layer.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 2000 });
    layer.renew('sid', 60);
    layer.renew('sid', 3600);
    await until('it is renewed', async () => (await leftOf('sid')).every((ms) => ms > 3_599_000));
  });

  it('is made by no renewal, and shortened by none', async () => {
    await worker();
    const layer = serving();
    await layer.ask('pageview', 'sid', '/a', { ttlSeconds: 3600, timeoutMs: 2000 });
    layer.renew('sid', 60);
    layer.renew('nobody', 60);
    // after the renewals, on the same connection as they
    void layer.forget('other');
    await until('the renewals are done', async () => (await client.exists(goneKey('', 'other'))) === 1);
    expect((await leftOf('sid')).every((ms) => ms > 3_590_000)).to.equal(true);
    expect(await leftOf('nobody')).to.deep.equal([]);
  });

  it('never ends before the session, whichever request was the last', async () => {
    await worker();
    const layer = serving();
    const ttlSeconds = 320;
    await layer.ask('pageview', 'sid', '/a', { ttlSeconds, timeoutMs: 2000 });
    const { activity } = intelligenceKeys('', 'sid');
    // some time later, just not enough for a renewal: the stored time goes with the expiry
    for (const agoSeconds of [5, 10, 15, 18, 19, 20, 21, 25]) {
      const expires = Math.floor(Date.now() / 1000) + ttlSeconds + 20 - agoSeconds;
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(expires);
      await client.setrange(activity, 17, bytes);
      for (const key of keysOf('sid')) await client.pexpireat(key, expires * 1000);
      await layer.ask('pageview', 'sid', '/b', { ttlSeconds, timeoutMs: 2000 });
      for (const ms of await leftOf('sid')) expect(ms, `${agoSeconds} s later`).to.be.within(319_500, 342_000);
    }
  });

  for (const [how, transport] of [
    ['pub/sub', {}],
    ['streams', { transport: 'stream' }],
    ['embedded', undefined],
  ] as const)
    it(`is renewed by a page view before what was asked behind it, and the view counts once (${how})`, async () => {
      const { activity } = intelligenceKeys('', 'sid');
      // on the worker's own connection, which keeps the order
      const report = async ({ redis: own }: CommandRequest) => (await own.getBuffer(activity))?.readUInt32LE(9);
      const commands = { report };
      if (transport) await worker({ ...transport, commands });
      const layer = transport
        ? serving(transport)
        : (await visitorOf({ worker: 'embedded', timeout: 2000, commands })).sessions.serving;
      const ask = async (command: string, payload: unknown) => {
        const answer = await layer.ask(command, 'sid', payload, { ttlSeconds: 3600, timeoutMs: 2000 });
        return answer.answered ? answer.data : answer;
      };
      expect(await ask('pageview', '/a')).to.include({ totalPages: 1 });
      expect(await ask('mark-notification-seen', 'n1')).to.equal(1);
      expect(await ask('pageview', '/b')).to.include({ totalPages: 2 });
      await endsSoon('sid');
      const [third, fresh, fourth] = await Promise.all([
        ask('pageview', '/c'),
        ask('featuredpages', ['/b', '/c', '/d']),
        ask('pageview', '/d'),
      ]);
      expect([third, fourth]).to.deep.include.members([
        { ...(third as object), totalPages: 3, uniquePages: 3 },
        { ...(fourth as object), totalPages: 4, uniquePages: 4 },
      ]);
      expect(fresh).to.deep.equal(['/d']);
      expect(await leftOf('sid')).to.have.length(4);
      for (const ms of await leftOf('sid')) expect(ms).to.be.above(3_590_000);
      expect(await ask('pageview', '/d')).to.include({ totalPages: 5 });
      await endsSoon('sid');
      const [, counted] = await Promise.all([ask('pageview', '/e'), ask('report', '')]);
      expect(counted, 'by the time of an application’s command').to.equal(6);
    });

  for (const lost of ['the worker’s connection', 'the worker'] as const)
    it(`is renewed by a page view that is counted once where ${lost} is lost between its two scripts (streams)`, async () => {
      const proxy = await FaultyProxy.open(Number(new URL(redis.url).port));
      opened.push(() => proxy.close());
      const age = { transport: 'stream', partitions: 1 } as const;
      const first = await worker({ ...age, redis: proxy.url });
      const layer = serving(age);
      await layer.ask('pageview', 'sid', '/a', { ttlSeconds: 3600, timeoutMs: 2000 });
      await endsSoon('sid');
      const key = streamKey('', 0);
      await until('it is done with', async () => (await client.xlen(key)) === 0);
      const scripts = await evalshas();
      proxy.holdAnswers();
      layer.send('pageview', 'sid', '/b', { ttlSeconds: 3600 });
      await until('the script has run', async () => (await evalshas()) > scripts && (await client.xlen(key)) === 1);
      if (lost === 'the worker') {
        proxy.refuses = true;
        void first.close({ timeout: 1 });
        await worker(age);
      }
      proxy.cut();
      proxy.release();
      await until('it is counted', async () => (await viewsOf(client, '', 'sid')) === 2, 20_000);
      await until('it is off the list', async () => (await client.xlen(key)) === 0, 20_000);
      expect(await viewsOf(client, '', 'sid')).to.equal(2);
      for (const ms of await leftOf('sid')) expect(ms).to.be.above(3_590_000);
    });

  it('lives as long as the session with lists a request, too, which say no ttl', async () => {
    await worker({ ttlSeconds: 60 });
    const layer = serving({ replies: 'list' });
    await layer.ask('pageview', 'sid', '/a', { ttlSeconds: 3600, timeoutMs: 2000 });
    await until('it is renewed', async () => (await leftOf('sid')).every((ms) => ms > 3_599_000));
  });

  for (const transport of ['pubsub', 'stream'] as const)
    it(`goes with the session, and what comes late is counted as gone (${transport})`, async () => {
      const age = transport === 'stream' ? { maxMessageAgeSeconds: 300 } : {};
      const one = await worker({ transport, ...age });
      const layer = serving({ transport, ...age });
      await layer.ask('pageview', 'sid', '/a', { ttlSeconds: 3600, timeoutMs: 2000 });
      void layer.forget('sid');
      await until('it is gone', async () => (await client.exists(goneKey('', 'sid'))) === 1);
      layer.send('pageview', 'sid', '/late', { ttlSeconds: 3600 });
      layer.send('mark-notification-seen', 'sid', 'late', { ttlSeconds: 3600 });
      layer.renew('sid', 3600);
      expect(await layer.ask('pageview', 'sid', '/late', { ttlSeconds: 3600, timeoutMs: 2000 })).to.deep.equal({
        answered: true,
        data: null,
      });
      expect(await leftOf('sid')).to.deep.equal([]);
      expect(await count(one, 'command="pageview",result="gone"')).to.equal(2);
      expect(await count(one, 'command="mark-notification-seen",result="gone"')).to.equal(1);
      const most = transport === 'stream' ? 300_000 : 60_000;
      expect(await client.pttl(goneKey('', 'sid'))).to.be.within(most - 10_000, most);
    });

  const drops = (registry: Pick<Worker, 'metrics'>, results: number) =>
    until('they are dropped', async () =>
      (await registry.metrics.metrics()).includes(`messages_total{command="pageview",result="too-old"} ${results}\n`),
    );

  it('is not what a worker has heard and could not send to Redis for over a minute', async () => {
    const proxy = await FaultyProxy.open(Number(new URL(redis.url).port));
    opened.push(() => proxy.close());
    const one = await worker({ redis: proxy.url });
    const connections = (await client.client('LIST')) as string;
    proxy.refuses = true;
    // The worker keeps its subscription, by which it goes on hearing.
    const mine = await client.client('ID');
    for (const [, id] of connections.matchAll(/^id=(\d+) .* psub=0 /gm))
      if (Number(id) !== mine) await client.client('KILL', 'ID', Number(id));
    await until('it has no connection for commands', () => !one.listening);
    const layer = serving();
    await layer.ask('pageview', 'sid', '/0', { ttlSeconds: 3600, timeoutMs: 1 });
    for (let i = 1; i < 4; i++) layer.send('pageview', 'sid', `/${i}`, { ttlSeconds: 3600 });
    await until('they wait', async () => (await one.metrics.metrics()).includes('worker_waiting 4\n'));
    passMinute();
    proxy.refuses = false;
    await drops(one, 4);
    expect(await leftOf('sid')).to.deep.equal([]);
  });

  it('is not what an embedded site could not send to Redis for over a minute', async () => {
    const proxy = await FaultyProxy.open(Number(new URL(redis.url).port));
    opened.push(() => proxy.close());
    const { serving: layer, close } = intelligentSession({ redis: proxy.url, secret: 'test', worker: 'embedded' });
    opened.push(close);
    await layer.ask('pageview', 'other', '/', { ttlSeconds: 3600, timeoutMs: 5000 });
    proxy.hold();
    for (let i = 0; i < 4; i++) layer.send('pageview', 'sid', `/${i}`, { ttlSeconds: 3600 });
    await setImmediate();
    passMinute();
    proxy.release();
    proxy.cut();
    await drops(layer, 4);
    expect(await leftOf('sid')).to.deep.equal([]);
  });

  it('is not what a message says that lay in its stream for too long', async () => {
    const [seconds] = await client.time();
    const key = streamKey('', partitionOf('sid', 16));
    const add = (agoSeconds: number, rid: string) =>
      client.xadd(key, `${(Number(seconds) - agoSeconds) * 1000}-0`, 'r1', `pageview:sid:${rid}@@@60`, 'p', '/a');
    await add(200, '1');
    await add(120, '2');
    await add(10, '3');
    const one = await worker({ transport: 'stream', maxMessageAgeSeconds: 100 });
    await until('the young one is counted', async () => (await viewsOf(client, '', 'sid')) > 0);
    expect(await viewsOf(client, '', 'sid')).to.equal(1);
    expect(await count(one, 'command="pageview",result="too-old"')).to.equal(2);
    await until('none is left to do', async () => {
      const [pending] = (await client.xpending(key, 'workers')) as [number];
      return pending === 0;
    });
  });
});

describe('a command of an application', () => {
  let redis: PrivateRedis;
  before(async () => {
    redis = await startPrivateRedis();
  });
  after(() => redis?.stop());

  const commands = {
    nothing: () => undefined,
    'nothing-later': async () => {},
    'no-json': () => () => 1,
    null: () => null,
    bigint: () => 1n,
  };
  for (const transport of ['pubsub', 'stream'] as const)
    for (const replies of ['inbox', 'list'] as const)
      it(`answers at once where it has nothing to say (${transport}, ${replies})`, async () => {
        const namespace = `${transport}-${replies}:`;
        const worker = await createWorker({ redis: redis.url, namespace, transport, commands });
        const serving = new RemoteExecutor(redis.url, { namespace, transport, replies });
        const circuits: string[] = [];
        serving.on('circuit', (state) => circuits.push(state));
        try {
          for (const command of ['nothing', 'nothing-later', 'no-json', 'null']) {
            // a hundred times what one takes: an answer is what ends the wait
            const all = Array.from({ length: 12 }, () =>
              serving.ask(command, 'sid', '', { ttlSeconds: 60, timeoutMs: 10_000 }),
            );
            for (const answer of await Promise.all(all))
              expect(answer, command).to.deep.equal({ answered: true, data: null });
          }
          expect(circuits).to.deep.equal([]);
        } finally {
          await serving.close();
          await worker.close();
        }
      });

  it('answers at once where its answer can’t be said in JSON, or nobody knows the command', async () => {
    const worker = await createWorker({ redis: redis.url, namespace: 'e:', transport: 'stream', commands });
    const serving = new RemoteExecutor(redis.url, { namespace: 'e:', transport: 'stream' });
    const reasons: string[] = [];
    serving.on('degraded', (command, reason) => reasons.push(`${command}: ${reason}`));
    try {
      for (const command of ['bigint', 'no-such'])
        expect(await serving.ask(command, 'sid', '', { ttlSeconds: 60, timeoutMs: 10_000 })).to.include({
          answered: false,
        });
      expect(reasons).to.deep.equal(['bigint: failed', 'no-such: failed']);
    } finally {
      await serving.close();
      await worker.close();
    }
  });

  it('gives null to the page, which is not degraded', async () => {
    const sessions = intelligentSession({ redis: redis.url, secret: 'test', namespace: 'p:', timeout: 10_000 });
    const worker = await createWorker({ redis: redis.url, namespace: 'p:', commands });
    const app = express().use(sessions);
    app.get('/', async (req, res) => {
      const answer = await req.intelligence.ask('nothing');
      res.json({ none: answer === null, degraded: req.intelligence.degraded });
    });
    const site = await Site.open(app);
    try {
      expect(await new Visitor(site.url).json('/')).to.deep.equal({ none: true, degraded: false });
    } finally {
      await site.close();
      await sessions.close();
      await worker.close();
    }
  });
});
