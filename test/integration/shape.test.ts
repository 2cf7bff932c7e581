import { expect } from 'chai';
import express from 'express';
import { Cluster, Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  type Worker,
  type WorkerOptions,
} from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { shapeKey } from '../../lib/redis/keys.js';
import { startCluster } from '../support/cluster.js';
import { RawVisitor } from '../support/requests.js';
import { Site } from '../support/site.js';
import { until } from '../support/until.js';
import { Warnings } from '../support/warnings.js';

const NS = 'shape:';
const KEY = shapeKey(NS);
const VERSION = 'ERR_INTELLIGENT_SESSION_VERSION';
const SECRET = 'an item secret of the tests';
const defaults = { version: '1', activityDays: '7', errorRate: '0.01', capacity: '100', expansion: '2' };
const log = { info() {}, warn() {} };

describe('the shape of what a namespace stores', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let warnings: Warnings;
  const workers: Worker[] = [];
  const embedded: IntelligentSession[] = [];
  const sites: Site[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  beforeEach(async () => {
    await client.flushall();
    warnings = new Warnings();
  });
  afterEach(async () => {
    warnings.close();
    for (const site of sites.splice(0)) await site.close();
    for (const one of [...workers.splice(0), ...embedded.splice(0)]) await one.close();
  });
  after(async () => {
    client?.disconnect();
    await redis?.stop();
  });

  async function worker(options: WorkerOptions = {}): Promise<Worker> {
    const one = await createWorker({ redis: redis.url, namespace: NS, log, ...options });
    workers.push(one);
    return one;
  }
  function site(options: IntelligentSessionOptions = {}): IntelligentSession {
    const one = intelligentSession({ redis: redis.url, namespace: NS, secret: 'test', worker: 'embedded', ...options });
    embedded.push(one);
    return one;
  }
  const ask = (sessions: IntelligentSession, command: string, sid: string, payload: string) =>
    sessions.serving.ask(command, sid, payload, { ttlSeconds: 3600, timeoutMs: 5000 }) as Promise<{
      answered: boolean;
      data?: any;
    }>;
  const told = () => until('it is told', () => warnings.of('SHAPE').length > 0);

  it('is the first process’, and has no expiry', async () => {
    await worker();
    expect(await client.hgetall(KEY)).to.deep.equal(defaults);
    expect(await client.pttl(KEY)).to.equal(-1);
    await worker();
    expect(await ask(site(), 'pageview', 'sid', '/')).to.have.nested.property('data.totalPages', 1);
    expect(warnings.of('SHAPE')).to.deep.equal([]);
  });

  for (const later of ['a worker', 'an embedded site'] as const)
    it(`${later} with other options warns once, says what to do, and uses what is stored`, async () => {
      const first = site({ activityDays: 30, capacity: 50 });
      await ask(first, 'pageview', 'sid', '/');
      const { activity, visited } = intelligenceKeys(NS, 'sid');
      // the ring of somebody who has come for twenty-one days
      const today = (await client.getrangeBuffer(activity, 1, 4)).readUInt32LE(0);
      const days = Buffer.alloc(4);
      days.writeUInt32LE(today - 20);
      await client.setrange(activity, 1, days);
      await client.setrange(activity, 208 + 21 * 180 - 1, '\x01');
      await first.close();
      let other: IntelligentSession;
      if (later === 'a worker') {
        await worker({ activityDays: 3, errorRate: 0.001, capacity: 1000, expansion: 4 });
        other = site({ worker: 'external', timeout: 5000 });
      } else other = site({ activityDays: 3, errorRate: 0.001, capacity: 1000, expansion: 4 });
      expect(await ask(other, 'pageview', 'sid', '/')).to.have.nested.property('data.totalPages', 2);
      expect(await client.strlen(activity), 'the ring is not remade').to.equal(208 + 21 * 180);
      const minutes = 30 * 1440;
      const { data } = await ask(other, 'activity', 'sid', String(minutes));
      expect(data).to.have.lengthOf(minutes);
      expect(await ask(other, 'pageview', 'new', '/')).to.have.property('answered', true);
      expect(await client.strlen(intelligenceKeys(NS, 'new').visited)).to.equal(await client.strlen(visited));
      await told();
      const [message, ...more] = warnings.of('SHAPE');
      expect(more).to.deep.equal([]);
      expect(message)
        .to.contain('"activityDays" is 3 here and 30 there')
        .and.contain('"errorRate" is 0.001 here and 0.01 there')
        .and.contain('"capacity" is 1000 here and 50 there')
        .and.contain('"expansion" is 4 here and 2 there')
        .and.contain(`delete the key "${KEY}"`);
      expect(await client.hgetall(KEY)).to.include({ activityDays: '30', capacity: '50' });
    });

  it('is one where many start at once with options of their own', async () => {
    const all = [1, 2, 3, 4, 5, 6, 7, 8];
    await Promise.all(all.map((activityDays) => worker({ activityDays })));
    await until('all others warn', () => warnings.of('SHAPE').length === all.length - 1);
    const { activityDays } = await client.hgetall(KEY);
    for (const message of warnings.of('SHAPE')) expect(message).to.contain(`here and ${activityDays} there`);
  });

  it('is one in a Cluster, too', async function () {
    this.timeout(60_000);
    const cluster = await startCluster(3);
    const of = new Cluster([...cluster.nodes]);
    try {
      const two = await Promise.all([worker({ redis: of, activityDays: 2 }), worker({ redis: of, activityDays: 3 })]);
      await told();
      expect(warnings.of('SHAPE')).to.have.lengthOf(1);
      expect(await of.hget(KEY, 'activityDays')).to.be.oneOf(['2', '3']);
      for (const one of two) await one.close();
    } finally {
      of.disconnect();
      await cluster.stop();
    }
  });

  it('is there again, as it was, where the database is emptied while a process runs', async () => {
    const sessions = site({ activityDays: 30 });
    await ask(sessions, 'pageview', 'sid', '/');
    await client.flushall();
    expect(await ask(sessions, 'pageview', 'sid', '/')).to.have.nested.property('data.totalPages', 1);
    await until('it is stored again', async () => (await client.hget(KEY, 'activityDays')) === '30');
    expect(warnings.of('SHAPE')).to.deep.equal([]);
  });

  it('that a later version stores while a process runs is a coded fault, told once, and stays as it is', async function () {
    this.timeout(60_000);
    const sessions = site();
    const faults: Error[] = [];
    const one = await worker();
    one.on('fault', (error) => faults.push(error));
    sessions.serving.on('fault', (error) => faults.push(error));
    await ask(sessions, 'pageview', 'sid', '/');
    await client.hset(KEY, 'version', '2');
    const dump = await client.dumpBuffer(KEY);
    await until('both tell it', () => faults.length === 2, 20_000);
    // each reads every five seconds, and has nothing new to say
    const readings = async () => Number(/cmdstat_hgetall:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]);
    const before = await readings();
    await until('both have read again', async () => (await readings()) >= before + 2, 20_000);
    expect(await client.dumpBuffer(KEY)).to.deep.equal(dump);
    expect(faults.map((error) => (error as { code?: string }).code)).to.deep.equal([VERSION, VERSION]);
    for (const { message } of faults) expect(message).to.contain(KEY);
    expect(await ask(sessions, 'pageview', 'sid', '/')).to.have.nested.property('data.totalPages', 2);
  });

  it('warns who has no itemSecret where others have one, if it would key pages itself', async () => {
    await worker();
    await worker({ itemSecret: SECRET });
    await worker();
    expect(await client.hgetall(KEY)).to.deep.equal(defaults);
    expect(warnings.of('SHAPE')).to.deep.equal([]);
    await worker({ combos: [{ name: 'tv', pages: ['/tv'] }] });
    await ask(site(), 'pageview', 'sid', '/');
    await until('two are told', () => warnings.of('SHAPE').length === 2);
    for (const message of warnings.of('SHAPE')) expect(message).to.contain('"itemSecret" is missing here');
  });

  const unreadable: Record<string, () => Promise<unknown>> = {
    'of a later version': () => client.hset(KEY, { ...defaults, version: '2' }),
    'of no version': () => client.hset(KEY, { activityDays: '7' }),
    'with a damaged number': () => client.hset(KEY, { ...defaults, capacity: 'many' }),
    'with 10,000 days': () => client.hset(KEY, { ...defaults, activityDays: '10000' }),
    'that is no hash': () => client.set(KEY, 'x'),
  };
  for (const [name, store] of Object.entries(unreadable))
    it(`one ${name}: a worker does not start, an embedded site goes on without insight until it is gone`, async () => {
      await store();
      const dump = await client.dumpBuffer(KEY);
      const error = await worker({ itemSecret: SECRET }).catch((cause) => cause);
      expect(error).to.have.property('code', VERSION);
      expect(error.message).to.contain(KEY);

      const sessions = site({ itemSecret: SECRET, maxWaitMs: 600_000, timeout: 5000 });
      const app = express();
      app.use(sessions);
      app.get('/', async (req, res) => {
        const session = req.session as { count?: number };
        session.count = (session.count ?? 0) + 1;
        const report = await req.intelligence.pageview();
        res.json({ count: session.count, pages: report?.totalPages ?? null });
      });
      const opened = await Site.open(app);
      sites.push(opened);
      const visitor = new RawVisitor(opened);
      expect(await visitor.json('/')).to.deep.equal({ count: 1, pages: null });
      expect(await visitor.json('/')).to.deep.equal({ count: 2, pages: null });
      await until('a line is told', () => warnings.of('FAULT').length > 0);
      expect(warnings.of('FAULT'), warnings.of('FAULT').join()).to.have.lengthOf(1);
      expect(warnings.of('FAULT')[0]).to.contain(VERSION).and.contain(KEY);
      expect(await client.dumpBuffer(KEY)).to.deep.equal(dump);

      await client.del(KEY);
      await until('there is insight', async () => (await visitor.json('/')).pages !== null);
      expect(await client.hgetall(KEY)).to.include(defaults);
    });
});
