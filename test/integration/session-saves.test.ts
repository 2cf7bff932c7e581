import { once } from 'node:events';
import calculateSlot from 'cluster-key-slot';
import { expect } from 'chai';
import type { Session, SessionData } from 'express-session';
import { Cluster, Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { RedisSessionStore, type RedisSessionStoreOptions } from '../../lib/index.js';
import { besideKey, endedPrefix } from '../../lib/redis/keys.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { FaultyProxy } from '../support/proxy.js';
import { until } from '../support/until.js';

const data = (more: object = {}, maxAge?: number): SessionData =>
  ({
    cookie: {
      path: '/',
      httpOnly: true,
      originalMaxAge: maxAge ?? null,
      ...(maxAge !== undefined && { expires: new Date(Date.now() + maxAge) }),
    },
    ...more,
  }) as SessionData;

const load = (sid: string, of: RedisSessionStore): Promise<Session & SessionData> =>
  new Promise((resolve, reject) =>
    of.load(sid, (error, found) =>
      error || !found ? reject(error ?? new Error('no session')) : resolve(found as Session & SessionData),
    ),
  );
const save = (of: Session): Promise<void> =>
  new Promise((resolve, reject) => of.save((error) => (error ? reject(error) : resolve())));
const told = (of: RedisSessionStore): string[] => {
  const events: string[] = [];
  for (const name of ['created', 'destroyed', 'conflict', 'refused'])
    of.on(name, (sid: string) => events.push(`${name} ${sid}`));
  return events;
};
const users = { user: (of: SessionData) => of.user as string | undefined };
const modes = ['merge', 'overwrite', 'reject'] as const;

const DAYS_400 = 400 * 86_400_000;

describe('a save of RedisSessionStore', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened: (() => Promise<unknown>)[] = [];
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
    await client.flushall();
  });
  after(async () => {
    client.disconnect();
    await redis.stop();
  });

  const open = (options: RedisSessionStoreOptions = {}): RedisSessionStore => {
    const store = new RedisSessionStore({ ...(options.client ? {} : { url: redis.url }), ...options });
    opened.push(() => store.close());
    return store;
  };
  /** A store whose network can fail. */
  async function openFar(options: RedisSessionStoreOptions = {}) {
    const proxy = await FaultyProxy.open(redis.port);
    opened.push(() => proxy.close());
    const store = open({ ...options, url: proxy.url });
    await store.length();
    return { proxy, store };
  }
  /** Does something that Redis carries out, and whose answer is lost. */
  async function unanswered(
    { proxy, store }: { proxy: FaultyProxy; store: RedisSessionStore },
    act: () => Promise<unknown>,
    done: () => Promise<boolean>,
    meanwhile: () => Promise<unknown> = async () => {},
  ): Promise<void> {
    proxy.holdAnswers();
    const failed = act().then(
      () => expect.fail('was answered'),
      (error: { code?: string }) => error.code,
    );
    await until('it is in Redis', done);
    await meanwhile();
    const ready = new Promise((resolve) => store.client.once('ready', resolve));
    proxy.cut();
    proxy.release();
    expect(await failed).to.match(/_REDIS$|_NOT_READY$/);
    await ready;
  }
  /** Does something that Redis never gets. */
  async function neverSent(
    { proxy, store }: { proxy: FaultyProxy; store: RedisSessionStore },
    act: () => Promise<unknown>,
  ): Promise<void> {
    proxy.hold();
    const failed = act().then(
      () => expect.fail('was answered'),
      (error: { code?: string }) => error.code,
    );
    const ready = new Promise((resolve) => store.client.once('ready', resolve));
    setImmediate(() => {
      proxy.cut();
      proxy.release();
    });
    expect(await failed).to.match(/_REDIS$|_NOT_READY$/);
    await ready;
  }
  const stored = async (sid: string) => JSON.parse((await client.get(`sess:${sid}`)) ?? 'null') as SessionData | null;

  describe('of a login', () => {
    it('does not wait for the answer to its note: a new session, one that logs in, after SCRIPT FLUSH too', async () => {
      const { proxy, store } = await openFar(users);
      for (const flushed of [false, true]) {
        await store.set('old', data({ n: 1 }, 50_000));
        const session = await load('old', store);
        session.n = 2;
        await save(session);
        if (flushed) await client.script('FLUSH');
        proxy.holdAnswers();
        const fresh = store.set('new', data({ user: 'robin' }, 50_000));
        await until('the new session is stored', async () => (await stored('new'))?.user === 'robin');
        proxy.release();
        await fresh;
        session.user = 'robin';
        proxy.holdAnswers();
        const login = save(session);
        // a changed session's script must be known: the one after a flush is sent twice
        if (!flushed) await until('the session is saved', async () => (await stored('old'))?.user === 'robin');
        proxy.release();
        await login;
        expect(await client.hkeys('users:sess:robin')).to.have.members(['new', 'old']);
        await store.clear();
      }
    });

    it('is noted before it is stored, and destroyAllOf() misses none that is there', async () => {
      const store = open(users);
      const other = open(users);
      await store.length();
      const check = `local there, missed = 0, 0
        for _, key in ipairs(redis.call('KEYS', 'sess:*')) do
          there = there + 1
          if redis.call('HEXISTS', 'users:sess:robin', key:sub(6)) == 0 then missed = missed + 1 end
        end
        return { there, missed }`;
      let [seen, ended] = [0, 0];
      for (let round = 0; round < 20; round++) {
        await client.script('FLUSH');
        const logins = Promise.all(
          Array.from({ length: 10 }, (_, i) => store.set(`s${round}-${i}`, data({ user: 'robin' }, 50_000))),
        );
        let there = 0;
        while (there === 0) {
          const [count, missed] = (await client.eval(check, 0)) as [number, number];
          expect(missed).to.equal(0);
          there = count;
        }
        const before = (await client.keys('sess:*')).map((key) => key.slice(5));
        ended += await other.destroyAllOf('robin');
        await logins;
        seen += before.length;
        for (const sid of before) expect(await stored(sid), sid).to.equal(null);
        await store.destroyAllOf('robin');
      }
      expect(seen).to.be.at.least(20);
      expect(ended).to.be.at.least(seen);
    });

    it('whose note Redis refuses is not stored, is the page’s error, and can be saved again', async () => {
      const store = open(users);
      await client.set('users:sess:robin', 'no hash');
      await store.set('old', data({ n: 1 }, 50_000));
      const [fresh, session] = [data({ user: 'robin' }, 50_000), await load('old', store)];
      session.user = 'robin';
      expect((await store.set('new', fresh).catch((error) => error)).message).to.match(/WRONGTYPE/);
      expect((await save(session).catch((error) => error)).message).to.match(/WRONGTYPE/);
      expect(await stored('new')).to.equal(null);
      expect(await stored('old'))
        .to.deep.include({ n: 1 })
        .and.not.have.property('user');
      await client.del('users:sess:robin');
      await Promise.all([store.set('new', fresh), save(session)]);
      expect((await store.sessionsOf('robin')).map(({ id }) => id)).to.have.members(['new', 'old']);
    });

    it('never waits for itself where the limit of the user’s sessions ends it', async () => {
      const store = open({ ...users, maxSessionsPerUser: 1 });
      for (let round = 0; round < 20; round++) {
        const sids = Array.from({ length: 20 }, (_, i) => `${String.fromCharCode(122 - i)}${round}`);
        await Promise.all(sids.map((sid) => store.set(sid, data({ user: `u${round}` }, 50_000))));
        expect((await store.sessionsOf(`u${round}`)).length).to.equal(1);
      }
    });
  });

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
      const node = await cluster.masterOf(`users:sess:${user}`);
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
      const proxy = await proxyOf('users:sess:robin');
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
      const ended = besideKey(endedPrefix(''), 'users:sess:robin');
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

  describe('behind another of the same page', () => {
    const flash = (session: (Session & SessionData) | SessionData, text: string) =>
      Object.assign(session, { flash: text });

    for (const saveMode of modes)
      it(`does not wait for its answer: a new session, and one that was read (${saveMode})`, async () => {
        const { proxy, store } = await openFar({ saveMode, ...users });
        const events = told(store);
        const fresh = data({ user: 'robin' }, 50_000);
        await store.set('old', data({ n: 0 }, 50_000));
        const read = await load('old', store);
        read.n = 1;
        await save(read);
        proxy.holdAnswers();
        const saves = [store.set('new', fresh), store.set('new', flash(fresh, 'one')), save(read)];
        flash(read, 'two');
        saves.push(save(read), store.set('new', flash(fresh, 'three')));
        await until('all are stored', async () => {
          const [one, two] = [await stored('new'), await stored('old')];
          return one?.flash === 'three' && two?.flash === 'two';
        });
        proxy.release();
        await Promise.all(saves);
        await store.set('new', flash(fresh, 'four'));
        expect(await stored('new')).to.deep.include({ flash: 'four', user: 'robin' });
        expect((await store.sessionsOf('robin')).map(({ id }) => id)).to.deep.equal(['new']);
        expect(events.filter((one) => !one.endsWith('old'))).to.deep.equal(['created new']);
        expect(events.filter((one) => /conflict|refused/.test(one))).to.deep.equal([]);
      });

    it('is made again in its turn where that one was merged, is gone, or got no answer', async () => {
      const far = await openFar();
      const near = open();
      await far.store.set('s', data({ n: 0 }, 50_000));
      const [merging, other] = [await load('s', far.store), await load('s', near)];
      other.theirs = true;
      await save(other);
      merging.n = 1;
      const first = save(merging);
      merging.flash = 'x';
      await Promise.all([first, save(merging)]);
      expect(await stored('s')).to.deep.include({ n: 1, flash: 'x', theirs: true });

      const session = await load('s', far.store);
      const both = () => {
        session.n = 3;
        const one = save(session);
        session.n = 4;
        const two = save(session);
        one.catch(() => {});
        return two;
      };
      await unanswered(far, both, async () => (await stored('s'))?.n === 4);
      Object.assign(session, { n: 0 });
      delete session.flash;
      await save(session);
      expect(await stored('s'))
        .to.deep.include({ n: 0, theirs: true })
        .and.not.have.property('flash');

      await near.destroy('s');
      session.n = 5;
      const gone = save(session);
      session.n = 6;
      await Promise.all([gone, save(session)]);
      expect(await stored('s')).to.equal(null);
    });
  });

  describe('that got no answer', () => {
    for (const saveMode of modes)
      it(`is this request’s own: what it takes back is taken back (${saveMode})`, async () => {
        const far = await openFar({ saveMode });
        const events = told(far.store);
        await far.store.set('u', data({ n: 0, removed: 'x', same: 1 }, 50_000));
        const session = await load('u', far.store);
        const change = () => {
          Object.assign(session, { n: 1, added: true });
          delete session.removed;
          return save(session);
        };
        await unanswered(far, change, async () => (await stored('u'))?.n === 1);
        Object.assign(session, { n: 0, removed: 'x' });
        delete session.added;
        await save(session);
        expect(await stored('u'))
          .to.deep.include({ n: 0, removed: 'x', same: 1 })
          .and.not.have.property('added');
        session.n = 2;
        await save(session);
        expect(await stored('u')).to.deep.include({ n: 2 });
        expect(events).to.deep.equal(['created u']);
      });

    it('is its own where another went on from it, too: the other’s change is kept', async () => {
      const far = await openFar();
      const near = open();
      const events = told(far.store);
      await far.store.set('u', data({ n: 0, removed: 'x' }, 50_000));
      const session = await load('u', far.store);
      const change = () => {
        session.n = 1;
        delete session.removed;
        return save(session);
      };
      await unanswered(
        far,
        change,
        async () => (await stored('u'))?.n === 1,
        async () => {
          const other = await load('u', near);
          other.theirs = true;
          await save(other);
        },
      );
      Object.assign(session, { n: 0, removed: 'x' });
      await save(session);
      expect(await stored('u')).to.deep.include({ n: 0, removed: 'x', theirs: true });
      expect(events).to.deep.equal(['created u', 'conflict u']);
    });

    it('may be the second, or over a merge, or one that was never carried out', async () => {
      const far = await openFar();
      const near = open();
      await far.store.set('u', data({ n: 0, a: 0 }, 50_000));
      const [session, other] = [await load('u', far.store), await load('u', near)];
      other.theirs = true;
      await save(other);
      session.a = 1;
      await save(session); // merged
      for (const [n, lost] of [[1, true] as const, [2, false] as const, [3, true] as const]) {
        session.n = n;
        if (lost) await neverSent(far, () => save(session));
        else
          await unanswered(
            far,
            () => save(session),
            async () => (await stored('u'))?.n === n,
          );
      }
      Object.assign(session, { n: 0, a: 0 });
      await save(session);
      expect(await stored('u')).to.deep.include({ n: 0, a: 0, theirs: true });
    });

    for (const saveMode of modes) {
      it(`of a new session: the next goes over it, carried out or not (${saveMode})`, async () => {
        const far = await openFar({ saveMode });
        const events = told(far.store);
        const session = data({ n: 1, added: true }, 50_000);
        await unanswered(
          far,
          () => far.store.set('f', session),
          async () => (await stored('f')) !== null,
        );
        delete session.added;
        await far.store.set('f', Object.assign(session, { n: 0 }));
        expect(await stored('f'))
          .to.deep.include({ n: 0 })
          .and.not.have.property('added');
        const other = data({ n: 1 });
        await neverSent(far, () => far.store.set('g', other));
        expect(await stored('g')).to.equal(null);
        await far.store.set('g', other);
        await far.store.set('g', Object.assign(other, { n: 2 }));
        expect(await stored('g')).to.deep.include({ n: 2 });
        expect(events).to.deep.equal(['created f', 'created g']);
      });

      it(`of a new session that was destroyed elsewhere since does not come back (${saveMode})`, async () => {
        const far = await openFar({ saveMode, ...users });
        const near = open(users);
        const events = told(far.store);
        for (const end of [() => near.destroy('f'), () => near.destroyAllOf('robin')]) {
          const session = data({ user: 'robin', n: 1 }, 50_000);
          await unanswered(
            far,
            () => far.store.set('f', session),
            async () => (await stored('f')) !== null,
            end,
          );
          await far.store.set('f', Object.assign(session, { n: 2 }));
          expect(await stored('f')).to.equal(null);
          expect(await near.sessionsOf('robin')).to.deep.equal([]);
          await client.flushall();
        }
        expect(events).to.deep.equal(['refused f', 'refused f']);
      });
    }

    it('of a new session that another changed since: both are kept; with saveMode reject that is a conflict', async () => {
      for (const saveMode of ['merge', 'reject'] as const) {
        const far = await openFar({ saveMode });
        const near = open();
        const session = data({ n: 1, added: true }, 50_000);
        await unanswered(
          far,
          () => far.store.set('f', session),
          async () => (await stored('f')) !== null,
          async () => {
            const other = await load('f', near);
            other.theirs = true;
            await save(other);
          },
        );
        delete session.added;
        const again = await far.store.set('f', Object.assign(session, { n: 0 })).catch((error) => error.status);
        if (saveMode === 'reject') expect(again).to.equal(409);
        else
          expect(await stored('f'))
            .to.deep.include({ n: 0, theirs: true })
            .and.not.have.property('added');
        await client.flushall();
      }
    });
  });

  it('of twenty requests at once keeps each one’s key, and of one array what one of them knew', async () => {
    const stores = [open(), open()];
    const both = (i: number) => stores[i % 2] as RedisSessionStore;
    await both(0).set('c', data({ cart: [] }, 50_000));
    const loaded = await Promise.all(Array.from({ length: 20 }, (_, i) => load('c', both(i))));
    for (const [i, session] of loaded.entries()) {
      (session.cart as number[]).push(i);
      session[`cart:${i}`] = { added: i };
    }
    await Promise.all(loaded.map(save));
    const after = (await stored('c')) as SessionData;
    expect(Object.keys(after).filter((key) => key.startsWith('cart:'))).to.have.lengthOf(20);
    expect(after.cart).to.have.lengthOf(1);
  });

  it('logs out where no tombstone may be written: no memory left, or an ACL without its key', async () => {
    const store = open(users);
    await store.set('m', data({ n: 1 }));
    await client.config('SET', 'maxmemory', '1');
    await store.destroy('m');
    await client.config('SET', 'maxmemory', '0');
    expect(await stored('m')).to.equal(null);
    await client.acl('SETUSER', 'narrow', 'on', '>secret', '~sess:*', '&*', '+@all');
    const narrow = open({ url: redis.url.replace('redis://', 'redis://narrow:secret@') });
    const faults: Error[] = [];
    narrow.on('fault', (error) => faults.push(error));
    for (const sid of ['a', 'b']) {
      await narrow.set(sid, data({ n: 1 }));
      await narrow.destroy(sid);
      expect(await stored(sid)).to.equal(null);
    }
    expect(faults.map(({ message }) => /ended:\*/.test(message))).to.deep.equal([true]);
  });

  describe('of a copy that has expired', () => {
    /** Two copies of one session, the first of which runs out while the other renews it. */
    async function slowAndRenewing(store: RedisSessionStore, change: object = {}) {
      await store.set('e', data({ n: 0 }, 300));
      const [slow, renewing] = [await load('e', store), await load('e', store)];
      renewing.cookie.maxAge = 50_000;
      Object.assign(renewing, change);
      if (Object.keys(change).length > 0) await save(renewing);
      else await store.touch('e', renewing);
      await until('the copy has run out', () => Number(slow.cookie.maxAge) < 0);
      return slow;
    }

    for (const saveMode of modes)
      it(`never ends the session, and keeps its later end: no conflict (${saveMode})`, async () => {
        const store = open({ saveMode, touchAfter: 0 });
        const events = told(store);
        const slow = await slowAndRenewing(store);
        slow.mine = 1;
        await save(slow);
        expect(await stored('e')).to.deep.include({ n: 0, mine: 1 });
        if (saveMode !== 'overwrite')
          expect(new Date(String((await stored('e'))?.cookie.expires)).getTime()).to.be.above(Date.now() + 40_000);
        expect(await client.pttl('sess:e')).to.be.above(40_000);
        await store.touch('e', slow);
        expect(await client.pttl('sess:e')).to.be.above(40_000);
        expect(events).to.deep.equal(['created e']);
      });

    it('is merged over what another request changed', async () => {
      const store = open({ touchAfter: 0 });
      const slow = await slowAndRenewing(store, { theirs: 1 });
      slow.mine = 1;
      await save(slow);
      expect(await stored('e')).to.deep.include({ n: 0, mine: 1, theirs: 1 });
      expect(await client.pttl('sess:e')).to.be.above(40_000);
    });

    it('is refused where the session has expired in Redis too: nothing is written, and no error', async () => {
      const store = open();
      const events = told(store);
      await store.set('e', data({ n: 0 }, 300));
      const slow = await load('e', store);
      await until('it has expired', async () => (await stored('e')) === null && Number(slow.cookie.maxAge) < 0);
      slow.n = 1;
      await save(slow);
      await store.touch('e', slow);
      expect(await stored('e')).to.equal(null);
      expect(events).to.deep.equal(['created e', 'refused e']);
    });

    it('has run out after a touch() of its own, too (a page that streams for longer than maxAge)', async () => {
      const store = open({ touchAfter: 0 });
      await store.set('e', data({ n: 0 }, 300));
      const [slow, renewing] = [await load('e', store), await load('e', store)];
      slow.touch();
      renewing.cookie.maxAge = 50_000;
      await store.touch('e', renewing);
      await until('the copy has run out', () => Number(slow.cookie.maxAge) < 0);
      slow.n = 1;
      await save(slow);
      expect(await stored('e')).to.deep.include({ n: 1 });
      expect(await client.pttl('sess:e')).to.be.above(40_000);
    });

    it('is not one that the page ends itself: maxAge 0, or an end in the past, by save and by touch', async () => {
      const store = open({ touchAfter: 0 });
      const ends: ((session: Session) => void)[] = [
        (session) => {
          session.cookie.maxAge = 0;
        },
        (session) => {
          session.cookie.expires = new Date(Date.now() - 1);
        },
        (session) => {
          session.cookie.expires = new Date(0);
        },
      ];
      for (const end of ends)
        for (const how of [save, (session: Session) => store.touch('e', session as Session & SessionData)]) {
          await store.set('e', data({ n: 0 }, 50_000));
          const session = await load('e', store);
          end(session);
          session.touch();
          await how(session);
          expect(await stored('e')).to.equal(null);
        }
    });

    it('a merge keeps the later end, unless this request chose how long the session lives', async () => {
      const store = open();
      const end = async () => Number(new Date(String((await stored('m'))?.cookie.expires)));
      const both = async (mine: (of: Session) => void, theirs: (of: Session) => void, from?: number) => {
        await store.set('m', data({ n: 0 }, from));
        const [one, other] = [await load('m', store), await load('m', store)];
        theirs(other);
        other.theirs = 1;
        await save(other);
        mine(one);
        one.mine = 1;
        await save(one);
        expect(await stored('m')).to.deep.include({ theirs: 1, mine: 1 });
        return client.pttl('sess:m');
      };
      const lives = (ms: number) => (of: Session) => {
        of.cookie.maxAge = ms;
      };
      const touches = (of: Session) => void of.touch();
      expect(await both(touches, lives(90_000), 50_000)).to.be.within(80_000, 90_000);
      expect(await end()).to.be.within(Date.now() + 80_000, Date.now() + 90_000);
      expect(await both(touches, lives(10_000), 50_000)).to.be.within(40_000, 50_000);
      expect(await both(lives(20_000), lives(90_000), 50_000)).to.be.within(10_000, 20_000);
      // "remember me" by another request, of a session that ended with the browser
      expect(await both(touches, lives(9e8))).to.be.above(8e8);
      expect(await end()).to.be.above(Date.now() + 8e8);
    });
  });

  describe('with a time to live that makes no sense', () => {
    const nonsense: Record<string, unknown> = {
      undefined: undefined,
      null: null,
      NaN: Number.NaN,
      Infinity: Number.POSITIVE_INFINITY,
      text: 'an hour',
      'a promise': Promise.resolve(60),
      'a promise that is rejected': Promise.reject(new Error('the site’s own')),
    };
    (nonsense['a promise that is rejected'] as Promise<unknown>).catch(() => {});
    for (const [name, value] of Object.entries(nonsense))
      it(`from the ttl function: ${name}: a day, and one fault`, async () => {
        const store = open({ ttl: (() => value) as () => number, touchAfter: 0 });
        const faults: { code?: string }[] = [];
        store.on('fault', (error) => faults.push(error));
        await store.set('t', data({ n: 1 }, 5000));
        expect(await client.pttl('sess:t')).to.be.within(86_300_000, 86_400_000);
        const session = await load('t', store);
        session.n = 2;
        await save(session);
        await store.touch('t', session);
        expect(await client.pttl('sess:t')).to.be.within(86_300_000, 86_400_000);
        expect(store.ttlSeconds(session)).to.equal(86_400);
        expect(faults.map(({ code }) => code)).to.deep.equal(['ERR_INTELLIGENT_SESSION_ARGUMENT']);
        expect(await store.metrics.metrics()).to.match(/event="invalid"\} [1-9]/);
      });

    it('from the ttl function: what it throws at a touch is told, and the response gets its end', async () => {
      let broken = false;
      const theirs = new Error('the site’s own');
      const ttl = () => {
        if (broken) throw theirs;
        return 100;
      };
      const store = open({ ttl, touchAfter: 0 });
      await store.set('thrown', data({ n: 1 }));
      const session = await load('thrown', store);
      broken = true;
      const fault = once(store, 'fault');
      // express-session calls it in res.end(), where an error leaves the response without its end
      await new Promise<void>(
        (resolve, reject) => void store.touch('thrown', session, (error) => (error ? reject(error) : resolve())),
      );
      expect(await fault).to.deep.equal([theirs]);
      expect(await store.touch('thrown', session).catch((error) => error)).to.equal(theirs);
    });

    it('from the ttl function: 0 or less ends the session; more than 400 days are 400 days, with one fault', async () => {
      let seconds = 10;
      const store = open({ ttl: () => seconds });
      const faults: Error[] = [];
      store.on('fault', (error) => faults.push(error));
      for (const much of [Number.MAX_SAFE_INTEGER, Number.MAX_VALUE]) {
        seconds = much;
        await store.set('much', data({ n: 1 }));
        const session = await load('much', store);
        session.n = 2;
        await save(session);
        await store.touch('much', session);
        expect(await client.pttl('sess:much')).to.be.within(DAYS_400 - 60_000, DAYS_400);
      }
      expect(faults).to.have.lengthOf(1);
      expect(faults[0]?.message).to.match(/more than 400 days/);
      for (const less of [0, -5]) {
        seconds = 10;
        await store.set('less', data({ n: 1 }));
        const session = await load('less', store);
        seconds = less;
        await save(session);
        expect(await stored('less')).to.equal(null);
      }
    });

    it('from the cookie or option ttl: more than 400 days are 400 days, with one fault', async () => {
      const within = async (sid: string) =>
        expect(await client.pttl(`sess:${sid}`)).to.be.within(DAYS_400 - 60_000, DAYS_400);
      for (const [option, maxAge] of [
        [100, 1e15],
        [1e12, undefined],
      ] as const) {
        const store = open({ ttl: option, touchAfter: 0, user: () => 'robin' });
        const faults: Error[] = [];
        store.on('fault', (error) => faults.push(error));
        await store.set('long', data({ n: 1 }, maxAge));
        await within('long');
        const session = await load('long', store);
        session.n = 2;
        await save(session);
        await within('long');
        await store.touch('long', session);
        await within('long');
        expect(await client.pttl('users:sess:robin')).to.be.below(DAYS_400 * 1.02);
        expect(store.ttlSeconds(session, true)).to.equal(DAYS_400 / 1000);
        expect(faults).to.have.lengthOf(1);
        await client.flushdb();
      }
      const kept = open({ disableTTL: true });
      kept.on('fault', (error) => expect.fail(error));
      await kept.set('kept', data({ n: 1 }, 1e15));
      expect(await client.pttl('sess:kept'), 'without a ttl at all').to.equal(-1);
    });

    it('from the cookie: maxAge: Infinity, or an end that is no date: option ttl, and one fault', async () => {
      const store = open({ ttl: 100, touchAfter: 0 });
      const faults: Error[] = [];
      store.on('fault', (error) => faults.push(error));
      await store.set('c', data({ n: 1 }, 5000));
      const session = await load('c', store);
      session.cookie.maxAge = Number.POSITIVE_INFINITY;
      await save(session);
      expect(await client.pttl('sess:c')).to.be.within(99_000, 100_000);
      await store.touch('c', session);
      expect(await client.pttl('sess:c')).to.be.within(99_000, 100_000);
      await store.set('d', {
        ...data({ n: 1 }),
        cookie: { ...data().cookie, expires: 'soon' as never },
      } as SessionData);
      expect(await client.pttl('sess:d')).to.be.within(99_000, 100_000);
      expect(faults).to.have.lengthOf(1);
    });
  });

  it('of whom the user function says nothing sensible is nobody’s, with one fault; false is nobody', async () => {
    let said: () => unknown = () => false;
    const store = open({ user: () => said() as string });
    const faults: { code?: string }[] = [];
    store.on('fault', (error) => faults.push(error));
    await store.set('f', data({ n: 1 }));
    expect(faults).to.have.lengthOf(0);
    said = () => 'robin';
    await store.set('robin', data({ n: 1 }));
    // what a body may hold, and what code may give by mistake
    const parsed = ['{}', '["robin"]', '[["robin"]]', '[]', '{"toString":"robin"}', '{"__proto__":["robin"]}', 'true'];
    const nonsense: (() => unknown)[] = parsed.map((text) => () => JSON.parse(text) as unknown);
    nonsense.push(
      () => Promise.resolve('robin'),
      () => Promise.reject(new Error('theirs')),
      () => Number.NaN,
      () => new Date(),
      () => /robin/,
      () => new Error('robin'),
      () => () => 'robin',
      () => Symbol('robin'),
      () => Object.create(null),
      () => new Map([['robin', 1]]),
    );
    for (const [i, one] of nonsense.entries()) {
      said = one;
      await store.set(`n${i}`, data({ n: 1 }));
      const session = await load(`n${i}`, store);
      session.n = 2;
      await save(session);
    }
    expect(faults.map(({ code }) => code)).to.deep.equal(['ERR_INTELLIGENT_SESSION_ARGUMENT']);
    said = () => ({ toString: () => '507f1f77bcf86cd799439011' });
    await store.set('o', data({ n: 1 }));
    expect(await client.keys('users:*')).to.have.members(['users:sess:507f1f77bcf86cd799439011', 'users:sess:robin']);
    expect(await client.hkeys('users:sess:robin')).to.deep.equal(['robin']);
    said = () => 'robin';
    expect(await store.destroyAllOf('robin')).to.equal(1);
    expect(await store.length()).to.equal(nonsense.length + 2);
    expect(faults).to.have.lengthOf(1);
  });

  it('whose serializer gives no text is the page’s error, and nothing is stored', async () => {
    const store = open({
      serializer: { stringify: (async () => '{}') as unknown as () => string, parse: (text) => JSON.parse(text) },
    });
    expect(await store.set('x', data({ n: 1 })).catch((error) => error)).to.include({
      code: 'ERR_INTELLIGENT_SESSION_ARGUMENT',
      status: 500,
    });
    expect(await stored('x')).to.equal(null);
  });
});
