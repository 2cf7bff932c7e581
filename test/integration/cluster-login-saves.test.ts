import calculateSlot from 'cluster-key-slot';
import { expect } from 'chai';
import { Cluster } from 'ioredis';
import { type RedisSessionStoreOptions } from '../../lib/index.js';
import { besideKey, endedPrefix } from '../../lib/redis/keys.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { FaultyProxy } from '../support/proxy.js';
import { data, StoreGround, told, users, userKey } from '../support/stores.js';
import { until } from '../support/until.js';

describe('a save of RedisSessionStore', () => {
  const ground = new StoreGround();
  const { open, opened } = ground;

  describe('of a login in a Cluster', () => {
    let cluster: PrivateCluster;
    before(async () => {
      cluster = await startCluster(3);
    });
    after(() => cluster.stop());
    const openCluster = (options: RedisSessionStoreOptions = {}) =>
      open({ ...users, ...options, client: new Cluster([...cluster.nodes], { lazyConnect: true }) });
    /** A store on the cluster with a network of its own to each node. */
    async function openFarCluster() {
      const proxies = await Promise.all(cluster.nodes.map(({ port }) => FaultyProxy.open(port)));
      opened.push(() => Promise.all(proxies.map((proxy) => proxy.close())));
      const ports = proxies.map(({ url }) => Number(new URL(url).port));
      const natMap = Object.fromEntries(
        cluster.nodes.map(({ host, port }, i) => [`${host}:${port}`, { host, port: ports[i] as number }]),
      );
      const store = open({
        ...users,
        client: new Cluster(
          ports.map((port) => ({ host: '127.0.0.1', port })),
          { lazyConnect: true, natMap },
        ),
      });
      const proxyOf = async (key: string) => {
        const { port } = await cluster.masterOf(key);
        return proxies[cluster.nodes.findIndex((node) => node.port === port)] as FaultyProxy;
      };
      return { store, proxyOf };
    }
    /** An id whose session is on another node than the user's hash. */
    const elsewhere = async (user: string, from: number): Promise<string> => {
      const node = await cluster.masterOf(userKey(user));
      for (let i = from; ; i++) if ((await cluster.masterOf(`sess:s${i}`)) !== node) return `s${i}`;
    };

    it('is ended by a destroyAllOf() that ran before its note came, unless excepted', async () => {
      const { store, proxyOf } = await openFarCluster();
      const other = openCluster();
      const [sid, kept] = [await elsewhere('robin', 0), await elsewhere('robin', 100)];
      for (const id of [sid, kept]) {
        await store.set(id, data({}, 50_000)); // connected to the nodes
        await store.set('w', data({ user: 'robin' }));
        await store.destroy(id);
      }
      const events = told(store);
      const proxy = await proxyOf(userKey('robin'));
      proxy.hold();
      const saved = Promise.all([sid, kept].map((id) => store.set(id, data({ user: 'robin' }, 50_000))));
      for (const id of [sid, kept]) await until('the session is there', async () => (await other.get(id)) !== null);
      await other.destroyAllOf('robin', { except: kept });
      expect(await other.get(sid)).to.deep.include({ user: 'robin' });
      proxy.release();
      await saved;
      expect(await other.get(sid)).to.equal(null);
      expect(await other.get(kept)).to.deep.include({ user: 'robin' });
      expect(events).to.have.members([`created ${sid}`, `created ${kept}`, `destroyed ${sid}`]);
      const ended = besideKey(endedPrefix(''), userKey('robin'));
      expect(await other.client.pttl(ended)).to.be.within(1, 60_000);
    });

    it('that was there before a destroyAllOf() is always ended, and one that begins after it never', async () => {
      const [store, other] = [openCluster(), openCluster()];
      await Promise.all([store.length(), other.length()]);
      for (let round = 0; round < 60; round++) {
        const user = `u${round}`;
        const sids = Array.from({ length: 5 }, (_, i) => `${round}-${i}`);
        const logins = Promise.all(sids.map((sid) => store.set(sid, data({ user }, 50_000))));
        let before: string[] = [];
        while (before.length === 0) {
          const found = await Promise.all(sids.map(async (sid) => ((await other.get(sid)) ? sid : '')));
          before = found.filter(Boolean);
        }
        await other.destroyAllOf(user);
        await logins;
        for (const sid of before) expect(await other.get(sid), sid).to.equal(null);
        for (const ends of [store, other]) {
          await ends.destroyAllOf(user);
          await store.set(`${round} again`, data({ user }, 50_000));
          expect(await other.get(`${round} again`)).to.deep.include({ user });
        }
      }
    });

    it('works with any id: its tombstone is in its slot', async () => {
      const store = openCluster();
      await store.clear();
      for (const id of ['a', '{a}b', 'a}b', 'a{}b', '{', '}{', 'x}y{z}', 'x{y', '{}', 'é{ü}', '']) {
        const key = `sess:${id}`;
        expect(calculateSlot(besideKey(endedPrefix(''), key)), id).to.equal(calculateSlot(key));
        await store.set(id, data({ n: 1 }));
        await store.destroy(id);
        expect(await store.get(id)).to.equal(null);
        expect(await store.client.pttl(besideKey(endedPrefix(''), key)), id).to.be.within(1, 60_000);
      }
      expect(await store.length()).to.equal(0);
    });
  });
});
