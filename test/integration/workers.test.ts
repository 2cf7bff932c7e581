import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { Gauge } from 'prom-client';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { createWorker, type Worker, type WorkerOptions } from '../../lib/index.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { serveHttp } from '../../lib/worker/http.js';
import { FaultyProxy } from '../support/proxy.js';
import { until } from '../support/until.js';
import { viewsOf } from '../support/views.js';

describe('workers', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let serving: RemoteExecutor;
  const open: { close(): Promise<unknown> }[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    serving = new RemoteExecutor(redis.url);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()));
    await client.flushall();
  });
  after(async () => {
    await serving.close();
    client.disconnect();
    await redis.stop();
  });
  const work = async (options: WorkerOptions = {}): Promise<Worker> => {
    const worker = await createWorker({ redis: redis.url, ...options });
    open.push(worker);
    return worker;
  };
  const ask = (sid: string, page = '/a') => serving.ask('pageview', sid, page, { ttlSeconds: 60, timeoutMs: 2000 });

  it('of n shards each session has one, which counts it', async () => {
    const shards = await Promise.all(['1/3', '2/3', '3/3'].map((shard) => work({ shard })));
    const sids = [...'ABCabc019_-%'].map((c) => `${c}x`).concat('ü', '}', '[', '^', '*');
    for (const sid of sids) expect(await ask(sid), sid).to.have.nested.property('data.totalPages', 1);
    const done = () =>
      Promise.all(
        shards.map(async ({ metrics }) =>
          Number(/command="pageview",result="done"} (\d+)/.exec(await metrics.metrics())?.[1] ?? 0),
        ),
      );
    await until('each is told', async () => (await done()).reduce((sum, n) => sum + n, 0) === sids.length);
    expect(await done()).to.not.include(0);
  });

  it('two that hear the same message count it once, and a rolling restart loses none', async () => {
    const SESSIONS = 200;
    const processes = [new WorkerProcess(['--redis', redis.url])];
    await processes[0]?.start();
    const reasons: string[] = [];
    const unsent = (_command: string, reason: string) => reasons.push(reason);
    serving.on('degraded', unsent);
    let sent = 0;
    let rolling = true;
    const load = (async () => {
      while (rolling) {
        const asks = Array.from({ length: 20 }, () => {
          const i = sent++;
          return serving.ask('pageview', `rolling-${i % SESSIONS}`, `/${i % 7}`, { ttlSeconds: 600, timeoutMs: 5000 });
        });
        for (const { answered } of await Promise.all(asks)) expect(answered).to.equal(true);
      }
    })();
    for (let i = 0; i < 2; i++) {
      const next = new WorkerProcess(['--redis', redis.url]);
      await next.start();
      const goal = sent + 200;
      await until('both have worked', () => sent > goal);
      expect(await processes.at(-1)?.stop()).to.equal(0);
      processes.push(next);
    }
    rolling = false;
    await load;
    serving.off('degraded', unsent);
    expect(reasons, 'all were published').to.deep.equal([]);
    const total = async () => {
      const views = await Promise.all(Array.from({ length: SESSIONS }, (_, i) => viewsOf(client, '', `rolling-${i}`)));
      return views.reduce((sum, n) => sum + n, 0);
    };
    await until('all are counted', async () => (await total()) >= sent);
    expect(await processes.at(-1)?.stop()).to.equal(0);
    expect(await total()).to.equal(sent);
  });

  it('one that hears late what another has counted counts none of it again, however far behind it is', async () => {
    await work();
    const hear = async (sid: string, ids: string[]) => {
      for (const id of ids) await client.publish(`ss:pageview:${sid}:${id}@@@60`, '/a');
      expect(await ask(`${sid}-then`)).to.have.property('answered', true);
      return viewsOf(client, '', sid);
    };
    const ids = Array.from({ length: 100 }, (_, i) => `sender~${(i + 1000).toString(36)}`);
    expect(await hear('late', ids)).to.equal(100);
    expect(await hear('late', ids), 'all of them again').to.equal(100);
    expect(await hear('late', ['other~1', 'other~2', 'other~1']), 'another sender begins low').to.equal(102);
    expect(await hear('late', ['sender~zz', 'sender~zy', 'sender~zx', 'sender~zy']), 'not in their order').to.equal(
      105,
    );
    const plain = Array.from({ length: 17 }, (_, i) => `id${i}`);
    expect(await hear('plain', [...plain, ...plain]), 'ids without a number').to.equal(17);
    expect(await hear('plain', ['id99', 'id0']), 'of those only the last 17 are known').to.equal(19);
  });

  it('one that Redis kicks counts the time without a subscription, and is back by itself', async () => {
    const worker = await work();
    const lost = once(worker, 'subscription-lost');
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    expect((await lost)[0]).to.be.within(0, 2000);
    expect(await ask('kicked')).to.have.nested.property('data.totalPages', 1);
    const metrics = await worker.metrics.metrics();
    expect(metrics)
      .to.match(/worker_subscription_lost_total 1\n/)
      .and.to.match(/worker_subscription_lost_seconds_total 0\.\d+/);
  });

  it('one that is closed has no connection left that could subscribe again while it finishes what is in hand', async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isAtWork = false;
    const worker = await work({ commands: { slow: () => ((isAtWork = true), released) } });
    serving.send('slow', 'closed', '', { ttlSeconds: 60 });
    await until('it is at work', () => isAtWork);
    const list = async () => String(await client.client('LIST'));
    const id = /\bid=(\d+) [^\n]* psub=[1-9]/.exec(await list())?.[1];
    expect(id).to.be.a('string');
    const closing = worker.close({ timeout: 20_000 });
    try {
      await until('its subscription has ended', async () => !new RegExp(`\\bid=${id} `).test(await list()));
      expect(await client.pubsub('NUMPAT')).to.equal(0);
    } finally {
      release();
      await closing;
    }
  });

  it('one whose output buffer overflows is kicked, and is back by itself', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    open.push(proxy);
    await client.config('SET', 'client-output-buffer-limit', 'pubsub 1mb 1mb 1');
    const worker = await work({ redis: proxy.url });
    const lost = once(worker, 'subscription-lost');
    proxy.hold();
    const text = 'x'.repeat(200_000);
    // what fits into the sockets' own buffers does not count
    for (let n = 1; n > 0;) n = await client.publish('ss:pageview:flood:1@@@60', text);
    proxy.cut();
    proxy.release();
    await lost;
    await until('it hears again', async () => (await ask('flooded')).answered);
    await client.config('SET', 'client-output-buffer-limit', 'pubsub 32mb 8mb 60');
  });

  it('one that can’t keep up drops what nobody waits for first, and says so', async () => {
    const worker = await work({ maxQueue: 100 });
    // all at one moment, so that they come in one piece
    const burst = `for i = 1, 150 do redis.call('PUBLISH', 'ss:pageview:full:' .. i .. '@@@60', '/' .. i) end
      for i = 1, 60 do redis.call('PUBLISH', 'ss:combo:full:c' .. i .. '@nobody-drains@1@60', '["/a"]') end`;
    await client.eval(burst, 0);
    const awaited = Array.from({ length: 50 }, (_, i) => ask(`waits-${i}`));
    for (const answer of await Promise.all(awaited)) expect(answer).to.have.nested.property('data.totalPages', 1);
    const count = async (command: string, result: string) => {
      const line = new RegExp(`messages_total{command="${command}",result="${result}"} (\\d+)`);
      return Number(line.exec(await worker.metrics.metrics())?.[1] ?? 0);
    };
    const dropped = await count('pageview', 'no-waiter');
    expect(dropped).to.be.greaterThan(20);
    // each may wait for 1 ms: on a busy machine one may be looked up in that time
    const lists = async () => [await count('combo', 'expired'), await count('combo', 'done')] as const;
    await until('every list is dropped, or done in time', async () => (await lists())[0] + (await lists())[1] === 60);
    expect((await lists())[0]).to.be.greaterThan(20);
    expect(await count('pageview', 'full')).to.equal(0);
    await until('the rest is counted', async () => (await viewsOf(client, '', 'full')) === 150 - dropped);
  });

  it('serve metrics and health; one that is connected but deaf is not ready', async () => {
    const worker = await work();
    await ask('metrics');
    const server = await serveHttp(worker, 0, '127.0.0.1');
    open.push({ close: async () => server.close() });
    const { port } = server.address() as { port: number };
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return { status: response.status, text: await response.text() };
    };
    expect(await get('/healthz')).to.deep.equal({ status: 200, text: 'ok\n' });
    expect(await get('/readyz')).to.have.property('status', 200);
    expect(await get('/nothing')).to.have.property('status', 404);
    const { text } = await get('/metrics');
    for (const line of [
      'intelligent_session_worker_messages_total{command="pageview",result="done"} 1',
      'intelligent_session_worker_queueing_seconds_count 1',
      'intelligent_session_worker_processing_seconds_count 1',
      'intelligent_session_worker_listening 1',
      'intelligent_session_worker_waiting 0',
      'intelligent_session_worker_subscription_lost_total 0',
    ])
      expect(text).to.contain(line);
    expect(text).to.not.contain('metrics-sid');
    // deaf: its user may no longer publish where it listens, though every connection stands
    await client.call('ACL', 'SETUSER', 'default', 'resetchannels', '&other:*');
    await until('it is not ready any more', async () => (await get('/readyz')).status === 503);
    expect(await get('/readyz')).to.deep.equal({ status: 503, text: 'does not listen\n' });
    expect(await get('/healthz')).to.have.property('status', 200);
    await client.call('ACL', 'SETUSER', 'default', 'allchannels');
    await until('it is ready again', async () => (await get('/readyz')).status === 200);
  });

  it('answer 500 where a metric of the application can’t be read, and go on', async () => {
    const worker = await work();
    const collect = () => {
      throw new Error('the shelf is empty');
    };
    worker.metrics.registerMetric(new Gauge({ name: 'shelf', help: 'Things on the shelf', registers: [], collect }));
    const server = await serveHttp(worker, 0, '127.0.0.1');
    open.push({ close: async () => server.close() });
    const { port } = server.address() as { port: number };
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(5_000) });
    expect([response.status, await response.text()]).to.deep.equal([500, 'the shelf is empty\n']);
    expect(await fetch(`http://127.0.0.1:${port}/healthz`)).to.have.property('status', 200);
  });

  for (const transport of ['pubsub', 'stream'] as const) {
    const readiness = async (url: string) => {
      const worker = await work({ redis: url, transport, namespace: `${transport}:` });
      const server = await serveHttp(worker, 0, '127.0.0.1');
      open.push({ close: async () => server.close() });
      const { port } = server.address() as { port: number };
      return async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
    };

    it(`answer whoever asks /readyz without a message, however many ask, by ${transport}`, async () => {
      const ready = await readiness(redis.url);
      const sent = async () => (await client.info('commandstats')).match(/cmdstat_(publish|xadd):calls=\d+/g);
      const before = await sent();
      for (let i = 0; i < 500; i++) expect(await ready()).to.equal(200);
      expect(await sent()).to.deep.equal(before);
    });

    it(`are not ready where what they listen on is dead though their commands are answered, by ${transport}`, async () => {
      const proxy = await FaultyProxy.open(redis.port);
      open.push(proxy);
      const ready = await readiness(proxy.url);
      expect(await ready()).to.equal(200);
      // the first connection is that of the commands; of the other nothing arrives any more, and it does not end
      proxy.holdAnswers(1);
      proxy.refuses = true;
      await until('it is noticed', async () => (await ready()) === 503);
      proxy.refuses = false;
      await until('it listens again', async () => (await ready()) === 200);
    });
  }

  it('give each connection to the metrics one answer, whatever it sends, and take 64 at once', async () => {
    const server = await serveHttp(await work(), 0, '127.0.0.1');
    open.push({ close: async () => void server.close() });
    const { port } = server.address() as { port: number };
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (data) => {
      text += String(data);
    });
    socket.on('error', () => {}); // what is sent after the answer may find it closed
    socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(5_000));
    await once(socket, 'close');
    expect(text.match(/^HTTP\/1\.1 /gm)).to.have.lengthOf(1);
    expect(text).to.contain('HTTP/1.1 200').and.contain('intelligent_session_worker_listening 1');
    const sockets = Array.from({ length: 80 }, () => connect(port, '127.0.0.1').on('error', () => {}));
    let closed = 0;
    for (const one of sockets) one.on('close', () => closed++);
    await until('the rest is refused', () => closed === 16);
    for (const one of sockets) one.destroy();
  });

  it('of a bin serve their metrics on the loopback address alone, unless a host is given', async () => {
    const reserved = createServer().listen(0, '127.0.0.1');
    await once(reserved, 'listening');
    const { port } = reserved.address() as { port: number };
    reserved.close();
    const reaches = (host: string) =>
      fetch(`http://${host}:${port}/healthz`).then(
        ({ status }) => status,
        () => 'refused',
      );
    const network = Object.values(networkInterfaces()).flat();
    // without a network: Linux answers on all of 127.0.0.0/8
    const outside = network.find((one) => one?.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.2';
    for (const [args, elsewhere] of [
      [[], 'refused'],
      [['--metrics-host', '0.0.0.0'], 200],
    ] as const) {
      const worker = new WorkerProcess(['--redis', redis.url, '--metrics-port', String(port), ...args], 'ignore');
      await worker.start();
      expect([await reaches('127.0.0.1'), await reaches(outside)]).to.deep.equal([200, elsewhere]);
      await worker.stop();
    }
  });

  it('of a bin whose port is taken end with an error, and do not hang', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const worker = new WorkerProcess(['--redis', redis.url, '--metrics-port', String(port)], 'ignore');
    expect(await worker.start().catch((error: Error) => error.message)).to.contain('exit code 1');
    const fault = await serveHttp(await work(), port, '127.0.0.1').catch((error: { code: string }) => error);
    expect(fault).to.have.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
    taken.close();
  });
});
