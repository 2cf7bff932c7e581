import { expect } from 'chai';
import express from 'express';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { createClient, createClientPool, createCluster, createSentinel } from 'redis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import {
  createWorker,
  type IntelligentSessionOptions,
  intelligentSession,
  RedisSessionStore,
  type Worker,
  OptionError,
} from '../../lib/index.js';
import { builtIn } from '../../lib/intelligence/commands.js';
import type { RedisOption } from '../../lib/redis/connect.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { shopOf } from '../contract/intelligence.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { startSentinelTrio } from '../support/sentinel.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('applications that share a Redis', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  const worker = async (options: Parameters<typeof createWorker>[0]): Promise<Worker> => {
    const one = await createWorker(options);
    opened.push(() => one.close());
    return one;
  };
  const serving = (of: RedisOption, options?: ConstructorParameters<typeof RemoteExecutor>[1]): RemoteExecutor => {
    const one = new RemoteExecutor(of, options);
    opened.push(() => one.close());
    return one;
  };
  const ioredis = (options: RedisOptions = {}): Redis => {
    const one = new Redis(redis.port, options as object);
    opened.push(() => one.disconnect());
    return one;
  };
  const visitorOf = async (options: IntelligentSessionOptions) => {
    const sessions = intelligentSession({ secret: 'test', timeout: 2000, ...options });
    const site = await Site.open(shopOf(sessions, express()));
    opened.push(
      () => sessions.close(),
      () => site.close(),
    );
    return { sessions, visitor: new Visitor(site.url) };
  };
  const keysOf = async (db: number): Promise<string[]> => {
    const one = new Redis(redis.port, { db });
    const keys = await one.keys('*');
    one.disconnect();
    return keys;
  };

  describe('each in a database of its own', () => {
    for (const transport of ['pubsub', 'stream'] as const)
      it(`hear their own messages only (${transport})`, async () => {
        const ran: string[] = [];
        const site = async (name: string, db: number) => {
          const command = ({ payload }: { payload: string }) => {
            ran.push(`${name}: ${payload}`);
            return name;
          };
          const url = `${redis.url}/${db}`;
          await worker({ redis: url, transport, commands: { 'send-mail': command } });
          return serving(url, { transport });
        };
        const production = await site('production', 1);
        const staging = await site('staging', 2);
        expect(await production.ask('send-mail', 'sid', 'a', { ttlSeconds: 60, timeoutMs: 2000 })).to.deep.equal({
          answered: true,
          data: 'production',
        });
        expect(
          await production.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 2000 }),
        ).to.have.nested.property('data.totalPages', 1);
        expect(await staging.ask('send-mail', 'sid', 'b', { ttlSeconds: 60, timeoutMs: 2000 })).to.deep.equal({
          answered: true,
          data: 'staging',
        });
        expect(ran).to.deep.equal(['production: a', 'staging: b']);
        expect((await keysOf(2)).filter((key) => key.startsWith('ss:{') && !key.includes('stream'))).to.deep.equal([]);
        expect(await keysOf(1)).to.include('ss:{sid}:activity');
        expect(await keysOf(0)).to.deep.equal([]);
      });

    it('know at once that no worker hears them, though another database’s does', async () => {
      await worker({ redis: redis.url });
      await worker({ redis: `${redis.url}/1` });
      const third = serving(`${redis.url}/3`);
      const reasons: string[] = [];
      third.on('degraded', (_command, reason) => reasons.push(reason));
      expect(await third.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 60_000 })).to.include({
        answered: false,
      });
      expect(reasons).to.deep.equal(['no-worker']);
    });

    it('publish in the paper’s form in database 0, and with the number in another', async () => {
      const listener = ioredis();
      const channels: string[] = [];
      listener.on('pmessage', (_pattern, channel) => channels.push(channel.replace(/:[^:]*$/, '')));
      await listener.psubscribe('*');
      for (const db of [0, 5])
        serving(`${redis.url}/${db}`, { namespace: 'shop:' }).send('pageview', 'sid', '/a', { ttlSeconds: 60 });
      await until('both were published', () => channels.length === 2);
      expect(channels.toSorted()).to.deep.equal(['shop:ss:pageview:sid', 'shop:ss@5:pageview:sid']);
    });

    it('say which database and namespace in the worker’s first line, and are ready', async () => {
      const lines: string[] = [];
      const log = { info: (line: string) => lines.push(line), warn: () => {} };
      const one = await worker({ redis: `${redis.url}/7`, namespace: 'shop:', log });
      expect(lines[0]).to.contain('database 7').and.to.contain('namespace "shop:"');
      expect(await one.isReady()).to.equal(true);
    });

    const selected = async () => {
      const one = ioredis();
      await one.select(4);
      return one;
    };
    const ways: Record<string, () => RedisOption | Promise<RedisOption>> = {
      'a URL’s path': () => `${redis.url}/4`,
      'a URL’s query': () => `${redis.url}?db=4`,
      options: () => ({ host: '127.0.0.1', port: redis.port, db: 4 }),
      'a client’s options': () => ioredis({ db: 4 }),
      'a client on which select() was called': selected,
      'one whose select() waits for the connection': () => {
        const one = ioredis();
        void one.select(4);
        return one;
      },
      'one that has lost its connection since': async () => {
        const one = await selected();
        const lost = new Promise((resolve) => one.once('close', resolve));
        one.disconnect(true);
        await lost;
        return one;
      },
      'a node-redis client': () => createClient({ url: `${redis.url}/4` }),
      'a node-redis client’s option': () => createClient({ url: redis.url, database: 4 }),
    };
    for (const [name, way] of Object.entries(ways))
      it(`are found by ${name}: sessions, keys and messages`, async () => {
        const of = await way();
        await worker({ redis: `${redis.url}/4` });
        const { visitor } = await visitorOf({ redis: of });
        const { id, report } = await visitor.json('/a');
        expect(report).to.include({ totalPages: 1 });
        const keys = await keysOf(4);
        expect(keys).to.include(`sess:${id}`).and.to.include(`ss:{${id}}:activity`);
        expect(await keysOf(0)).to.deep.equal([]);
      });

    it('stay where they were when a caller’s client goes on to another, also for connections that are opened later', async () => {
      const one = await selected();
      await worker({ redis: `${redis.url}/4` });
      const lists = serving(one, { replies: 'list' });
      await one.select(5);
      // the first list's connection is opened for this
      expect(await lists.ask('pageview', 'later', '/a', { ttlSeconds: 60, timeoutMs: 2000 })).to.have.property(
        'answered',
        true,
      );
    });
  });

  describe('each with a keyPrefix of its own', () => {
    beforeEach(async () => {
      await client.call(
        'ACL',
        'SETUSER',
        'app1',
        'reset',
        'on',
        '>secret',
        '~app1:*',
        'resetchannels',
        '&app1:*',
        '+@all',
      );
      // who subscribes needs each pattern as it stands
      for (const namespace of ['app1:', 'app1:shop:'])
        for (const command of builtIn.keys())
          await client.call('ACL', 'SETUSER', 'app1', `&${namespace}ss:${command}:*:?*`);
    });
    const asApp1 = { username: 'app1', password: 'secret' };
    const url = (query = '') => `redis://app1:secret@127.0.0.1:${redis.port}${query}`;

    const expectServed = async (options: IntelligentSessionOptions) => {
      const faults: Error[] = [];
      const { sessions, visitor } = await visitorOf(options);
      sessions.serving.on('fault', (error) => faults.push(error));
      // an embedded worker needs a moment
      await until('the worker answers', async () => !(await visitor.json('/a')).degraded);
      expect((await visitor.json('/b')).report).to.include({ newToSite: false });
      expect(await visitor.json('/mark/n1')).to.equal(true);
      await visitor.json('/logout');
      expect((await visitor.json('/a')).report).to.include({ totalPages: 1 });
      expect((await keysOf(0)).filter((key) => !key.startsWith('app1:'))).to.deep.equal([]);
      expect(faults.map(String)).to.deep.equal([]);
    };

    it('may do with an ACL for it only: with the embedded worker', async () => {
      await expectServed({ redis: ioredis({ ...asApp1, keyPrefix: 'app1:' }), worker: 'embedded' });
    });

    for (const transport of ['pubsub', 'stream'] as const)
      it(`may do with an ACL for it only: with a worker whose namespace is the prefix (${transport})`, async () => {
        await worker({ redis: url(), namespace: 'app1:shop:', transport });
        await expectServed({ redis: ioredis({ ...asApp1, keyPrefix: 'app1:' }), namespace: 'shop:', transport });
      });

    it('may do with an ACL for it only: in the URL of the bin and of the app, lists a request', async () => {
      const bin = new WorkerProcess(['--redis', url('?keyPrefix=app1:')], 'ignore');
      await bin.start();
      opened.push(() => bin.stop());
      expect(bin.banner).to.contain('namespace "app1:"');
      await expectServed({ redis: url('?keyPrefix=app1:'), replies: 'list' });
    });

    it('are told which patterns an ACL for the worker lacks', async () => {
      await client.call('ACL', 'SETUSER', 'app1', 'resetchannels', '&app1:*');
      const error = await createWorker({ redis: url('?keyPrefix=app1:') }).catch((reason: Error) => reason);
      expect(error)
        .to.be.an('error')
        .with.property('message')
        .that.contains('&app1:ss:pageview:*:?*')
        .and.contains('&app1:ss:activity:*:?*');
    });

    it('hear at start of one that can’t stand before a channel', () => {
      const cluster = new Cluster([], { lazyConnect: true, keyPrefix: '{app}:' });
      for (const [of, namespace] of [
        [{ port: redis.port, keyPrefix: 'a*:' }],
        [{ port: redis.port, keyPrefix: '{a}:' }],
        [{ port: redis.port, keyPrefix: 'a@1:' }],
        [{ port: redis.port, keyPrefix: Buffer.from('a:') as unknown as string }],
        [{ port: redis.port, keyPrefix: 'x'.repeat(40) }, 'y'.repeat(40)],
        [`${redis.url}?keyPrefix=a*`],
        [cluster],
      ] as [RedisOption, string?][])
        for (const make of [
          () => intelligentSession({ redis: of, secret: 'test', ...(namespace && { namespace }) }),
          () => new RemoteExecutor(of, namespace === undefined ? {} : { namespace }),
        ])
          expect(make).to.throw(OptionError, '"keyPrefix"').with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
    });
  });

  describe('with a client that was made for something else', () => {
    const options: Record<string, () => RedisOption> = {
      'a command of its own by the name of one of Redis’': () =>
        ioredis({ scripts: { get: { lua: 'return "hijacked"', numberOfKeys: 1 } } }),
      'READONLY, and stacks of commands': () => ioredis({ readOnly: true, showFriendlyErrorStack: true }),
      MONITOR: () => ioredis({ monitor: true, lazyConnect: true }),
      'RESP2, replies as maps, numbers as text': () => ioredis({ protocol: 2, stringNumbers: true }),
      'RESP3, replies as maps': () => ioredis({ protocol: 3, replyMapping: 'native' as never }),
      'automatic pipelines, a queue, no retries': () =>
        ioredis({ enableAutoPipelining: true, enableOfflineQueue: false, maxRetriesPerRequest: null }),
      'options in a URL': () =>
        `${redis.url}?monitor=true&stringNumbers=true&enableAutoPipelining=true&lazyConnect=true`,
    };
    for (const [name, of] of Object.entries(options))
      it(`goes on as with any other: ${name}`, async () => {
        await worker({ redis: of() });
        const { visitor } = await visitorOf({ redis: of() });
        const { id } = await visitor.json('/a');
        expect((await visitor.json('/b')).report).to.include({ totalPages: 2, uniquePages: 2 });
        expect(await visitor.json('/mark/note-1')).to.equal(true);
        expect(JSON.parse((await client.get(`sess:${id}`)) as string)).to.have.property('cookie');
      });

    it('says what to give instead of a node-redis pool or Sentinel', () => {
      const sentinel = createSentinel({ name: 'main', sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }] });
      const pool = createClientPool({ url: redis.url });
      for (const [one, text] of [
        [sentinel, '{ sentinels: [{ host, port }], name }'],
        [pool, 'the URL'],
      ] as const)
        expect(() => new RedisSessionStore({ client: one as unknown as RedisOption }))
          .to.throw(OptionError, text)
          .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
    });
  });

  it('asks the master where the client was made to read from a replica (Sentinel)', async () => {
    const trio = await startSentinelTrio();
    opened.push(() => trio.stop());
    const of = { sentinels: [...trio.sentinels], name: 'main', role: 'slave' as const };
    const store = new RedisSessionStore({ client: of });
    opened.push(() => store.close());
    const { cookie } = { cookie: { originalMaxAge: null } };
    await store.set('sid', { cookie, n: 1 } as never);
    expect(await store.get('sid')).to.deep.include({ n: 1 });
  });
});

