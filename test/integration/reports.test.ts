import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, IncomingMessage, type ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  OptionError,
  RedisSessionStore,
} from '../../lib/index.js';
import { targetOfUrls } from '../../lib/redis/target-of-urls.js';
import { allowDebug } from '../support/servers.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';

/** What went wrong elsewhere, as public reports tell it: tried here, each on a real Redis. */
describe('what others reported', () => {
  const closing: (() => unknown)[] = [];
  /** what `fault` told of the site's store, its serving layer and its worker */
  let faults: string[] = [];

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const start = async (...args: string[]): Promise<PrivateRedis> => {
    const redis = await startPrivateRedis({ args });
    closing.push(() => redis.stop());
    return redis;
  };

  const connect = (redis: PrivateRedis): Redis => {
    const client = new Redis(redis.url);
    closing.push(() => client.disconnect());
    return client;
  };

  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'reports-'));
    closing.push(() => rmSync(path, { recursive: true, force: true }));
    return path;
  };

  const sessionsOf = (options: IntelligentSessionOptions): IntelligentSession => {
    const sessions = intelligentSession({ secret: 'test', ...options });
    closing.push(() => sessions.close());
    sessions.serving.on('fault', (error) => faults.push(`serving: ${error.message}`));
    sessions.store.on('fault', (error: Error) => faults.push(`store: ${error.message}`));
    return sessions;
  };

  /** GET /count counts in the session and saves it; GET /out ends it; any other tells what is there. */
  const open = async (options: IntelligentSessionOptions, more: (app: Express) => void = () => {}) => {
    faults = [];
    const sessions = sessionsOf(options);
    const app = express();
    app.use(sessions);
    more(app);
    app.get('/count', (req, res, next) => {
      const session = req.session as unknown as { count?: number };
      session.count = (session.count ?? 0) + 1;
      req.session.save((error) => (error ? next(error) : res.json({ count: session.count })));
    });
    app.get('/out', (req, res, next) => {
      req.session.destroy((error) => (error ? next(error) : res.json({ out: true })));
    });
    app.get('/{*any}', async (req, res) => {
      const report = await req.intelligence.pageview();
      res.json({ session: req.session, total: report?.totalPages, degraded: req.intelligence.degraded });
    });
    app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
      res.status(error.status ?? 500).json({ error: error.message });
    });
    const site = await Site.open(app);
    closing.push(() => site.close());
    return { sessions, site, visitor: new Visitor(site.url) };
  };

  const worked = (visitor: Visitor) => until('the worker answers', async () => (await visitor.json('/')).total > 0);

  // socketio/socket.io#3933, websockets/ws#326
  for (const [name, response] of [
    ['no methods at all, as in the examples of socket.io and ws', {}],
    [
      'a few methods, as engine.use() of socket.io gives it',
      Object.fromEntries(
        ['setHeader', 'getHeader', 'removeHeader', 'write', 'writeHead', 'end'].map((method) => [method, () => {}]),
      ),
    ],
  ] as const)
    it(`gives a WebSocket's handshake its visitor's session, its response having ${name}`, async () => {
      const { sessions, visitor } = await open({ redis: (await start()).url });
      await visitor.json('/count');
      const req = Object.assign(new IncomingMessage(new Socket()), { method: 'GET', url: '/socket.io/' }) as Request;
      req.headers = { cookie: visitor.cookie };
      await new Promise<void>((resolve, reject) => {
        sessions(req, response as ServerResponse as Response, (error) => (error ? reject(error) : resolve()));
      });
      expect(req.session).to.have.property('count', 1);
      Object.assign(req.session, { count: 7 });
      await new Promise<void>((resolve, reject) => {
        req.session.save((error) => (error ? reject(error) : resolve()));
      });
      expect((await visitor.json('/')).session.count).to.equal(7);
      const started = performance.now();
      await sessions.close();
      expect(performance.now() - started).to.be.below(2_000); // nobody waits for its response
    });

  // expressjs/session#613
  it('two middlewares, each with a cookie path of its own, make their sessions, and count a page once', async () => {
    const redis = await start();
    const admin = sessionsOf({ redis: redis.url, session: { name: 'admin', cookie: { path: '/admin' } } });
    const shop = sessionsOf({ redis: redis.url, session: { name: 'shop' }, worker: 'embedded' });
    const app = express();
    app.use(admin, shop, shop);
    app.get('/total', async (req, res) => void res.json({ total: (await req.intelligence.pageview())?.totalPages }));
    app.get('/{*any}', (req, res) => void res.json({ path: req.session?.cookie.path }));
    const site = await Site.open(app);
    closing.push(() => site.close());
    const visitor = new Visitor(site.url);
    const total = async () => (await visitor.json('/total')).total;
    await until('the worker answers', async () => (await total()) > 0);
    const before = await total();
    expect(await visitor.json('/')).to.deep.equal({ path: '/' });
    expect(await total()).to.equal(before + 2);
    expect(await new Visitor(site.url).json('/admin/users')).to.deep.equal({ path: '/admin' });
  });

  for (const [name, args, url, reason] of [
    // redis/ioredis#164
    ['a wrong password', ['--requirepass', 'right'], (to: string) => to.replace('//', '//:wrong@'), /WRONGPASS/],
    // envoyproxy/envoy#8328, redis/ioredis#780
    ['a proxy without INFO', ['--rename-command', 'INFO', ''], (to: string) => to, /unknown command.*INFO/i],
    // redis/ioredis#1348
    ['too many clients', ['--maxclients', '1'], (to: string) => to, /too many clients|ECONNRESET|EPIPE/],
  ] as const)
    it(`${name} is told by the store and by the serving layer, each once`, async () => {
      const redis = await start(...args);
      if (args[0] === '--maxclients') await connect(redis).config('GET', 'port');
      const { sessions } = await open({ redis: url(redis.url) });
      let attempts = 0;
      (sessions.store as RedisSessionStore).client.on('close', () => attempts++);
      await until('it was tried some times', () => attempts > 4);
      for (const who of ['store', 'serving'])
        await until(`${who} tells it`, () => faults.some((fault) => fault.startsWith(who) && reason.test(fault)));
      expect([...new Set(faults)]).to.deep.equal(faults);
      expect(faults.join()).to.not.include('wrong');
    });

  // envoyproxy/envoy#8328
  it('works behind a proxy without INFO, where enableReadyCheck is false', async () => {
    const { port } = await start('--rename-command', 'INFO', '');
    const { visitor } = await open({ redis: { port, enableReadyCheck: false }, worker: 'embedded' });
    await worked(visitor);
    expect(await visitor.json('/count')).to.deep.equal({ count: 1 });
  });

  // redis/redis-py#4089 (HELLO), redis/ioredis#284 (CLIENT)
  for (const command of ['HELLO', 'CLIENT'])
    it(`works where there is no ${command}`, async () => {
      const redis = await start('--rename-command', command, '');
      const { visitor } = await open({ redis: redis.url, worker: 'embedded' });
      await worked(visitor);
      expect(await visitor.json('/count')).to.deep.equal({ count: 1 });
    });

  // redis/ioredis#1944, redis/ioredis#380
  it('takes a password with special characters, encoded; else it says what to do, without the password', async () => {
    const password = 'a/b+c=d%e#';
    const redis = await start('--requirepass', password);
    const at = (text: string) => redis.url.replace('//', `//:${text}@`);
    const store = new RedisSessionStore({ url: at(encodeURIComponent(password)) });
    closing.push(() => store.close());
    expect(await store.length()).to.equal(0);
    for (const url of [at(password), at('a%zz')]) {
      for (const act of [() => new RedisSessionStore({ url }), () => targetOfUrls(url, { sentinel: 'shop' })])
        expect(act)
          .to.throw(OptionError, /encodeURIComponent/)
          .and.not.have.property('input');
    }
  });

  // redis/node-redis#2734
  it('takes an IPv6 address, also of a Sentinel', async () => {
    const redis = await start('--bind', '::1');
    const store = new RedisSessionStore({ url: `redis://[::1]:${redis.port}` });
    closing.push(() => store.close());
    expect(await store.length()).to.equal(0);
    const place = targetOfUrls('redis://[::1]:26379', { sentinel: 'shop' });
    expect(place).to.deep.include({ sentinels: [{ host: '::1', port: 26379 }] });
  });

  // socketio/socket.io#1169
  it('takes a socket in the file system, by its path or as unix://', async () => {
    const path = join(folder(), 'redis.sock');
    await start('--unixsocket', path);
    for (const url of [path, `unix://${path}`]) {
      const store = new RedisSessionStore({ url });
      closing.push(() => store.close());
      expect(await store.length()).to.equal(0);
    }
  });

  // cuttle-cards/cuttle#1365, redis/node-redis#641
  it('a Redis that is full: pages go on, a change is an error, a visitor who is there stays, a logout is done', async () => {
    const redis = await start('--maxmemory-policy', 'noeviction');
    const client = connect(redis);
    const options = { store: { touchAfter: 0 }, session: { cookie: { maxAge: 100_000 } } };
    const { visitor, site } = await open({ redis: redis.url, ...options });
    await visitor.json('/count');
    const [key = ''] = await client.keys('sess:*');
    await client.config('SET', 'maxmemory', '1');
    await client.pexpire(key, 10_000);
    expect((await visitor.json('/')).session.count).to.equal(1);
    await until('its end is moved', async () => (await client.pttl(key)) > 50_000);
    expect((await visitor.json('/count')).error).to.match(/OOM/);
    expect((await new Visitor(site.url).fetch('/')).status).to.equal(200);
    expect(faults.join()).to.match(/OOM/);
    expect(await visitor.json('/out')).to.deep.equal({ out: true });
    expect(await client.exists(key)).to.equal(0);
    await client.config('SET', 'maxmemory', '0');
    expect(await visitor.json('/count')).to.deep.equal({ count: 1 });
  });

  // airqo-platform/AirQo-api#201, Volafile/volafile-bugs#131
  it('a Redis whose disk is full: pages read, a change and a logout are errors, and afterwards all is well', async () => {
    const path = folder();
    const redis = await start('--dir', path, '--save', '3600', '1');
    const client = connect(redis);
    const { visitor } = await open({ redis: redis.url });
    await visitor.json('/count');
    rmSync(path, { recursive: true });
    await client.bgsave();
    await until('it can not save', async () => (await client.info('persistence')).includes('bgsave_status:err'));
    expect((await visitor.json('/')).session.count).to.equal(1);
    for (const page of ['/count', '/out']) expect((await visitor.json(page)).error).to.match(/MISCONF/);
    await client.config('SET', 'stop-writes-on-bgsave-error', 'no');
    await client.config('SET', 'save', ''); // or it would not stop
    expect(await visitor.json('/count')).to.deep.equal({ count: 2 });
  });

  // taskforcesh/bullmq#265
  it('a Redis that is busy with a script: an error at once, and afterwards all is well', async () => {
    const redis = await start('--lua-time-limit', '20');
    const [client, killer] = [connect(redis), connect(redis)];
    await killer.ping();
    const { visitor } = await open({ redis: redis.url });
    await visitor.json('/count');
    const running = client.eval('while true do end', 0).catch((error: Error) => error.message);
    await until('it says so', () =>
      killer.ping().then(
        () => false,
        (error) => /^BUSY/.test(error.message),
      ),
    );
    expect((await visitor.json('/count')).error).to.match(/BUSY/);
    await killer.script('KILL');
    await running;
    expect(await visitor.json('/count')).to.deep.equal({ count: 2 });
  });

  // redis/ioredis#358, redis/ioredis#1015
  it('a Redis that is loading its data after a restart: no page sees LOADING, and it is back when it is done', async () => {
    const path = folder();
    let redis = await start('--dir', path, ...allowDebug());
    const client = connect(redis);
    client.on('error', () => {});
    const { visitor } = await open({ redis: redis.url });
    await visitor.json('/count');
    await client.call('DEBUG', 'POPULATE', '30000');
    await client.save();
    await redis.stop();
    redis = await startPrivateRedis({ port: redis.port, args: ['--dir', path, '--key-load-delay', '50'] });
    closing.push(() => redis.stop());
    const seen: string[] = [];
    await until('the visitor is back', async () => {
      const response = await visitor.fetch('/');
      const { session, error } = (await response.json()) as { session?: { count?: number }; error?: string };
      if (error !== undefined) seen.push(error);
      return session?.count === 1;
    });
    expect(seen.filter((error) => error.includes('LOADING'))).to.deep.equal([]);
  });

  // taskforcesh/bullmq#3351
  it('an ACL without scripts: what was refused is named, in the page’s error and by `fault`', async () => {
    const redis = await start();
    await connect(redis).call('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '&*', '+@all', '-@scripting');
    const { visitor } = await open({ redis: redis.url.replace('//', '//app:pw@') });
    await visitor.json('/');
    const { error } = await visitor.json('/count');
    expect(error).to.match(/NOPERM.*evalsha/);
    expect(faults.join()).to.match(/NOPERM.*evalsha/);
  });

  // oauth2-proxy/oauth2-proxy#1658
  it('a replica given as the client: it is told, and when it is promoted all is well', async () => {
    const master = await start();
    const redis = await start('--replicaof', '127.0.0.1', String(master.port));
    const client = connect(redis);
    const { visitor } = await open({ redis: redis.url });
    await visitor.fetch('/');
    await until('it is told', () => faults.some((message) => /READONLY/.test(message)));
    await client.replicaof('NO', 'ONE');
    await until('a change is saved', async () => (await visitor.json('/count')).count > 0);
  });

  // taskforcesh/bullmq#135, tj/connect-redis#220, redis/ioredis#2030
  it('many stores of one client, and many lost connections, leave no listeners behind', async () => {
    const redis = await start();
    const client = connect(redis);
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on('warning', warn);
    closing.push(() => process.off('warning', warn));
    for (let i = 0; i < 12; i++) {
      const store = new RedisSessionStore({ client });
      closing.push(() => store.close());
    }
    const { sessions, visitor, site } = await open({ redis: client, store: { nearCache: {}, expiredEvents: true } });
    const { client: own } = sessions.store as RedisSessionStore;
    await visitor.json('/count');
    const listeners = () => own.eventNames().map((name) => [name, own.listenerCount(name)]);
    const before = listeners();
    for (let i = 0; i < 12; i++) {
      const lost = new Promise((resolve) => own.once('close', resolve)); // events.once() rejects at an error before it
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await lost;
      await Promise.all(Array.from({ length: 20 }, () => new Visitor(site.url).fetch('/')));
      await until('it is back', () => own.status === 'ready');
    }
    expect(listeners()).to.deep.equal(before);
    // a reconnection may take longer than 250 ms on a busy machine, and is told then
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).to.deep.equal([]);
  });

  // redis/ioredis#1722 (a client that was ended); the other states are its siblings
  it('a client that subscribes, monitors, has ended or was never connected is duplicated all the same', async () => {
    const redis = await start();
    const [subscriber, ended, base] = [connect(redis), connect(redis), connect(redis)];
    await subscriber.subscribe('news');
    await ended.quit();
    const monitor = await base.monitor();
    closing.push(() => monitor.disconnect());
    const waiting = new Redis(redis.url, { lazyConnect: true });
    for (const client of [subscriber, ended, monitor, waiting]) {
      const { status } = client;
      const store = new RedisSessionStore({ client });
      closing.push(() => store.close());
      expect(await store.length()).to.equal(0);
      expect(client.status).to.equal(status);
    }
  });

  // expressjs/session#281, expressjs/session#165
  it('a secure cookie that a proxy’s https would need, while nobody trusts it, is told once; trusted, it is set', async () => {
    const redis = await start();
    const warnings: string[] = [];
    const warn = ({ code = '' }: Error & { code?: string }) => /SECURE/.test(code) && warnings.push(code);
    process.on('warning', warn);
    closing.push(() => process.off('warning', warn));
    const options = { redis: redis.url, session: { cookie: { secure: true } } };
    const headers = { 'x-forwarded-proto': 'https' };
    const trusted = await open(options, (app) => app.set('trust proxy', 1));
    await trusted.visitor.fetch('/', { headers });
    expect(trusted.visitor.cookie).to.not.equal('');
    expect(warnings).to.deep.equal([]);
    const { visitor } = await open(options);
    await visitor.fetch('/', { headers });
    await visitor.fetch('/', { headers });
    await until('it is told', () => warnings.length > 0);
    expect(visitor.cookie).to.equal('');
    expect(warnings).to.deep.equal(['INTELLIGENT_SESSION_SECURE_COOKIE']);
  });

  // expressjs/session#75 (HEAD, end(null)), #218 and #704 (write before end), #477 (end's callback)
  it('HEAD, a body in pieces, end(null) and end(callback) are answered, and their sessions saved', async () => {
    const redis = await start();
    const called: string[] = [];
    const { visitor } = await open({ redis: redis.url }, (app) => {
      const mark = (name: string, end: (res: Response) => void) =>
        app.get(`/${name}`, (req, res) => {
          Object.assign(req.session, { [name]: true });
          end(res);
        });
      mark('head', (res) => res.send('a body'));
      mark('pieces', (res) => {
        res.write('one');
        setImmediate(() => res.end('two'));
      });
      mark('null', (res) => res.end(null));
      mark('callback', (res) => res.end('x', () => called.push('callback')));
    });
    expect((await visitor.fetch('/head', { method: 'HEAD' })).status).to.equal(200);
    expect(await (await visitor.fetch('/pieces')).text()).to.equal('onetwo');
    expect(await (await visitor.fetch('/null')).text()).to.equal('');
    expect(await (await visitor.fetch('/callback')).text()).to.equal('x');
    expect((await visitor.json('/')).session).to.include({ head: true, pieces: true, null: true, callback: true });
  });

  // expressjs/session#6, senchalabs/connect#240
  for (const unset of ['keep', 'destroy'] as const)
    it(`a page that takes its session away (unset: '${unset}') is answered, degraded, and that is all`, async () => {
      const redis = await start();
      const { visitor } = await open({ redis: redis.url, session: { unset } }, (app) => {
        app.get('/null', async (req, res) => {
          Object.assign(req, { session: null });
          res.json(await req.intelligence.freshPages(['/a']));
        });
      });
      await visitor.json('/count');
      expect(await visitor.json('/null')).to.deep.equal(['/a']);
      expect((await visitor.json('/')).session.count).to.equal(unset === 'keep' ? 1 : undefined);
      expect(faults).to.deep.equal([]);
    });

  // expressjs/session#310
  it('a session that is made anew without a callback does not end the process', async () => {
    const redis = await start();
    const { visitor } = await open({ redis: redis.url }, (app) => {
      app.get('/new', (req, res) => {
        const { id } = req.session;
        (req.session.regenerate as unknown as () => void)();
        void until('there is another', () => req.session?.id !== id).then(() => res.json({ other: true }));
      });
    });
    await visitor.json('/count');
    expect(await visitor.json('/new')).to.deep.equal({ other: true });
    expect((await visitor.json('/')).session).to.not.have.property('count');
  });

  // DFE-Digital/apply-for-teacher-training-prototype#183, expressjs/session#103
  it('a `genid` that gives a number makes sessions that are not tracked, and one fault', async () => {
    const redis = await start();
    const genid = () => 42 as unknown as string;
    const { visitor } = await open({ redis: redis.url, session: { genid } }, (app) => {
      app.get('/fresh', async (req, res) => void res.json(await req.intelligence.freshPages(['/a'])));
    });
    expect(await visitor.json('/')).to.deep.include({ degraded: false });
    expect(await visitor.json('/fresh')).to.deep.equal(['/a']);
    expect(faults).to.have.length(1);
    expect(faults[0]).to.contain('"session.genid" gives no text');
  });

  // kljensen/node-sse-example#3, expressjs/session#315
  it('an event stream saves its session while it goes on, and a visitor who leaves ends it', async () => {
    const redis = await start();
    const { visitor, sessions } = await open({ redis: redis.url }, (app) => {
      app.get('/events', (req, res) => {
        res.set('Content-Type', 'text/event-stream').flushHeaders();
        Object.assign(req.session, { followed: true });
        req.session.save(() => res.write('data: saved\n\n'));
      });
    });
    await visitor.json('/count');
    const request = get(`${visitor.url}/events`, { headers: { cookie: visitor.cookie } });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response, 'data');
    expect((await visitor.json('/')).session).to.include({ followed: true });
    response.destroy();
    const started = performance.now();
    await sessions.close();
    expect(performance.now() - started).to.be.below(2_000);
  });
});
