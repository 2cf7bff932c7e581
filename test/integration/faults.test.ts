import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import express from 'express';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { createWorker, type DegradedReason, type IntelligentSession, intelligentSession } from '../../lib/index.js';
import { whenReady } from '../../lib/redis/connect.js';
import { startDistance } from '../support/delay.js';
import { FaultyProxy } from '../support/proxy.js';
import { rejected } from '../support/rejected.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { viewsOf } from '../support/views.js';

const bin = fileURLToPath(new URL('../../lib/bin/intelligent-session.ts', import.meta.url));

async function output(child: ChildProcess): Promise<{ code: number; text: string }> {
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    text += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, text };
}

const run = (...args: string[]) => output(spawn(process.execPath, ['--import', 'tsx', bin, 'worker', ...args]));

describe('faults', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let sessions: IntelligentSession;
  let site: Site;
  const reasons: DegradedReason[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    client.on('error', () => {});
    sessions = intelligentSession({ redis: redis.url, secret: 'test' });
    sessions.serving.on('degraded', (_command, reason) => reasons.push(reason));
    const app = express().set('env', 'test'); // its own error handler prints nothing then
    app.use(sessions);
    app.get('/fresh', async (req, res) => void res.json(await req.intelligence.freshPages(['/a', '/b'])));
    app.get('/notes', async (req, res) => void res.json(await req.intelligence.notifications(['n'])));
    app.get('/rules', async (req, res) => {
      const { intelligence } = req;
      res.json([await intelligence.suggestions(), (await intelligence.combo(['/a'])) === undefined]);
    });
    app.get('/ask', async (req, res) => void res.json({ answer: await req.intelligence.ask('shout', { text: 'a' }) }));
    app.get('/fail', async (req, res) => void res.json({ answer: await req.intelligence.ask('fail') }));
    app.get('/{*any}', async (req, res) => {
      const report = await req.intelligence.pageview();
      res.json({ total: report?.totalPages, degraded: req.intelligence.degraded });
    });
    site = await Site.open(app);
  });
  const connections = async () =>
    String(await client.client('LIST'))
      .trim()
      .split('\n')
      .map((line) => / ?id=(\d+)/.exec(line)?.[1]);

  beforeEach(() => reasons.splice(0));
  after(async () => {
    await site.close();
    await sessions.close();
    client.disconnect();
    await redis.stop();
  });

  it('without a worker a page goes on at once, every figure undefined and every list as it came', async () => {
    const visitor = new Visitor(site.url);
    expect(await visitor.json('/a')).to.deep.equal({ degraded: true });
    expect(await visitor.json('/fresh')).to.deep.equal(['/a', '/b']);
    expect(await visitor.json('/notes')).to.deep.equal([{ id: 'n' }]);
    expect(await visitor.json('/rules')).to.deep.equal([[], true]);
    expect(new Set(reasons)).to.deep.equal(new Set(['no-worker']));
  });

  it('with a frozen worker a page waits no longer than its timeout', async () => {
    const worker = new WorkerProcess(['--redis', redis.url]);
    await worker.start();
    const visitor = new Visitor(site.url);
    expect((await visitor.json('/a')).total).to.equal(1);
    process.kill(worker.pid as number, 'SIGSTOP');
    expect(await visitor.json('/a')).to.deep.equal({ degraded: true });
    expect(reasons).to.deep.equal(['timeout']);
    process.kill(worker.pid as number, 'SIGCONT');
    await worker.stop();
  });

  it('runs an application’s commands; one that throws harms nobody', async () => {
    const worker = await createWorker({
      redis: redis.url,
      commands: {
        shout: ({ payload }) => JSON.parse(payload).text.toUpperCase(),
        fail: () => {
          throw new Error('a secret');
        },
      },
    });
    const faults: string[] = [];
    worker.on('fault', (error, command) => faults.push(`${command}: ${error.message}`));
    const visitor = new Visitor(site.url);
    expect(await visitor.json('/fail')).to.deep.equal({});
    expect(reasons).to.deep.equal(['failed']);
    expect(faults).to.deep.equal(['fail: a secret']);
    expect(await visitor.json('/ask')).to.deep.equal({ answer: 'A' });
    expect(await worker.metrics.metrics()).to.contain('result="failed"');
    await Promise.all([worker.close(), worker.close()]);
  });

  it('at SIGTERM the worker finishes what is in hand and exits 0', async () => {
    const worker = new WorkerProcess(['--redis', redis.url]);
    await worker.start();
    await Promise.all(Array.from({ length: 200 }, (_, i) => client.publish(`ss:pageview:term:${i}@@@60`, `/${i}`)));
    expect(await worker.stop()).to.equal(0);
    expect(await viewsOf(client, '', 'term')).to.equal(200);
  });

  it('at SIGTERM while it starts it exits 0, too, and tells of no mistake', async () => {
    const far = await startDistance(redis.port, 300);
    try {
      const args = ['worker', '--redis', far.url, '--namespace', 'starting:'];
      const child = spawn(process.execPath, ['--import', 'tsx', bin, ...args]);
      const ended = output(child);
      const before = new Set(await connections());
      await until('its second connection, which is to subscribe, is being made', async () => {
        return (await connections()).filter((id) => !before.has(id)).length === 2;
      });
      child.kill('SIGTERM');
      expect(await ended).to.deep.equal({ code: 0, text: '' });
    } finally {
      await far.stop();
    }
  });

  it('Redis killed and started again under traffic: every request is answered, and all works again', async () => {
    const worker = new WorkerProcess(['--redis', redis.url], 'ignore');
    await worker.start();
    let slowest = 0;
    let requests = 0;
    const go = async (visitor: Visitor) => {
      const started = performance.now();
      const response = await visitor.fetch('/a');
      slowest = Math.max(slowest, performance.now() - started);
      requests++;
      return response.ok ? ((await response.json()) as { total?: number; degraded: boolean }) : undefined;
    };
    const visitors = Array.from({ length: 8 }, () => new Visitor(site.url));
    let traffic = true;
    const all = Promise.all(
      visitors.map(async (visitor) => {
        while (traffic) await go(visitor);
      }),
    );
    const { port } = redis;
    for (let round = 0; round < 2; round++) {
      await whenReady(client, 3000);
      // not events.once: it rejects at the errors of a reconnection
      const gone = new Promise((resolve) => client.once('close', resolve));
      process.kill(redis.pid, 'SIGKILL');
      await gone;
      // some requests while there is nothing at all
      for (const goal = requests + 40; requests < goal;) await go(new Visitor(site.url));
      await redis.stop();
      redis = await startPrivateRedis({ port });
      const back = new Visitor(site.url);
      const until = performance.now() + 5000;
      while ((await go(back))?.total === undefined) expect(performance.now(), 'back within 5 s').to.be.below(until);
    }
    traffic = false;
    await all;
    if (process.env.SHOW_FIGURES)
      process.stdout.write(`      ${requests} requests, slowest ${slowest.toFixed(0)} ms\n`);
    expect(slowest).to.be.below(1000);
    const visitor = new Visitor(site.url);
    expect(await go(visitor)).to.include({ total: 1, degraded: false });
    expect(await go(visitor)).to.include({ total: 2, degraded: false });
    expect(await worker.stop()).to.equal(0);
  });

  it('the worker says in one line that Redis is not there, with the address, and exits 1', async () => {
    const reserved = createServer().listen(0, '127.0.0.1');
    await once(reserved, 'listening');
    const { port } = reserved.address() as { port: number };
    reserved.close();
    const { code, text } = await run('--redis', `redis://127.0.0.1:${port}`);
    expect(code).to.equal(1);
    expect(text.trim().split('\n')).to.have.lengthOf(1);
    expect(text)
      .to.contain(`127.0.0.1:${port}`)
      .and.to.not.match(/\n\s+at /);
  });

  it('the worker says so where an ACL does not let it subscribe, and does not hang', async () => {
    await client.call('ACL', 'SETUSER', 'deaf', 'on', '>pw', '~*', '+@all', 'resetchannels');
    const url = redis.url.replace('redis://', 'redis://deaf:pw@');
    const error = await createWorker({ redis: url }).catch((e) => e);
    expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
    expect(error.message).to.contain('subscribe').and.to.not.contain('pw');
  });

  it('the worker does not blame an ACL where its second connection does not come about', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    proxy.handshakeMs = 300;
    proxy.server.once('connection', () => setImmediate(() => (proxy.refuses = true)));
    try {
      const error = await rejected(createWorker({ redis: proxy.url }));
      expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
      expect(error.message).to.include('No connection to Redis at 127.0.0.1').and.not.include('ACL');
    } finally {
      await proxy.close();
    }
  });

  it('the worker does not speak of an ACL where Redis has no place for its subscription', async () => {
    const [, most] = (await client.config('GET', 'maxclients')) as [string, string];
    const connections = Number(/connected_clients:(\d+)/.exec(await client.info('clients'))?.[1]);
    await client.config('SET', 'maxclients', connections + 1);
    try {
      const error = await createWorker({ redis: redis.url }).catch((e) => e);
      expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
      expect(error.message).to.contain('No connection to Redis').and.to.not.contain('ACL');
    } finally {
      await client.config('SET', 'maxclients', most);
    }
  });

  it('the worker refuses wrong arguments, and explains itself', async () => {
    expect(await run('--bloom', 'maybe')).to.have.property('code', 1);
    expect((await run('--namespace', 'a*b', '--redis', redis.url)).text).to.match(/--namespace/);
    const help = await run('--help');
    expect(help.code).to.equal(0);
    for (const option of ['--redis', '--namespace', '--session-glob', '--bloom', '--combos'])
      expect(help.text).to.contain(option);
  });

  it('a session glob shares sessions among workers', async () => {
    const [first, second] = await Promise.all([
      createWorker({ redis: redis.url, sessionGlob: '[A-Za-f]*' }),
      createWorker({ redis: redis.url, sessionGlob: '[-g-z0-9_%]*' }),
    ]);
    const answers = await Promise.all(
      ['Abc', 'zed', '9x', '_x', '-x', '}x'].map((sid) =>
        sessions.serving.ask('pageview', sid, '/a', { ttlSeconds: 60, timeoutMs: 2000 }),
      ),
    );
    for (const answer of answers) expect(answer).to.have.nested.property('data.totalPages', 1);
    await first.close();
    expect(await sessions.serving.ask('pageview', 'Abc', '/a', { ttlSeconds: 60, timeoutMs: 2000 })).to.include({
      answered: false,
    });
    await second.close();
  });

  it('what an application’s `track` throws is told, and ends nobody', async () => {
    const own = intelligentSession({
      redis: redis.url,
      secret: 'x',
      track: () => {
        throw new Error('who is it?');
      },
    });
    const faults: string[] = [];
    own.serving.on('fault', (error) => faults.push(error.message));
    const app = express().use(own);
    app.get('/quiet', (_req, res) => void res.send('ok'));
    app.get('/asks', async (req, res) => void res.json(await req.intelligence.freshPages(['/a'])));
    const small = await Site.open(app);
    const visitor = new Visitor(small.url);
    expect((await visitor.fetch('/quiet')).status).to.equal(200);
    expect(await visitor.json('/asks')).to.deep.equal(['/a']);
    await until('both are told', () => faults.filter((message) => message === 'who is it?').length === 2);
    await small.close();
    await own.close();
  });

  it('an embedded worker needs no other process', async () => {
    const own = intelligentSession({ redis: redis.url, secret: 'x', worker: 'embedded', namespace: 'embedded:' });
    const app = express().use(own);
    app.get('/', async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
    const small = await Site.open(app);
    const visitor = new Visitor(small.url);
    const until = performance.now() + 3000;
    while ((await visitor.json('/')) === null) expect(performance.now()).to.be.below(until);
    await small.close();
    await Promise.all([own.close(), own.close()]);
  });
});