describe('a Cluster’s client that was made for something else', () => {
  let cluster: PrivateCluster;
  before(async () => {
    cluster = await startCluster(3, [], { replicas: true });
  });
  after(() => cluster?.stop());

  /** Sessions that a store has just saved, and reads: each must be there. */
  const expectRead = async (client: RedisOption) => {
    const store = new RedisSessionStore({ client });
    try {
      for (let i = 0; i < 300; i++) {
        await store.set(`s${i}`, { cookie: { originalMaxAge: null }, n: i } as never);
        expect(await store.get(`s${i}`), `session ${i}`).to.deep.include({ n: i });
      }
      const { nodes } = store.client as Cluster;
      const asked = await Promise.all(
        nodes.call(store.client as Cluster, 'slave').map(async (node) => {
          const stats = await node.info('commandstats');
          return Number(/cmdstat_get:calls=(\d+)/.exec(stats)?.[1] ?? 0);
        }),
      );
      expect(
        asked.reduce((all, one) => all + one, 0),
        'GETs at replicas',
      ).to.equal(0);
    } finally {
      await store.close();
    }
  };

  for (const scaleReads of ['slave', 'all', (nodes: Redis[]) => nodes[nodes.length - 1] as Redis] as const)
    it(`reads from masters with scaleReads: ${typeof scaleReads === 'string' ? scaleReads : 'a function'}`, async () => {
      const client = new Cluster([...cluster.nodes], { scaleReads: scaleReads as 'slave' });
      try {
        await expectRead(client);
      } finally {
        client.disconnect();
      }
    });

  it('is found through node-redis’ createCluster(), a worker too', async () => {
    const [node] = cluster.nodes;
    const given = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${node?.port}` }], useReplicas: true });
    await expectRead(given);
    const worker = await createWorker({ redis: given, namespace: 'n:' });
    const serving = new RemoteExecutor(given, { namespace: 'n:' });
    try {
      expect(await serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 2000 })).to.have.nested.property(
        'data.totalPages',
        1,
      );
    } finally {
      await serving.close();
      await worker.close();
    }
  });

  it('has one database and one prefix: a db in its options changes nothing, its keyPrefix is the namespace’s', async () => {
    const client = new Cluster([...cluster.nodes], {
      lazyConnect: true,
      redisOptions: { db: 0, keyPrefix: 'p:', stringNumbers: true },
    });
    const worker = await createWorker({ redis: client });
    const serving = new RemoteExecutor(new Cluster([...cluster.nodes], { lazyConnect: true }), { namespace: 'p:' });
    try {
      expect(await serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 2000 })).to.have.nested.property(
        'data.totalPages',
        1,
      );
    } finally {
      await serving.close();
      await worker.close();
    }
  });
});
