import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as immediate } from 'node:timers/promises';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSessionOptions,
  intelligentSession,
  RedisSessionStore,
  type RedisSessionStoreOptions,
  OptionError,
} from '../../lib/index.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { openTarget } from '../../lib/redis/open-target.js';
import { startHole } from '../support/hole.js';
import { rejected } from '../support/rejected.js';
import { FaultyProxy } from '../support/proxy.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

const session = { cookie: { originalMaxAge: 60_000 } } as never;

describe('a connection is ended by evidence only', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const open = useRedis((started) => ({ redis, client } = started));

  const storeOf = (options: RedisSessionStoreOptions): RedisSessionStore => {
    const store = new RedisSessionStore(options);
    open.push(() => store.close());
    return store;
  };
  /** Seconds since each connection of this name was made. */
  const agesOf = async (name: string): Promise<number[]> =>
    String(await client.client('LIST'))
      .split('\n')
      .filter((line) => line.includes(` name=${name} `))
      .map((line) => Number(/ age=(\d+)/.exec(line)?.[1]));

  it('reply lists: connections that nobody uses stay', async () => {
    const worker = await createWorker({ redis: redis.url });
    open.push(() => worker.close());
    const serving = new RemoteExecutor(
      { host: '127.0.0.1', port: redis.port, connectionName: 'lists' },
      { replies: 'list', replyConnections: 3 },
    );
    open.push(() => serving.close());
    const asked = [1, 2, 3].map((n) => serving.ask('pageview', `sid-${n}`, '/a', { ttlSeconds: 60, timeoutMs: 5000 }));
    for (const answer of await Promise.all(asked)) expect(answer).to.have.property('answered', true);
    await until('all are four seconds old', async () => {
      const ages = await agesOf('lists');
      return ages.length === 4 && ages.every((age) => age >= 4);
    });
  });

  it('streams: a worker that stands by keeps its connections', async () => {
    const place = { host: '127.0.0.1', port: redis.port, connectionName: 'workers' };
    for (let n = 0; n < 2; n++) {
      const worker = await createWorker({ redis: place, transport: 'stream', partitions: 1, namespace: 'by:' });
      open.push(() => worker.close());
    }
    await until('all are four seconds old', async () => {
      const ages = await agesOf('workers');
      return ages.length === 4 && ages.every((age) => age >= 4);
    });
  });

  it('a reconnection whose handshake takes half a second comes about', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    open.push(() => proxy.close());
    const store = storeOf({ url: proxy.url });
    await store.set('slow', session);
    proxy.handshakeMs = 500;
    const back = once(store, 'back');
    proxy.cut();
    await back;
    expect(await store.get('slow')).to.deep.equal(session);
  });

  it('one that the other side has ended, and does not read, is ended here, too: who waits for it is told', async () => {
    const ends: Socket[] = [];
    const server = createServer({ allowHalfOpen: true }, (near) => {
      ends.push(near);
      const far = connect(redis.port, '127.0.0.1');
      far.on('data', (bytes) => near.write(bytes)).on('error', () => {});
      near.on('data', (bytes) => far.write(bytes)).on('error', () => {});
      near.on('close', () => far.destroy());
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push(() => {
      server.close();
      for (const end of ends) end.destroy();
    });
    const store = storeOf({ url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}` });
    await store.set('half', session);
    const [end] = ends as [Socket];
    end.pause();
    const big = store.set('big', { cookie: {}, big: 'x'.repeat(30_000_000) } as never);
    await immediate(); // it fills the sockets' buffers
    end.end();
    await until('the end is heard', async () => {
      const got = store.get('half').then(
        () => 'read',
        () => 'told',
      );
      return (await Promise.race([got, immediate('waits')])) !== 'read';
    });
    const began = performance.now();
    expect(await store.get('half').catch((error) => error.code)).to.match(/^ERR_INTELLIGENT_SESSION_/);
    expect(performance.now() - began).to.be.below(2900);
    expect(await big.catch((error) => error.code)).to.match(/^ERR_INTELLIGENT_SESSION_/);
  });

  for (const [what, options, maxWaitMs] of [
    ['option maxWaitMs', {}, 500],
    ['the client’s own commandTimeout', { commandTimeout: 500 }, 3000],
  ] as const)
    it(`one that is dead, though ${what} fails its PINGs before their answers are missed`, async () => {
      const proxy = await FaultyProxy.open(redis.port);
      open.push(() => proxy.close());
      const place = { host: '127.0.0.1', port: Number(new URL(proxy.url).port) };
      const store = storeOf({ redis: { ...place, ...options }, maxWaitMs });
      await once(store, 'connect');
      let reason = '';
      store.on('away', ({ message }) => (reason = message));
      proxy.hold();
      await until('it is ended', () => reason !== '');
      expect(reason).to.include('a PING got no answer');
      proxy.release();
    });

  it('one whose PING is answered later than the client’s commandTimeout stays', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    open.push(() => proxy.close());
    const { client: late } = openTarget({ port: Number(new URL(proxy.url).port), commandTimeout: 300 });
    open.push(() => late.disconnect());
    let [answered, failed, isLost] = [0, 0, false];
    const ping = late.ping.bind(late) as () => Promise<string>;
    late.ping = (() => {
      const pong = ping();
      pong.then(
        () => answered++,
        () => failed++,
      );
      return pong;
    }) as never;
    late.on('close', () => (isLost = true));
    await until('a PING is answered', () => answered > 0);
    proxy.hold();
    await until('a PING has failed', () => failed > 0);
    proxy.release();
    const before = answered;
    await until('later ones are answered', () => answered > before + 2);
    expect(isLost).to.equal(false);
  });

  it('a caller’s own connectTimeout is how long the network may take', async () => {
    const { port, stop } = await startHole();
    open.push(stop);
    const store = storeOf({ client: { host: '127.0.0.1', port, connectTimeout: 4000 } as never, maxWaitMs: 20_000 });
    const began = performance.now();
    const [fault] = (await once(store, 'fault')) as [Error];
    expect(fault.message).to.include('ETIMEDOUT');
    expect(performance.now() - began).to.be.at.least(3900);
  });

  it('time-outs in the query of a URL are numbers; what is none is refused at start, there and in options', async () => {
    const target = openTarget(`${redis.url}?connectTimeout=1000&commandTimeout=150&maxRetriesPerRequest=7`, 5000);
    open.push(() => target.client.disconnect());
    expect(target.options).to.include({ connectTimeout: 1000, commandTimeout: 150 });
    await once(target.client, 'ready');
    const waiting = target.connect('blocking');
    open.push(() => waiting.disconnect());
    expect(waiting.options.commandTimeout, 'a command that waits has no limit').to.equal(undefined);
    process.kill(redis.pid, 'SIGSTOP');
    try {
      const began = performance.now();
      expect((await rejected(target.client.ping())).message).to.match(/timed out/);
      expect(performance.now() - began).to.be.within(100, 2000);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
    }
    const given = new Redis(`${redis.url}?commandTimeout=150`, { lazyConnect: true });
    const ofClient = openTarget(given, 5000);
    open.push(() => ofClient.client.disconnect());
    expect(ofClient.options).to.include({ commandTimeout: 150 });
    const { port } = redis;
    for (const wrong of ['1s', '-1', '0', '', '1e3'])
      for (const redisOption of [`${redis.url}?connectTimeout=${wrong}`, { port, connectTimeout: wrong as never }])
        expect(() => new RedisSessionStore({ redis: redisOption }))
          .to.throw(OptionError)
          .with.property('message')
          .that.matches(/"connectTimeout".* should be a number of milliseconds/);
  });

  it('what is closed while it connects tells no fault of the connection', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    open.push(() => proxy.close());
    proxy.hold();
    const store = new RedisSessionStore({ url: proxy.url });
    const faults: Error[] = [];
    store.on('fault', (fault) => faults.push(fault));
    await until('it is connecting', () => store.client.status === 'connect');
    const ended = once(store.client, 'close');
    await store.close();
    await ended;
    expect(faults).to.deep.equal([]);
  });

  it('an option that is wrong is an error before anything is connected', async () => {
    const made = async () => Number(/total_connections_received:(\d+)/.exec(await client.info('stats'))?.[1]);
    const before = await made();
    const cluster = { isCluster: true, startupNodes: [{ host: '127.0.0.1', port: redis.port }], options: {} } as never;
    const wrong: Record<string, IntelligentSessionOptions> = {
      unset: { session: { unset: 'x' as never } },
      genid: { session: { genid: 'x' as never } },
      cookie: { session: { cookie: { maxAge: 'x' as never } } },
      list: { replies: 'list', redis: cluster },
      prefix: { store: { prefix: 1 as never } },
    };
    for (const [name, options] of Object.entries(wrong))
      expect(() => intelligentSession({ redis: redis.url, secret: 'x', ...options }), name)
        .to.throw(OptionError)
        .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
    // a connection that was begun would be there before this one
    const later = new Redis(redis.url);
    await later.ping();
    later.disconnect();
    expect(await made()).to.equal(before + 1);
  });
});
