import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect } from 'chai';
import express, { type NextFunction, type Request, type Response } from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSessionOptions,
  intelligentSession,
  RedisSessionStore,
} from '../../lib/index.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { Warnings } from '../support/warnings.js';

async function nobodysPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describe('Redis that is away, on the console', () => {
  const open: (() => unknown)[] = [];
  let warnings: Warnings;

  beforeEach(() => {
    warnings = new Warnings();
  });
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
    warnings.close();
  });

  const start = async (...args: string[]): Promise<PrivateRedis> => {
    const redis = await startPrivateRedis({ args });
    open.push(() => redis.stop());
    return redis;
  };
  const siteOf = async (options: IntelligentSessionOptions) => {
    const sessions = intelligentSession({ secret: 'x', maxWaitMs: 200, ...options });
    open.push(() => sessions.close());
    const app = express().use(sessions);
    app.get('/', (req, res) => void res.json({ session: req.session !== undefined }));
    app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
      res.sendStatus(error.status ?? 500);
    });
    const site = await Site.open(app);
    open.push(() => site.close());
    return { sessions, visitor: new Visitor(site.url) };
  };

  it('is one line that says where, why and what happens now; and one when it is back', async () => {
    const port = await nobodysPort();
    const { visitor } = await siteOf({ redis: `redis://127.0.0.1:${port}` });
    await until('it is told', () => warnings.of('REDIS_AWAY').length > 0);
    for (let i = 0; i < 3; i++) expect(await visitor.json('/')).to.deep.equal({ session: false });
    const [line] = warnings.of('REDIS_AWAY');
    expect(line).to.match(
      new RegExp(`No connection to Redis at 127\\.0\\.0\\.1:${port}: connect ECONNREFUSED.* without a session`),
    );
    expect(line).to.contain("whenAway: 'pass'").and.to.contain('docs/errors.md#intelligent_session_redis_away');
    const redis = await startPrivateRedis({ port });
    open.push(() => redis.stop());
    await until('it is told', () => warnings.of('REDIS_BACK').length > 0);
    expect(warnings.of('REDIS_BACK')[0]).to.contain(`127.0.0.1:${port} is there again`);
    await until('pages have a session', async () => (await visitor.json('/')).session);
    // that there is no worker may be told by now
    const told = warnings.codes.filter((code) => code !== 'INTELLIGENT_SESSION_NO_WORKER');
    expect(told).to.deep.equal(['INTELLIGENT_SESSION_REDIS_AWAY', 'INTELLIGENT_SESSION_REDIS_BACK']);
  });

  for (const [what, url, reason] of [
    ['a wrong password', (to: string) => to.replace('//', '//:letmein@'), /WRONGPASS/],
    ['a password that is missing', (to: string) => to, /NOAUTH/],
    ['a user that is not there', (to: string) => to.replace('//', '//shopkeeper:letmein@'), /WRONGPASS/],
  ] as const)
    it(`${what} is one line with the reason, and without the password`, async () => {
      const redis = await start('--requirepass', 'right-one');
      const { visitor } = await siteOf({ redis: url(redis.url) });
      await visitor.json('/');
      await until('it is told', () => warnings.of('REDIS_AWAY').length > 0);
      expect(warnings.of('REDIS_AWAY').join()).to.match(reason).and.contain(`127.0.0.1:${redis.port}`);
      expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_REDIS_AWAY']);
      expect(warnings.of('REDIS_AWAY').join()).to.not.match(/letmein|right-one/);
    });

  it('is told by the intelligence where the sessions are kept elsewhere', async () => {
    const redis = `redis://127.0.0.1:${await nobodysPort()}`;
    const { visitor } = await siteOf({ redis, store: new session.MemoryStore() });
    expect(await visitor.json('/')).to.deep.equal({ session: true });
    await until('it is told', () => warnings.of('REDIS_AWAY').length > 0);
    expect(warnings.of('REDIS_AWAY')[0]).to.contain('without what is known of their visitors');
    expect(warnings.codes).to.have.length(1);
  });

  it('is no line where the application listens to "away"', async () => {
    const store = new RedisSessionStore({ url: `redis://127.0.0.1:${await nobodysPort()}`, maxWaitMs: 50 });
    open.push(() => store.close());
    const [reason] = await once(store, 'away');
    expect(reason).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
    await new Promise(setImmediate);
    expect(warnings.codes).to.deep.equal([]);
  });

  for (const whenAway of ['pass', 'error'] as const)
    it(`whenAway: '${whenAway}' emits away and back, and ${whenAway === 'pass' ? '' : 'not '}disconnect`, async () => {
      const port = await nobodysPort();
      const store = new RedisSessionStore({ url: `redis://127.0.0.1:${port}`, maxWaitMs: 50, whenAway });
      open.push(() => store.close());
      const told: string[] = [];
      for (const event of ['away', 'back', 'disconnect']) store.on(event, () => told.push(event));
      await once(store, 'away');
      const redis = await startPrivateRedis({ port });
      open.push(() => redis.stop());
      await once(store, 'back');
      expect(told).to.deep.equal(whenAway === 'pass' ? ['away', 'disconnect', 'back'] : ['away', 'back']);
    });

  it("says that pages fail, with whenAway: 'error'", async () => {
    const store = new RedisSessionStore({
      url: `redis://127.0.0.1:${await nobodysPort()}`,
      maxWaitMs: 50,
      whenAway: 'error',
    });
    open.push(() => store.close());
    await until('it is told', () => warnings.of('REDIS_AWAY').length > 0);
    expect(warnings.of('REDIS_AWAY')[0]).to.contain('status 503');
  });

  it('a fault of a Redis that is there is told once where nobody listens, whichever connection it is on', async () => {
    const redis = await start();
    const client = new Redis(redis.url);
    open.push(() => client.disconnect());
    await client.call('ACL', 'SETUSER', 'shop', 'on', '>x', '~*', '&*', '+@all', '-@blocking');
    const { sessions, visitor } = await siteOf({ redis: redis.url.replace('//', '//shop:x@') });
    for (let i = 0; i < 3; i++) await visitor.json('/');
    await until('it is told', () => warnings.of('FAULT').length > 0);
    const heard: string[] = [];
    sessions.serving.on('fault', ({ message }) => heard.push(message));
    const connections = async () => Number(/total_connections_received:(\d+)/.exec(await client.info('stats'))?.[1]);
    const before = await connections();
    await until('it was tried some times', async () => (await connections()) > before + 4);
    expect(heard, 'once, until it is otherwise').to.deep.equal([]);
    expect(warnings.of('FAULT').filter((text) => /NOPERM.*blm?pop/i.test(text))).to.have.length(1);
  });

  it('a subscription that Redis refuses is one fault, however often it is tried', async () => {
    const redis = await start();
    const client = new Redis(redis.url);
    open.push(() => client.disconnect());
    await client.call('ACL', 'SETUSER', 'shop', 'on', '>x', '~*', '+@all', 'resetchannels');
    const store = new RedisSessionStore({ url: redis.url.replace('//', '//shop:x@'), expiredEvents: true });
    open.push(() => store.close());
    const faults: string[] = [];
    store.on('fault', ({ message }) => faults.push(message));
    const connections = async () => Number(/total_connections_received:(\d+)/.exec(await client.info('stats'))?.[1]);
    await until('it was tried some times', async () => (await connections()) > 6);
    expect(faults).to.have.length(1);
    expect(faults[0]).to.match(/NOPERM/);
  });

  for (const [what, path, rules, reason] of [
    ['that is not there', '/99', [], /DB index is out of range/],
    ['that the account may not select', '/1', ['-select'], /NOPERM.*select/],
  ] as const)
    it(`a database ${what} is told, and nothing is written to another one`, async () => {
      const redis = await start();
      const client = new Redis(redis.url);
      open.push(() => client.disconnect());
      await client.call('ACL', 'SETUSER', 'shop', 'on', '>x', '~*', '&*', '+@all', ...rules);
      const { visitor } = await siteOf({ redis: redis.url.replace('//', '//shop:x@') + path });
      await until('it is told', () => warnings.of('REDIS_AWAY').length > 0);
      expect(warnings.of('REDIS_AWAY')[0]).to.match(reason);
      expect(warnings.of('FAULT'), 'one line').to.deep.equal([]);
      expect(await visitor.json('/')).to.deep.equal({ session: false });
      expect(await client.dbsize()).to.equal(0);
    });

  it('what answers and is no Redis is told', async () => {
    const site = await Site.open(express());
    open.push(() => site.close());
    await siteOf({ redis: site.url.replace('http:', 'redis:') });
    await until('it is told', () => warnings.of('REDIS_AWAY').length > 0);
    expect(warnings.of('REDIS_AWAY')[0]).to.match(/what answers there is no Redis|closed before it was ready/);
  });

  it('a worker says when Redis is away and when it is back: by its log, or on the console', async () => {
    const redis = await startPrivateRedis();
    const said: string[] = [];
    const log = { info: (line: string) => said.push(line), warn: (line: string) => said.push(line) };
    const workers = [await createWorker({ redis: redis.url, log }), await createWorker({ redis: redis.url })];
    open.push(() => Promise.all(workers.map((worker) => worker.close())));
    await redis.stop();
    await until('both tell', () => said.length > 1 && warnings.of('REDIS_AWAY').length > 0);
    expect(said.join()).to.match(/No connection to Redis at .* no message is worked on/);
    const back = await startPrivateRedis({ port: redis.port });
    open.push(() => back.stop());
    await until('both tell', () => /is there again/.test(said.join()) && warnings.of('REDIS_BACK').length > 0);
    expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_REDIS_AWAY', 'INTELLIGENT_SESSION_REDIS_BACK']);
  });

  it('an embedded worker leaves that to the store: one line', async () => {
    const redis = await startPrivateRedis();
    const { sessions } = await siteOf({ redis: redis.url, worker: 'embedded' });
    await until(
      'its worker answers',
      async () => (await sessions.serving.ask('pageview', 'a', '/', { ttlSeconds: 60, timeoutMs: 500 })).answered,
    );
    const back = new Promise((resolve) => sessions.serving.once('back', () => resolve(undefined)));
    await redis.stop();
    await until('it is told', () => warnings.of('REDIS_AWAY').length > 0);
    const again = await startPrivateRedis({ port: redis.port });
    open.push(() => again.stop());
    await back;
    await until('it is told', () => warnings.of('REDIS_BACK').length > 0);
    expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_REDIS_AWAY', 'INTELLIGENT_SESSION_REDIS_BACK']);
  });

  it('an account without INFO works, and nothing is written on its connections', async () => {
    const redis = await start();
    const client = new Redis(redis.url);
    open.push(() => client.disconnect());
    await client.call('ACL', 'SETUSER', 'shop', 'on', '>x', '~*', '&*', '+@all', '-info');
    const written: unknown[] = [];
    const { warn } = console;
    console.warn = (...args: unknown[]) => void written.push(args);
    open.push(() => {
      console.warn = warn;
    });
    const { sessions, visitor } = await siteOf({ redis: redis.url.replace('//', '//shop:x@'), worker: 'embedded' });
    expect(await visitor.json('/')).to.deep.equal({ session: true });
    await until('its worker answers', async () => {
      const answer = await sessions.serving.ask('pageview', 'someone', '/', { ttlSeconds: 60, timeoutMs: 1_000 });
      return answer.answered;
    });
    expect(written).to.deep.equal([]);
  });
});
