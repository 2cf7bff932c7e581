import { once } from 'node:events';
import { expect } from 'chai';
import calculateSlot from 'cluster-key-slot';
import express from 'express';
import { Cluster, Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
} from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { combos, itKnowsItsVisitors, shopOf } from '../contract/intelligence.js';
import { startCluster } from '../support/cluster.js';
import { startDistance } from '../support/delay.js';
import { FaultyProxy } from '../support/proxy.js';
import { flavours, startServer } from '../support/servers.js';
import { Site } from '../support/site.js';
import { stall } from '../support/stall.js';
import { until } from '../support/until.js';
import { viewsOf } from '../support/views.js';
import { useRedis } from '../support/use-redis.js';

const NAMESPACE = 'local:';
const embedded = { worker: 'embedded', secret: 'test', namespace: NAMESPACE } as const;

for (const flavour of flavours)
  describe(`the intelligent session on ${flavour.name}, without a worker process`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    let sessions: IntelligentSession;
    let site: Site;

    before(async function () {
      redis = await startServer(this, flavour);
      client = new Redis(redis.url);
      sessions = intelligentSession({ ...embedded, redis: redis.url, timeout: 2000, combos });
      site = await Site.open(shopOf(sessions, express()));
    });
    after(async () => {
      await site?.close();
      await sessions?.close();
      client?.disconnect();
      await redis?.stop();
    });

    itKnowsItsVisitors(NAMESPACE, () => ({ client, sessions, site }));
  });

