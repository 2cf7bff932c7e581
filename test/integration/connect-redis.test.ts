import { expect } from 'chai';
import { RedisStore as ConnectRedis9 } from 'connect-redis';
import { RedisStore as ConnectRedis8 } from 'connect-redis8';
import { Cluster, Redis } from 'ioredis';
import { createClient } from 'redis';
import { OptionError, RedisSessionStore, type RedisSessionStoreOptions } from '../../lib/index.js';
import { startCluster } from '../support/cluster.js';
import { startSentinel } from '../support/sentinel.js';
import { data, load, save, StoreGround, userKey } from '../support/stores.js';

describe('RedisSessionStore', () => {
  const ground = new StoreGround();
  const { withStore } = ground;
  let redis: StoreGround['redis'];
  let client: StoreGround['client'];
  let store: RedisSessionStore;
  before(() => {
    ({ redis, client } = ground);
  });
  beforeEach(async () => {
    store = ground.open({ ttl: 100, scanCount: 10 });
    await store.length(); // it is connected
  });

  describe('connect-redis’ users', () => {
    it('find the sessions that connect-redis 8 and 9 wrote, and the other way round', async () => {
      const nodeRedis = createClient({ url: redis.url });
      await nodeRedis.connect();
      const theirs = {
        'connect-redis 8 on ioredis': new ConnectRedis8({ client }),
        'connect-redis 9 on node-redis': new ConnectRedis9({ client: nodeRedis }),
      };
      try {
        for (const [name, other] of Object.entries(theirs)) {
          const session = data({ user: 'robin', list: [1, {}] }, new Date(Date.now() + 60_000));
          await other.set(name, session);
          const mine = await load(name, store);
          expect(mine).to.deep.include({ user: 'robin', list: [1, {}] });
          mine.n = 1;
          await save(mine);
          expect(await other.get(name)).to.deep.include({ user: 'robin', n: 1 });
          await store.set(`ours ${name}`, session);
          expect(await other.get(`ours ${name}`)).to.deep.include({ user: 'robin' });
          expect(await other.ids()).to.have.members(await store.ids());
        }
      } finally {
        await nodeRedis.close();
      }
    });

    it('give any client: ioredis, with a keyPrefix, node-redis, a Cluster, Sentinel', async () => {
      await client.set('p:sess:old', JSON.stringify(data({ n: 1 })));
      const prefixed = new Redis(redis.url, { keyPrefix: 'p:' });
      const nodeRedis = createClient({ url: `${redis.url}/2` });
      const sentinel = await startSentinel(redis.port);
      const cluster = await startCluster(3);
      const clusterClient = new Cluster([...cluster.nodes]);
      try {
        await withStore({ client: prefixed }, async (of) => {
          expect(await of.get('old')).to.deep.include({ n: 1 });
          expect(await of.ids()).to.deep.equal(['old']);
        });
        await withStore({ client: nodeRedis }, async (of) => {
          await of.set('n', data({ n: 2 }));
          await client.select(2);
          expect(await client.exists('sess:n')).to.equal(1);
          await client.select(0);
        });
        await withStore(
          { client: { sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'main' } },
          async (of) => {
            await of.set('by-sentinel', data({ n: 3 }));
            expect(await client.exists('sess:by-sentinel')).to.equal(1);
          },
        );
        await withStore({ client: clusterClient, scanCount: 10 }, async (of) => {
          const ids = Array.from({ length: 60 }, (_, i) => `c${i}`);
          await Promise.all(ids.map((id) => of.set(id, data({ id: 1 }))));
          expect((await of.ids()).sort()).to.deep.equal(ids.toSorted());
          expect(await of.length()).to.equal(60);
          const seen = new Set<string>();
          for await (const one of of.scanSessions()) seen.add(one.id);
          expect(seen.size).to.equal(60);
          await of.clear();
          expect(await of.length()).to.equal(0);
        });
      } finally {
        prefixed.disconnect();
        clusterClient.disconnect();
        await cluster.stop();
        await sentinel.stop();
      }
    });

    it('give a client of another copy of ioredis, with numbers as text, or a prefix in the URL', async () => {
      const real = new Redis(redis.url, { lazyConnect: true, keyPrefix: 'app:', stringNumbers: true });
      // what another copy of the class looks like: no instance of ours
      const foreign = { status: 'wait', options: real.options, duplicate: () => real } as unknown as Redis;
      for (const client of [foreign, `${redis.url}?keyPrefix=app:`])
        await withStore({ client, user: (of) => of.user as string }, async (of) => {
          await of.set('x', data({ n: 1, user: 'robin' }));
          const [one, two] = [await load('x', of), await load('x', of)];
          one.a = 1;
          two.b = 1;
          await Promise.all([save(one), save(two)]);
          expect(await of.get('x')).to.deep.include({ a: 1, b: 1 });
          expect(await of.ids()).to.deep.equal(['x']);
        });
      expect((await client.keys('*')).sort()).to.deep.equal(['app:sess:x', userKey('robin', 'app:users:sess:')]);
    });

    it('hear at once of an option that is wrong', () => {
      expect(() => new RedisSessionStore({ encryption: { secrets: 'my-long-secret-as-a-text' as never } }))
        .to.throw()
        .with.property('message')
        .that.does.not.include('my-long-secret');
      for (const options of [
        { prefx: 'x' },
        { client: { foo: 1 } },
        { ttl: 0.5 },
        { client, url: redis.url },
        { ttl: 0 },
        { maxSessionsPerUser: 2 },
        { encryption: { secrets: ['short'] } },
        { serializer: {} },
        { client: new Cluster([], { lazyConnect: true }), nearCache: {} },
        { client: { isOpen: true, options: { credentialsProvider: {} } } },
      ])
        expect(() => new RedisSessionStore(options as RedisSessionStoreOptions), JSON.stringify(Object.keys(options)))
          .to.throw(OptionError)
          .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
    });
  });
});
