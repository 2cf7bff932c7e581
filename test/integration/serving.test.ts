import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { createWorker, OptionError } from '../../lib/index.js';
import type { DegradedReason } from '../../lib/serving/executor.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import type { RemoteExecutorOptions } from '../../lib/serving/remote-executor-options.js';
import { targetOf } from '../../lib/redis/open-target.js';
import { inboxKey } from '../../lib/transport/protocol.js';
import { Inbox } from '../../lib/transport/replies/inbox.js';
import { startServer } from '../support/servers.js';
import { until } from '../support/until.js';
import { viewsOf } from '../support/views.js';

describe('the serving layer', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open: { close(): Promise<void> }[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()));
    await client.flushall();
  });
  after(async () => {
    client.disconnect();
    await redis.stop();
  });
  const serve = (options: RemoteExecutorOptions = {}) => {
    const serving = new RemoteExecutor(redis.url, options);
    open.push(serving);
    const reasons: DegradedReason[] = [];
    serving.on('degraded', (_command, reason) => reasons.push(reason));
    return { serving, reasons };
  };
  const work = async (options: Parameters<typeof createWorker>[0] = {}) => {
    const worker = await createWorker({ redis: redis.url, ...options });
    open.push(worker);
    return worker;
  };
  const connections = async () =>
    String(await client.client('LIST'))
      .trim()
      .split('\n').length;

  for (const replies of ['inbox', 'list'] as const)
    it(`answers each of 2,000 that wait at once, by ${replies}, over few connections`, async () => {
      const before = await connections();
      const { serving } = serve({ replies, replyConnections: 8 });
      await work();
      const answers = await Promise.all(
        Array.from({ length: replies === 'inbox' ? 2000 : 500 }, (_, i) =>
          serving.ask('pageview', `sid-${i}`, '/a', { ttlSeconds: 60, timeoutMs: 15_000 }),
        ),
      );
      for (const answer of answers) expect(answer).to.have.nested.property('data.totalPages', 1);
      // the worker's two, the commands, and the inbox or the pool
      expect(await connections()).to.be.at.most(before + 2 + 1 + (replies === 'inbox' ? 1 : 8));
    });

  for (const server of ['redis-7.0', 'redis-6.2'] as const)
    it(`hears answers that came together in their order (${server})`, async function () {
      const own = await startServer(this, { name: server, server, bloom: 'fallback' });
      const admin = new Redis(own.url);
      const heard: string[] = [];
      const inbox = new Inbox(
        targetOf(admin),
        '',
        ({ id }) => heard.push(id),
        () => {},
      );
      try {
        const waits = async () => /cmd=bl\w*pop/.test(String(await admin.client('LIST')));
        const sent = Array.from({ length: 600 }, (_, i) => String(i));
        for (let i = 0; i < sent.length; i += 200) {
          await until('it waits', waits);
          const key = inboxKey('', inbox.name as string);
          await admin.rpush(key, ...sent.slice(i, i + 200).map((id) => JSON.stringify({ id })));
          await until('it has heard them', () => heard.length === i + 200);
        }
        expect(heard).to.deep.equal(sent);
      } finally {
        inbox.close();
        admin.disconnect();
        await own.stop();
      }
    });

  it('by list: where every connection is taken, a page view is sent all the same, and the page goes on', async () => {
    const { serving, reasons } = serve({ replies: 'list', replyConnections: 1 });
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await work({ commands: { slow: () => released.then(() => 1) } });
    const slow = serving.ask('slow', 'taken', '', { ttlSeconds: 60, timeoutMs: 5000 });
    await until('the command is at work', async () => String(await client.client('LIST')).includes('cmd=blpop'));
    expect(await serving.ask('pageview', 'taken', '/a', { ttlSeconds: 60, timeoutMs: 50 })).to.include({
      answered: false,
    });
    expect(reasons).to.deep.equal(['busy']);
    await until('the view is counted', async () => (await viewsOf(client, '', 'taken')) === 1);
    release();
    expect(await slow).to.deep.equal({ answered: true, data: 1 });
  });

  it('by list on a Cluster is refused at once, with the reason', () => {
    const cluster = { isCluster: true, startupNodes: [], options: {} };
    expect(() => new RemoteExecutor(cluster as never, { replies: 'list' }))
      .to.throw(OptionError, '"replies"')
      .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
  });

  for (const transport of ['pubsub', 'stream'] as const)
    it(`sends what was sent just before it closes, by ${transport}`, async () => {
      await work({ transport });
      const { serving } = serve({ transport });
      expect(await serving.ask('pageview', 'closing', '/a', { ttlSeconds: 60, timeoutMs: 2000 })).to.have.property(
        'answered',
        true,
      );
      for (let i = 0; i < 10; i++) serving.send('pageview', 'closing', '/b', { ttlSeconds: 60 });
      await serving.close();
      await until('all are counted', async () => (await viewsOf(client, '', 'closing')) === 11);
    });

  it('a session id that is too long is degraded mode for its session, and for nobody else', async () => {
    for (const transport of ['pubsub', 'stream'] as const) {
      await work({ transport });
      const { serving } = serve({ transport });
      await serving.ask('pageview', 'warm', '/a', { ttlSeconds: 60, timeoutMs: 2000 });
      const asks = Array.from({ length: 5 }, (_, i) =>
        serving.ask('pageview', `${transport}-${i}`, '/a', { ttlSeconds: 60, timeoutMs: 2000 }),
      );
      const reasons: string[] = [];
      serving.on('degraded', (command, reason) => reasons.push(`${command} ${reason}`));
      serving.on('fault', (error) => reasons.push(error.message));
      serving.send('own', 'x'.repeat(600), '/a', { ttlSeconds: 60 });
      expect(await serving.ask('pageview', 'x'.repeat(600), '/a', { ttlSeconds: 60, timeoutMs: 100 })).to.include({
        answered: false,
      });
      expect(reasons).to.have.lengthOf(4).and.to.include('own session-id').and.to.include('pageview session-id');
      expect(await serving.metrics.metrics()).to.contain('result="session-id"');
      for (const answer of await Promise.all(asks)) expect(answer).to.have.nested.property('data.totalPages', 1);
    }
  });

  it('each waits as long as it would for a connection that is not there, whoever else waits', async () => {
    const { serving } = serve();
    const started = performance.now();
    const patient = serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 1000 });
    await serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 1 });
    expect(performance.now() - started).to.be.below(500);
    await patient;
  });

  it('by list: a command that answers with what JSON has no word for answers null', async () => {
    const { serving } = serve({ replies: 'list' });
    await work({ commands: { odd: () => () => 1 } });
    expect(await serving.ask('odd', 'sid', '', { ttlSeconds: 60, timeoutMs: 2000 })).to.deep.equal({
      answered: true,
      data: null,
    });
  });

  it('drops an answer that comes too late', async () => {
    const { serving, reasons } = serve();
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await work({ commands: { slow: () => released.then(() => 'late') } });
    expect(await serving.ask('slow', 'sid', '', { ttlSeconds: 60, timeoutMs: 30 })).to.include({ answered: false });
    release();
    expect(await serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 2000 })).to.have.property(
      'answered',
      true,
    );
    expect(reasons).to.deep.equal(['timeout']);
  });

  it('waiters of an inbox whose connection is lost go on at once, and the next has a new name', async () => {
    const { serving, reasons } = serve();
    await work({ commands: { never: () => new Promise(() => {}) } });
    const asks = Array.from({ length: 20 }, () =>
      serving.ask('never', 'sid', '', { ttlSeconds: 60, timeoutMs: 10_000 }),
    );
    await until('they wait', async () => (await serving.metrics.metrics()).includes('waiting_requests 20'));
    const started = performance.now();
    const list = String(await client.client('LIST'));
    const [, id = ''] = /id=(\d+)[^\n]*cmd=blm?pop/.exec(list) ?? [];
    await client.client('KILL', 'ID', Number(id));
    for (const answer of await Promise.all(asks)) expect(answer).to.include({ answered: false });
    expect(performance.now() - started).to.be.below(2000);
    expect(new Set(reasons)).to.deep.equal(new Set(['redis']));
    await until(
      'answers come again',
      async () => (await serving.ask('pageview', 's', '/a', { ttlSeconds: 60, timeoutMs: 200 })).answered,
    );
  });

  it('the list of an inbox that nobody drains any longer expires', async () => {
    await work();
    await client.publish('ss:pageview:dead:1@nobody-drains@99999999999999@60', '/a');
    await until('the answer lies there', async () => (await client.exists('async:inbox:nobody-drains')) === 1);
    expect(await client.pttl('async:inbox:nobody-drains')).to.be.within(1, 5000);
  });

  it('a frozen worker: after five time-outs nobody waits, page views are still sent, and it ends by itself', async () => {
    const worker = new WorkerProcess(['--redis', redis.url], 'ignore');
    await worker.start();
    const { serving, reasons } = serve();
    const states: string[] = [];
    serving.on('circuit', (state) => states.push(state));
    const ask = () => serving.ask('pageview', 'frozen', '/a', { ttlSeconds: 600, timeoutMs: 60 });
    expect(await ask()).to.have.property('answered', true);
    process.kill(worker.pid as number, 'SIGSTOP');
    for (let i = 0; i < 5; i++) await ask();
    expect(reasons).to.deep.equal(Array(5).fill('timeout'));
    expect(states).to.deep.equal(['open']);
    // the session's own: what one visitor waits for in vain opens nobody else's
    expect(await serving.metrics.metrics()).to.contain('intelligent_session_open_circuits 1');
    const started = performance.now();
    for (let i = 0; i < 20; i++) await ask();
    expect(performance.now() - started, 'twenty requests of 60 ms each').to.be.below(600);
    expect(reasons.slice(5)).to.deep.equal(Array(20).fill('circuit'));
    const closed = once(serving, 'circuit');
    process.kill(worker.pid as number, 'SIGCONT');
    let asked = 26;
    await until('it is answered again', async () => (asked++, (await ask()).answered));
    expect(await closed).to.deep.equal(['closed']);
    await until('every view is counted', async () => (await viewsOf(client, '', 'frozen')) === asked);
    expect(await worker.stop()).to.equal(0);
  });

  for (const transport of ['pubsub', 'stream'] as const)
    it(`a page view whose connection is lost before it is sent is counted when it is back, by ${transport}`, async () => {
      await work({ transport });
      const sockets: Socket[] = [];
      const note = (message: unknown) => void sockets.push((message as { socket: Socket }).socket);
      diagnostics.subscribe('net.client.socket', note);
      const { serving, reasons } = serve({ transport });
      expect(await serving.ask('pageview', 'unsent', '/a', { ttlSeconds: 60, timeoutMs: 2000 })).to.have.property(
        'answered',
        true,
      );
      diagnostics.unsubscribe('net.client.socket', note);
      (sockets[0] as Socket).destroy(); // the one that sends; its client hears of it a moment later
      expect(await serving.ask('pageview', 'unsent', '/b', { ttlSeconds: 60, timeoutMs: 2000 })).to.have.property(
        'answered',
        false,
      );
      expect(reasons).to.deep.equal(['redis']);
      await until('both are counted', async () => (await viewsOf(client, '', 'unsent')) === 2);
    });

  it('by list: a page view that tries an open circuit, and finds no connection free, is sent all the same', async () => {
    const heard: string[] = [];
    const deaf = new Redis(redis.url);
    open.push({ close: async () => deaf.disconnect() });
    await deaf.psubscribe('ss:*');
    deaf.on('pmessage', (_pattern, _channel, payload) => heard.push(payload));
    const { serving, reasons } = serve({ replies: 'list', replyConnections: 1 });
    await until('five have timed out', async () => {
      await serving.ask('pageview', 'tried', 'timed out', { ttlSeconds: 60, timeoutMs: 30 });
      return reasons.includes('circuit');
    });
    const isTaken = async () => / flags=b /.test(String(await client.client('LIST')));
    await until('the connection is free', async () => !(await isTaken()));
    await until('a trial has it', async () => {
      await serving.ask('slow', 'tried', 'slow', { ttlSeconds: 60, timeoutMs: 5000 });
      return isTaken();
    });
    let asked = 0;
    const end = performance.now() + 350;
    await until('it is time for three trials more', async () => {
      await serving.ask('pageview', 'tried', `/${asked++}`, { ttlSeconds: 60, timeoutMs: 30 });
      return performance.now() > end;
    });
    expect(new Set(reasons.slice(reasons.indexOf('circuit')))).to.deep.equal(new Set(['circuit']));
    await until('all are heard', () => heard.filter((payload) => payload.startsWith('/')).length === asked);
  });

  it('a timeout that is no time is an error at once', async () => {
    const { serving } = serve();
    for (const timeout of [Number.POSITIVE_INFINITY, Number.NaN, 0, -1, 1e12, '100' as never])
      expect(() => serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: timeout }), String(timeout))
        .to.throw(OptionError, '"timeout"')
        .with.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
  });
});