describe('the intelligent session on a Cluster, without a worker process', () => {
  let cluster: Awaited<ReturnType<typeof startCluster>>;
  let client: Cluster;
  let sessions: IntelligentSession;
  let site: Site;

  before(async function () {
    this.timeout(60_000);
    cluster = await startCluster(3);
    client = new Cluster([...cluster.nodes]);
    client.on('error', () => {});
    sessions = intelligentSession({ ...embedded, redis: client, timeout: 2000, combos });
    site = await Site.open(shopOf(sessions, express()));
  });
  after(async function () {
    this.timeout(60_000);
    await site?.close();
    await sessions?.close();
    client?.disconnect();
    await cluster?.stop();
  });

  itKnowsItsVisitors(NAMESPACE, () => ({ client, sessions, site }));

  it('a node that is frozen holds up its own sessions only, which keep their order', async function () {
    this.timeout(30_000);
    const { serving } = sessions;
    const nodeOf = (sid: string) => client.slots[calculateSlot(intelligenceKeys(NAMESPACE, sid).activity)]?.[0];
    const sids = Array.from({ length: 60 }, (_, i) => `node-${i}`);
    const server = await cluster.masterOf(intelligenceKeys(NAMESPACE, 'node-0').activity);
    const address = `127.0.0.1:${server.port}`;
    const view = (sid: string, page: string, timeout: number) =>
      serving.ask('pageview', sid, page, { ttlSeconds: 60, timeoutMs: timeout });
    for (const sid of sids) await view(sid, '/0', 2000);
    const stuck = sids.filter((sid) => nodeOf(sid) === address);
    const others = sids.filter((sid) => nodeOf(sid) !== address);
    expect(stuck.length).to.be.above(5);
    expect(others.length).to.be.above(5);
    process.kill(server.pid, 'SIGSTOP');
    const totals = new Map(stuck.map((sid) => [sid, [] as number[]]));
    let late: Promise<unknown>[] = [];
    try {
      late = stuck.flatMap((sid) =>
        ['/1', '/2', '/3'].map(async (page) => {
          const answer = await view(sid, page, 20_000);
          if (answer.answered) totals.get(sid)?.push((answer.data as { totalPages: number }).totalPages);
        }),
      );
      for (const page of ['/1', '/2', '/3'])
        for (const answer of await Promise.all(others.map((sid) => view(sid, page, 1000))))
          expect(answer).to.have.property('answered', true);
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await Promise.all(late);
    for (const sid of stuck) expect(totals.get(sid), sid).to.deep.equal([2, 3, 4]);
  });
});

describe('commands that the application carries out itself', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open = useRedis((started) => ({ redis, client } = started));
  const sessionsOf = (options: IntelligentSessionOptions = {}) => {
    const sessions = intelligentSession({ redis: redis.url, ...embedded, ...options });
    open.push(() => sessions.close());
    return sessions;
  };
  const executor = (options: IntelligentSessionOptions = {}) => sessionsOf(options).serving;
  const connections = async () =>
    String(await client.client('LIST'))
      .trim()
      .split('\n').length;
  const view = (serving: IntelligentSession['serving'], sid: string, page = '/a', timeout = 2000) =>
    serving.ask('pageview', sid, page, { ttlSeconds: 60, timeoutMs: timeout });

  it('cost a process two connections, the sessions’ among them, and the first request is answered', async () => {
    const before = await connections();
    const serving = executor();
    expect(await view(serving, 'one')).to.have.nested.property('data.totalPages', 1);
    expect(await connections()).to.equal(before + 2);
  });

  it('go in one script call a turn of the event loop, counted by Redis', async () => {
    const serving = executor();
    await view(serving, 'warm');
    const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);
    const before = await calls();
    await Promise.all(Array.from({ length: 64 }, (_, i) => view(serving, `sid-${i}`)));
    expect((await calls()) - before).to.be.at.most(4);
  });

  it('of one session keep their order, over batches and many of them', async () => {
    const serving = executor();
    const totals: number[] = [];
    const asked = [];
    for (let i = 0; i < 300; i++) {
      asked.push(
        view(serving, 'one', `/${i}`, 10_000).then((answer) => {
          if (answer.answered) totals.push((answer.data as { totalPages: number }).totalPages);
        }),
      );
      if (i % 50 === 0) await new Promise(setImmediate);
    }
    await Promise.all(asked);
    expect(totals).to.deep.equal(Array.from({ length: 300 }, (_, i) => i + 1));
  });

  it('a call whose answer was lost counts once, and who waits for its report gets it', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    open.push(() => proxy.close());
    const serving = executor({ redis: proxy.url });
    await view(serving, 'one', '/0');
    for (let i = 1; i <= 5; i++) {
      proxy.holdAnswers();
      const asked = view(serving, 'one', `/${i}`, 10_000);
      await until('Redis has counted it', async () => (await viewsOf(client, NAMESPACE, 'one')) === i + 1);
      proxy.cut();
      expect(await asked).to.have.nested.property('data.totalPages', i + 1);
      expect(await viewsOf(client, NAMESPACE, 'one')).to.equal(i + 1);
    }
  });

  it('what was asked before the server forgot the scripts, and after, keeps its order', async () => {
    const serving = executor();
    await view(serving, 'one', '/0');
    for (let round = 0; round < 10; round++) {
      await client.script('FLUSH');
      const before = await viewsOf(client, NAMESPACE, 'one');
      const totals = await Promise.all(
        Array.from({ length: 10 }, async (_, i) => {
          const answer = await view(serving, 'one', `/${round}/${i}`);
          return answer.answered ? (answer.data as { totalPages: number }).totalPages : undefined;
        }),
      );
      expect(totals).to.deep.equal(Array.from({ length: 10 }, (_, i) => before + i + 1));
    }
  });

  it('while Redis is away nobody waits, a bounded number is kept for maxWaitMs, and is counted when it is back', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    open.push(() => proxy.close());
    const serving = executor({ redis: proxy.url, maxWaitMs: 20_000 });
    await view(serving, 'one');
    proxy.refuses = true;
    proxy.cut();
    await until('it is lost', async () => {
      const degraded = once(serving, 'degraded');
      await view(serving, 'probe', '/a', 50);
      return (await degraded)[1] === 'redis';
    });
    const began = performance.now();
    for (let i = 0; i < 200; i++) expect(await view(serving, 'one', `/${i}`)).to.include({ answered: false });
    expect(performance.now() - began).to.be.below(500);
    serving.send('pageview', 'one', '/sent', { ttlSeconds: 60 });
    proxy.refuses = false;
    await until('all are counted', async () => (await viewsOf(client, NAMESPACE, 'one')) === 202);
  });

  it('a Redis that is 130 ms away, and a loop that stalls for a second, answer all', async () => {
    const far = await startDistance(redis.port, 130);
    open.push(() => far.stop());
    const serving = executor({ redis: far.url, maxWaitMs: 10_000 });
    const first = Array.from({ length: 8 }, (_, i) => view(serving, `sid-${i}`, '/a', 100));
    for (const answer of await Promise.all(first)) expect(answer).to.have.property('answered', true);
    const asked = view(serving, 'sid-0', '/b', 100);
    await new Promise(setImmediate);
    stall(1000);
    expect(await asked).to.have.nested.property('data.totalPages', 2);
  });

  it('an own command runs here, with what it throws told and its time bounded; one that nobody has is an error', async () => {
    const commands = {
      price: ({ payload }: { payload: string }) => ({ price: payload.length }),
      nothing: () => undefined,
      bad: () => {
        throw new Error('no price');
      },
      hangs: () => new Promise(() => {}),
      odd: () => {
        throw Object.create(null);
      },
    };
    const serving = executor({ commands, commandTimeoutMs: 100 });
    const faults: string[] = [];
    serving.on('fault', ({ message }) => faults.push(message));
    const ask = (command: string) => serving.ask(command, 'one', 'abc', { ttlSeconds: 60, timeoutMs: 2000 });
    expect(await ask('price')).to.deep.equal({ answered: true, data: { price: 3 } });
    expect(await ask('nothing')).to.deep.equal({ answered: true, data: null });
    for (const command of ['bad', 'odd', 'hangs', 'none']) expect(await ask(command)).to.include({ answered: false });
    expect(faults.join()).to.match(/no price.*threw what is no Error.*longer than 100 ms.*There is no command "none"/s);
  });

  it('a worker of its own may serve the same namespace at the same time', async () => {
    const worker = await createWorker({ redis: redis.url, namespace: NAMESPACE });
    open.push(() => worker.close());
    const other = intelligentSession({ redis: redis.url, secret: 'test', namespace: NAMESPACE, timeout: 2000 });
    open.push(() => other.close());
    const serving = executor();
    for (let i = 1; i < 10; i += 2) {
      expect(await view(serving, 'one', `/${i}`)).to.have.nested.property('data.totalPages', i);
      expect(await view(other.serving, 'one', `/${i}`)).to.have.nested.property('data.totalPages', i + 1);
    }
  });

  it('close() finishes what was sent', async () => {
    const sessions = sessionsOf();
    for (let i = 0; i < 500; i++) sessions.serving.send('pageview', 'one', `/${i}`, { ttlSeconds: 60 });
    await sessions.close();
    expect(await viewsOf(client, NAMESPACE, 'one')).to.equal(500);
  });

  it('an option that is of messages means nothing here, and one of the executor’s nothing to who sends messages', () => {
    const mistake = (options: IntelligentSessionOptions) => () => intelligentSession({ secret: 'x', ...options });
    for (const option of [{ transport: 'stream' }, { partitions: 4 }, { replies: 'list' }] as const)
      expect(mistake({ worker: 'embedded', ...option })).to.throw(Object.keys(option)[0] as string);
    for (const option of [{ bloom: 'module' }, { activityDays: 3 }, { commands: {} }] as const)
      expect(mistake(option)).to.throw(Object.keys(option)[0] as string);
  });
});
