import { expect } from 'chai';
import { RedisStore as ConnectRedis9 } from 'connect-redis';
import { RedisStore as ConnectRedis8 } from 'connect-redis8';
import express, { type NextFunction, type Request, type Response } from 'express';
import session, { type Session, type SessionData } from 'express-session';
import { Cluster, Redis } from 'ioredis';
import { createClient } from 'redis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { RedisSessionStore, type RedisSessionStoreOptions, type Serializer, OptionError } from '../../lib/index.js';
import { startCluster } from '../support/cluster.js';
import { FaultyProxy } from '../support/proxy.js';
import { startSentinel } from '../support/sentinel.js';
import { Site, Visitor } from '../support/site.js';

const data = (more: object = {}, expires?: Date): SessionData =>
  ({
    cookie: { originalMaxAge: null, path: '/', httpOnly: true, ...(expires && { expires }) },
    ...more,
  }) as SessionData;

describe('RedisSessionStore', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let store: RedisSessionStore;
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    store = new RedisSessionStore({ redis: redis.url, ttl: 100, scanCount: 10 });
  });
  beforeEach(() => client.flushdb());
  after(async () => {
    await store.close();
    client.disconnect();
    await redis.stop();
  });

  it('is a store of express-session’s', () => {
    expect(store).to.be.instanceOf(session.Store);
  });

  it('gives back what was set, by promise and by callback', async () => {
    await store.set('a', data({ cart: [1, { two: 2 }] }));
    expect(await store.get('a')).to.deep.include({ cart: [1, { two: 2 }] });
    const [error, found] = await new Promise<unknown[]>((resolve) => void store.get('a', (...args) => resolve(args)));
    expect(error).to.equal(null);
    expect(found).to.deep.include({ cart: [1, { two: 2 }] });
    expect(await store.get('none')).to.equal(null);
  });

  it('keeps JSON under sess:<sid>, as connect-redis does', async () => {
    await store.set('a:b*', data({ user: 'robin' }));
    expect(JSON.parse((await client.get('sess:a:b*')) ?? '')).to.deep.include({ user: 'robin' });
    await client.set('sess:theirs', '{"cookie":{"originalMaxAge":null},"n":1}', 'EX', 50);
    expect(await store.get('theirs')).to.deep.include({ n: 1 });
  });

  it('expires with the cookie to the millisecond, else after ttl', async () => {
    await store.set('cookie', data({ n: 1 }, new Date(Date.now() + 12_345)));
    await store.set('ttl', data({ n: 1 }));
    expect(await client.pttl('sess:cookie')).to.be.within(11_345, 12_345);
    expect(await client.pttl('sess:ttl')).to.be.within(99_000, 100_000);
    await store.set('cookie', data({ n: 1 }, new Date(Date.now() - 1)));
    expect(await client.exists('sess:cookie')).to.equal(0);
  });

  it('moves the expiry and the stored cookie’s at a touch, and revives nothing', async () => {
    await store.set('a', data({ n: 1 }, new Date(Date.now() + 1000)));
    const later = new Date(Date.now() + 50_000);
    await store.touch('a', data({ n: 2 }, later));
    expect(await client.pttl('sess:a')).to.be.above(40_000);
    const after = await store.get('a');
    expect(after).to.deep.include({ n: 1 });
    expect(after?.cookie.expires).to.equal(later.toJSON());
    await store.touch('gone', data({}, later));
    await store.touch('gone', data());
    expect(await client.exists('sess:gone')).to.equal(0);
  });

  it('never undoes with a touch what another request saved meanwhile', async () => {
    const later = new Date(Date.now() + 50_000);
    for (let round = 0; round < 100; round++) {
      await store.set('a', data({ n: 0 }, later));
      await Promise.all([store.touch('a', data({}, later)), store.set('a', data({ n: 1 }, later))]);
      expect(await store.get('a')).to.deep.include({ n: 1 });
    }
  });

  it('counts, lists, clears only its own sessions, with a glob in the prefix', async () => {
    const odd = new RedisSessionStore({ redis: redis.url, prefix: 'a[b]*:' });
    try {
      await Promise.all(Array.from({ length: 25 }, (_, i) => store.set(`s${i}`, data({ i }))));
      await odd.set('x', data({ odd: true }));
      await client.set('ab*:no', 'x');
      expect(await store.length()).to.equal(25);
      expect((await store.ids()).sort()).to.include.members(['s0', 's24']);
      expect((await store.all()).map(({ id }) => id)).to.have.lengthOf(25);
      expect(await odd.all())
        .to.have.lengthOf(1)
        .and.have.nested.property('[0].id', 'x');
      await odd.clear();
      expect(await store.length()).to.equal(25);
      await store.clear();
      expect(await client.keys('*')).to.deep.equal(['ab*:no']);
    } finally {
      await odd.close();
    }
  });

  it('destroys', async () => {
    await store.set('a', data({ n: 1 }));
    await store.destroy('a');
    expect(await store.get('a')).to.equal(null);
  });

  it('answers with a coded error, without the session’s id or data, where a key holds something else', async () => {
    await client.rpush('sess:secret-id', 'x');
    const error = await store.get('secret-id').catch((e) => e);
    expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_REDIS');
    expect(JSON.stringify([error.message, { ...error }])).to.not.contain('secret-id');
  });

  it('calls a callback once, even one that throws', async () => {
    let calls = 0;
    const thrown = new Promise<Error>((resolve) => {
      const listeners = process.rawListeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const listener of listeners) process.on('uncaughtException', listener as never);
        resolve(error);
      });
    });
    void store.get('a', () => {
      calls++;
      throw new Error('the page’s own');
    });
    expect((await thrown).message).to.equal('the page’s own');
    await store.get('a');
    expect(calls).to.equal(1);
  });

  /** A session as a page has it: read by express-session's own load(). */
  const load = (sid: string, of = store): Promise<Session & SessionData> =>
    new Promise((resolve, reject) =>
      of.load(sid, (error, found) =>
        error || !found ? reject(error ?? new Error('no session')) : resolve(found as Session & SessionData),
      ),
    );
  const save = (of: Session): Promise<void> =>
    new Promise((resolve, reject) => of.save((error) => (error ? reject(error) : resolve())));
  const told = (of: RedisSessionStore) => {
    const events: string[] = [];
    for (const name of ['created', 'destroyed', 'conflict', 'refused', 'expired'])
      of.on(name, (sid: string) => events.push(`${name} ${sid}`));
    return events;
  };
  async function withStore<T>(
    options: RedisSessionStoreOptions,
    act: (of: RedisSessionStore) => Promise<T>,
  ): Promise<T> {
    const one = new RedisSessionStore({ ...(options.client ? {} : { url: redis.url }), ...options });
    try {
      return await act(one);
    } finally {
      await one.close();
    }
  }

  describe('concurrent requests', () => {
    it('merge their changes, key by key: values, deletions, dates, lists; the cookie is not merged', async () => {
      const cookie = new Date(Date.now() + 50_000);
      const before = { a: 1, b: { deep: [1, 2] }, gone: 'x', kept: [], when: new Date(0), ['__proto__x']: 1 };
      await store.set('m', data(before, cookie));
      const [one, two] = [await load('m'), await load('m')];
      one.a = 2;
      delete one.gone;
      one.when = new Date(86_400_000);
      one.list = [{ of: 'one' }];
      two.b = { deep: [1, 2, 3] };
      two.added = new Date(1000);
      two.cookie.maxAge = 90_000;
      await Promise.all([save(one), save(two)]);
      const after = await store.get('m');
      expect(after).to.deep.include({
        a: 2,
        b: { deep: [1, 2, 3] },
        kept: [],
        when: '1970-01-02T00:00:00.000Z',
        list: [{ of: 'one' }],
        added: '1970-01-01T00:00:01.000Z',
        ['__proto__x']: 1,
      });
      expect(after).to.not.have.property('gone');
      expect([50_000, 90_000].some((ms) => Math.abs(Number(after?.cookie.originalMaxAge) - ms) < 1000)).to.equal(true);
    });

    it('a Date that nobody changed is no change', async () => {
      await store.set('d', data({ when: new Date(5), n: 1 }));
      const [one, two] = [await load('d'), await load('d')];
      two.when = 'later';
      await save(two);
      (one as unknown as { when: unknown }).when = new Date(5);
      one.n = 2;
      await save(one);
      expect(await store.get('d')).to.deep.include({ when: 'later', n: 2 });
    });

    it('the same key: the last save has it; a second save of a page goes on from its own first', async () => {
      await store.set('s', data({ n: 0 }));
      const [one, two] = [await load('s'), await load('s')];
      one.n = 1;
      one.mine = 1;
      await save(one);
      two.n = 2;
      await save(two);
      delete one.mine;
      one.more = true;
      await save(one);
      expect(await store.get('s'))
        .to.deep.include({ n: 2, more: true })
        .and.not.have.property('mine');
    });

    it('lose none of 20 changes that are made at once by four processes’ stores, and tell the conflicts', async () => {
      const stores = Array.from({ length: 4 }, () => new RedisSessionStore({ url: redis.url }));
      let conflicts = 0;
      for (const one of stores) one.on('conflict', () => conflicts++);
      try {
        await Promise.all(
          Array.from({ length: 50 }, async (_, n) => {
            const sid = `many-${n}`;
            await store.set(sid, data({ start: true }));
            const loaded = await Promise.all(Array.from({ length: 20 }, (_, i) => load(sid, stores[i % 4])));
            loaded.forEach((one, i) => {
              one[`k${i}`] = i;
            });
            await Promise.all(loaded.map(save));
            const after = await store.get(sid);
            for (let i = 0; i < 20; i++) expect(after).to.have.property(`k${i}`, i);
          }),
        );
        expect(conflicts).to.be.at.least(50);
      } finally {
        await Promise.all(stores.map((one) => one.close()));
      }
    });

    it('merge what a custom serializer reads and writes', () =>
      withStore({ serializer: tagged }, async (of) => {
        await of.set('t', data({ when: new Date(5) }));
        expect(await client.get('sess:t')).to.match(/^tagged /);
        const [one, two] = [await load('t', of), await load('t', of)];
        expect(one.when).to.be.instanceOf(Date);
        one.a = 1;
        two.b = new Date(7);
        await Promise.all([save(one), save(two)]);
        expect(await of.get('t')).to.deep.include({ when: new Date(5), a: 1, b: new Date(7) });
      }));

    it("saveMode 'reject': an error with a code; 'overwrite': the last one wins", async () => {
      await withStore({ saveMode: 'reject' }, async (of) => {
        await of.set('r', data({ n: 0 }));
        const [one, two] = [await load('r', of), await load('r', of)];
        one.n = 1;
        two.other = 2;
        await save(one);
        const error = await save(two).catch((e) => e);
        expect(error).to.include({ code: 'ERR_INTELLIGENT_SESSION_CONFLICT', status: 409 });
        expect(await of.get('r'))
          .to.deep.include({ n: 1 })
          .and.not.have.property('other');
      });
      await withStore({ saveMode: 'overwrite' }, async (of) => {
        const [one, two] = [await load('r', of), await load('r', of)];
        one.one = 1;
        two.two = 2;
        await save(one);
        await save(two);
        expect(await of.get('r'))
          .to.deep.include({ two: 2 })
          .and.not.have.property('one');
      });
    });
  });

  describe('saves', () => {
    it('of one page that overlap go on from each other: a deletion and a way back are kept', async () => {
      for (const saveMode of ['merge', 'reject'] as const)
        await withStore({ saveMode }, async (of) => {
          await of.set('o', data({ n: 0 }));
          const session = await load('o', of);
          session.flash = 'x';
          session.n = 1;
          const first = save(session);
          delete session.flash;
          session.n = 0;
          await Promise.all([first, save(session)]);
          expect(await of.get('o'))
            .to.deep.include({ n: 0 })
            .and.not.have.property('flash');
        });
    });

    it('of one session by 150 requests at once lose none', async () => {
      await store.set('c', data({ n: 0 }));
      const loaded = await Promise.all(Array.from({ length: 150 }, () => load('c')));
      loaded.forEach((one, i) => {
        one[`k${i}`] = i;
      });
      await Promise.all(loaded.map(save));
      expect(Object.keys((await store.get('c')) as object)).to.have.lengthOf(152);
    });

    it('that find a replica where the master was reconnect', () =>
      withStore({}, async (of) => {
        await of.set('w', data({ n: 0 }));
        const session = await load('w', of);
        session.n = 1;
        await client.call('REPLICAOF', '127.0.0.1', '1');
        try {
          const closed = new Promise((resolve) => of.client.once('close', resolve));
          expect((await save(session).catch((error) => error)).message).to.match(/READONLY/);
          await closed;
        } finally {
          await client.call('REPLICAOF', 'NO', 'ONE');
        }
      }));

    it('of a session that somebody only touched meanwhile are no conflict', () =>
      withStore({ saveMode: 'reject', touchAfter: 0 }, async (of) => {
        const events = told(of);
        await of.set('t', data({ n: 0 }, new Date(Date.now() + 10_000)));
        const [one, other] = [await load('t', of), await load('t', of)];
        other.cookie.maxAge = 50_000;
        await of.touch('t', other);
        one.n = 1;
        await save(one);
        expect(await of.get('t')).to.deep.include({ n: 1 });
        expect(events).to.deep.equal(['created t']);
      }));

    it('of what was read under another id are saves of a new session', async () => {
      await store.set('a', data({ n: 1 }));
      await store.set('b', (await store.get('a')) as SessionData);
      expect(await store.get('b')).to.deep.include({ n: 1 });
    });

    it('never put a shorter end to what a touch has moved, nor does a stale touch', () =>
      withStore({ touchAfter: 2 }, async (of) => {
        await of.set('e', data({ n: 0 }, new Date(Date.now() + 10_000)));
        const [slow, read, stale] = [await load('e', of), await load('e', of), await load('e', of)];
        read.cookie.expires = new Date(Date.now() + 60_000);
        await of.touch('e', read);
        slow.n = 1;
        await save(slow);
        slow.cookie.expires = new Date(Date.now() + 60_000);
        await of.touch('e', slow);
        expect(await client.pttl('sess:e')).to.be.above(50_000);
        stale.cookie.expires = new Date(Date.now() + 20_000);
        await of.touch('e', stale);
        expect(await client.pttl('sess:e')).to.be.above(50_000);
      }));

    it('take the ttl from what is stored, and a cookie that ends with the browser', async () => {
      await withStore({ ttl: (session) => (session.long ? 5000 : 50) }, async (of) => {
        await of.set('l', data({ n: 1 }));
        const [one, two] = [await load('l', of), await load('l', of)];
        one.long = true;
        two.b = 1;
        await save(one);
        await save(two);
        expect(await client.pttl('sess:l')).to.be.above(4_000_000);
      });
      await store.set('b', data({ n: 1 }, new Date(Date.now() + 50_000)));
      const session = await load('b');
      session.cookie.expires = null;
      await store.touch('b', session);
      expect((await store.get('b'))?.cookie.expires).to.equal(null);
    });

    it('work with a serializer that never writes the same twice', () =>
      withStore(
        {
          serializer: {
            stringify: (value) =>
              `${Math.random()} ${JSON.stringify({ ...value, cookie: { path: value.cookie.path } })}`,
            parse: async (text) => JSON.parse(text.slice(text.indexOf(' '))),
          },
        },
        async (of) => {
          await of.set('r', data({ a: 0, b: 0 }));
          const [one, two] = [await load('r', of), await load('r', of)];
          one.a = 1;
          two.b = 1;
          await save(one);
          await save(two);
          expect(await of.get('r')).to.deep.include({ a: 1, b: 1 });
        },
      ));

    it('leave alone what they can’t read, and tell nothing of it', async () => {
      for (const foreign of ['topsecret-session-data', Buffer.from([0xff, 0xfe, 0x41])]) {
        await store.set('f', data({ n: 1 }, new Date(Date.now() + 50_000)));
        const session = await load('f');
        await client.set('sess:f', foreign);
        const fault = new Promise<Error>((resolve) => store.once('fault', resolve));
        session.n = 2;
        const error = await save(session).catch((e) => e);
        expect(`${error?.message} ${(await fault).message}`).to.not.match(/topsecret|token/);
        expect((await client.getBuffer('sess:f'))?.equals(Buffer.from(foreign))).to.equal(true);
      }
    });

    it('keep and delete keys of any name', async () => {
      await client.set('sess:k', '{"cookie":{"originalMaxAge":null},"__proto__":{"x":1},"constructor":1,"n":0}');
      const plain = (await store.get('k')) as SessionData;
      delete (plain as unknown as Record<string, unknown>).__proto__;
      const other = await load('k');
      other.n = 1;
      await save(other);
      await store.set('k', plain);
      expect(await client.get('sess:k'))
        .to.include('"n":1')
        .and.not.include('__proto__');
    });

    it('of an application whose own functions throw give that error back, as it is', () =>
      withStore(
        {
          user: () => {
            throw new RangeError('the site’s own');
          },
        },
        async (of) => {
          const error = await of.set('u', data({ n: 1 })).catch((e) => e);
          expect(error).to.be.instanceOf(RangeError).with.property('message', 'the site’s own');
        },
      ));
  });

  describe('a session that is gone', () => {
    for (const saveMode of ['merge', 'overwrite', 'reject'] as const)
      it(`is not brought back by a save or a touch (${saveMode}): no error, but an event`, () =>
        withStore({ saveMode, touchAfter: 0 }, async (of) => {
          const events = told(of);
          for (const end of [() => of.destroy('g'), () => client.del('sess:g')]) {
            await of.set('g', data({ n: 0 }, new Date(Date.now() + 50_000)));
            const [slow, touching] = [await load('g', of), await load('g', of)];
            await end();
            slow.n = 1;
            await save(slow);
            await of.touch('g', touching);
            expect(await client.exists('sess:g')).to.equal(0);
          }
          expect(events).to.deep.equal(['created g', 'destroyed g', 'refused g', 'created g', 'refused g']);
        }));

    it('stays gone for a new session that is saved again after it was destroyed', async () => {
      const fresh = data({ n: 1 });
      await store.set('f', fresh);
      await store.destroy('f');
      await store.set('f', fresh);
      expect(await store.get('f')).to.equal(null);
    });
  });

  describe('what it costs', () => {
    const spent = async (act: () => Promise<unknown>) => {
      await client.config('RESETSTAT');
      await act();
      const found = (await client.info('commandstats')).matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm);
      return Object.fromEntries(
        [...found]
          .filter(([, name]) => !/config|info|ping/.test(name as string))
          .map(([, name, n]) => [name, Number(n)]),
      );
    };

    it('a read is one GET; an expiry is renewed once in touchAfter, without being waited for', () =>
      withStore({ touchAfter: 100 }, async (of) => {
        await of.set('c', data({ n: 1 }, new Date(Date.now() + 50_000)));
        await load('c', of);
        expect(await spent(() => load('c', of))).to.deep.equal({ get: 1 });
        const session = await load('c', of);
        const touch = () =>
          new Promise<void>((resolve, reject) => {
            let same = true;
            void of.touch('c', session, (error) => (error || !same ? reject(error ?? new Error('waited')) : resolve()));
            setImmediate(() => {
              same = false;
            });
          });
        await touch();
        await of.get('none');
        const again = await spent(async () => {
          for (let i = 0; i < 5; i++) await touch();
          await of.get('none');
        });
        expect(again).to.deep.equal({ get: 1 });
      }));

    it('a change is one script more, and no second round trip without a conflict', async () => {
      await store.set('w', data({ n: 1 }));
      const session = await load('w');
      session.n = 2;
      await save(session);
      session.n = 3;
      const cost = await spent(() => save(session));
      expect(cost).to.deep.equal({ evalsha: 1, get: 1, set: 1 });
    });

    it('a touch that fails is due again, and touchAfter is at most a quarter of the ttl', () =>
      withStore({ touchAfter: 3600 }, async (of) => {
        await of.set('q', data({ n: 1 }, new Date(Date.now() + 800)));
        const session = await load('q', of);
        const touch = async () => {
          session.cookie.maxAge = 800;
          await of.touch('q', session);
        };
        await touch();
        await client.config('SET', 'min-replicas-to-write', '1');
        const later = performance.now() + 210;
        while (performance.now() < later) await client.ping();
        const failed = await touch().catch((error: Error) => error.message);
        await client.config('SET', 'min-replicas-to-write', '0');
        expect(failed).to.match(/NOREPLICAS/);
        const before = await client.pttl('sess:q');
        await touch();
        expect(await client.pttl('sess:q')).to.be.above(before);
      }));

    it('disableTouch touches nothing; disableTTL keeps for ever; a ttl function rules', async () => {
      const later = new Date(Date.now() + 10_000);
      await withStore({ disableTouch: true }, async (of) => {
        await of.set('x', data({ n: 1 }, later));
        expect(await spent(() => of.touch('x', data({}, new Date(Date.now() + 90_000))))).to.deep.equal({});
      });
      await withStore({ disableTTL: true }, async (of) => {
        await of.set('y', data({ n: 1 }, later));
        expect(await client.pttl('sess:y')).to.equal(-1);
        const session = await load('y', of);
        session.n = 2;
        await save(session);
        expect(await client.pttl('sess:y')).to.equal(-1);
      });
      await withStore({ ttl: (session) => (session.long ? 500 : 50) }, async (of) => {
        await of.set('z', data({ long: true }, later));
        expect(await client.pttl('sess:z')).to.be.within(499_000, 500_000);
      });
    });
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
          const mine = await load(name);
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
      expect((await client.keys('*')).sort()).to.deep.equal(['app:sess:x', 'app:users:sess:robin']);
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

  describe('users', () => {
    const users = { user: (of: SessionData) => of.user as string | undefined };
    const later = () => new Date(Date.now() + 50_000);

    it('have their sessions listed and ended, and none of another’s', () =>
      withStore(users, async (of) => {
        for (const id of ['1', '2', '3']) await of.set(id, data({ user: 'robin' }, later()));
        await of.set('4', data({ user: 'kim' }, later()));
        await of.set('5', data({ n: 1 }, later()));
        expect((await of.sessionsOf('robin')).map(({ id }) => id)).to.have.members(['1', '2', '3']);
        const slow = await load('1', of);
        expect(await of.destroyAllOf('robin', { except: '2' })).to.equal(2);
        slow.n = 1;
        await save(slow);
        expect((await of.sessionsOf('robin')).map(({ id }) => id)).to.deep.equal(['2']);
        expect((await of.ids()).sort()).to.deep.equal(['2', '4', '5']);
        expect(await client.pttl('users:sess:robin')).to.be.within(50_000, 62_000);
        await of.destroy('4');
        expect(await client.exists('users:sess:kim')).to.equal(0);
      }));

    it('are found by their sessions only: login, logout, another user, expiry', () =>
      withStore(users, async (of) => {
        await of.set('a', data({ n: 1 }, later()));
        const session = await load('a', of);
        session.user = 'robin';
        await save(session);
        expect(await of.sessionsOf('robin')).to.have.lengthOf(1);
        session.user = 'kim';
        await save(session);
        expect(await of.sessionsOf('robin')).to.have.lengthOf(0);
        expect(await of.sessionsOf('kim')).to.have.lengthOf(1);
        delete session.user;
        await save(session);
        expect(await of.sessionsOf('kim')).to.have.lengthOf(0);
        await of.set('b', data({ user: 'kim' }, later()));
        await client.del('sess:b');
        expect(await of.sessionsOf('kim')).to.have.lengthOf(0);
      }));

    it('have at most so many: those that were seen longest ago go, whatever their expiry', () =>
      withStore({ ...users, maxSessionsPerUser: 3, touchAfter: 0 }, async (of) => {
        const events = told(of);
        const ends = [900, 30, 60, 10, 50, 40];
        const tick = async () => {
          const ms = async () => {
            const [seconds, micros] = await client.time();
            return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
          };
          for (const now = await ms(); (await ms()) === now;);
        };
        for (const [i, seconds] of ends.entries()) {
          await of.set(`s${i}`, data({ user: 'robin' }, new Date(Date.now() + seconds * 1000)));
          await tick();
          if (i === 1) {
            const first = await load('s0', of);
            first.cookie.maxAge = 901_000;
            await of.touch('s0', first);
            await tick();
          }
          if (i === 3) await client.del('sess:s3');
        }
        // s1 went for s3 (s0 was seen after it), s0 for s5
        expect((await of.ids()).sort()).to.deep.equal(['s2', 's4', 's5']);
        expect(events.filter((one) => one.startsWith('destroyed'))).to.deep.equal(['destroyed s1', 'destroyed s0']);
      }));

    it('lose no live session to one that is gone, and none to readers between note and save', () =>
      withStore({ ...users, maxSessionsPerUser: 2, touchAfter: 0 }, async (of) => {
        const user = { user: 'robin' };
        await of.set('s0', data(user, later()));
        await of.set('s1', data(user, later()));
        const [touching, saving] = [await load('s0', of), await load('s0', of)];
        await of.set('s2', data(user, later()));
        await of.touch('s0', touching);
        saving.n = 1;
        await save(saving);
        expect((await of.ids()).sort()).to.deep.equal(['s1', 's2']);
        expect(await client.hkeys('users:sess:robin')).to.have.members(['s1', 's2']);

        await Promise.all(Array.from({ length: 6 }, (_, i) => of.set(`p${i}`, data({ user: 'kim' }, later()))));
        expect(await of.ids().then((ids) => ids.filter((id) => id.startsWith('p')))).to.have.lengthOf(2);
        expect(await of.destroyAllOf('kim')).to.equal(2);
        await withStore({ ...users }, async (other) => {
          for (let i = 0; i < 50; i++) {
            const sid = `q${i}`;
            const reads = [1, 2].map(() => other.sessionsOf(`u${i}`));
            await Promise.all([of.set(sid, data({ user: `u${i}` }, later())), ...reads]);
            expect((await other.sessionsOf(`u${i}`)).map(({ id }) => id)).to.deep.equal([sid]);
          }
        });
      }));

    it('are known as long as their sessions live, saves and touches without a note included', () =>
      withStore({ ...users, touchAfter: 60 }, async (of) => {
        await of.set('s', data({ user: 'robin' }, later()));
        const session = await load('s', of);
        session.cookie.maxAge = 55_000;
        session.n = 1;
        await save(session);
        const [, , ends] = String(await client.hget('users:sess:robin', 's')).split(':');
        const [seconds] = await client.time();
        expect(Number(ends)).to.be.above(Number(seconds) * 1000 + (await client.pttl('sess:s')));
      }));

    it('own what is stored, not what a stale request thinks', () =>
      withStore({ ...users, touchAfter: 0 }, async (of) => {
        await of.set('s', data({ user: 'robin' }, later()));
        const [one, stale] = [await load('s', of), await load('s', of)];
        one.user = 'kim';
        await save(one);
        await of.touch('s', stale);
        stale.n = 1;
        await save(stale);
        expect(await of.destroyAllOf('robin')).to.equal(0);
        expect((await of.sessionsOf('kim')).map(({ id }) => id)).to.deep.equal(['s']);
        await of.clear();
        expect(await client.keys('*')).to.deep.equal([]);
      }));

    it('are noted as what was saved, when it was saved: destroy after set, changes after set, a way out and back', () =>
      withStore(users, async (of) => {
        for (let i = 0; i < 10; i++) {
          await Promise.all([of.set('d', data({ user: 'bob' }, later())), of.destroy('d')]);
          expect(await client.exists('sess:d')).to.equal(0);
        }
        const object = data({ user: 'ann' }, later());
        const saves = [of.set('q', object), of.set('q', Object.assign(object, { n: 2 }))];
        object.user = 'eve';
        await Promise.all(saves);
        expect(await of.sessionsOf('ann')).to.have.lengthOf(1);
        expect(await of.sessionsOf('eve')).to.have.lengthOf(0);

        await withStore(users, async (other) => {
          for (let i = 0; i < 30; i++) {
            await of.set('l', data({ user: 'log' }, later()));
            const out = await load('l', of);
            delete out.user;
            const leaving = save(out);
            let back = await load('l', other);
            while (back.user) back = await load('l', other);
            back.user = 'log';
            await Promise.all([save(back), leaving]);
            expect(await of.destroyAllOf('log')).to.equal(1);
          }
        });
      }));

    it('keep their note where a save could not read what stands there, and where ttl lengthens the session', async () => {
      const [old, young] = ['the old secret of ours', 'the new secret of ours'];
      await withStore({ ...users, encryption: { secrets: [old] } }, (a) =>
        withStore({ ...users, encryption: { secrets: [young, old] } }, async (b) => {
          await a.set('r', data({ user: 'rot' }, later()));
          const [mine, theirs] = [await load('r', a), await load('r', b)];
          theirs.x = 1;
          await save(theirs);
          mine.y = 1;
          await save(mine);
          expect(await b.get('r')).to.deep.include({ x: 1 });
          expect(await b.destroyAllOf('rot')).to.equal(1);
        }),
      );
      await withStore({ ...users, touchAfter: 300, ttl: (of) => (of.remember ? 3600 : 1) }, async (of) => {
        const object = data({ user: 'ttl' });
        await of.set('t', object);
        await of.set('t', Object.assign(object, { remember: true }));
        expect(await client.pttl('users:sess:ttl')).to.be.above(await client.pttl('sess:t'));
      });
    });

    it('are texts or numbers; null is nobody', () =>
      withStore({ user: (of) => of.userId as number | null }, async (of) => {
        await of.set('1', data({ userId: 7 }));
        await of.set('2', data({ userId: null }));
        expect((await of.sessionsOf('7')).map(({ id }) => id)).to.deep.equal(['1']);
        expect(await client.keys('users:*')).to.deep.equal(['users:sess:7']);
      }));

    it('cost as many commands as they have sessions, never a SCAN; without the option it is an error', () =>
      withStore(users, async (of) => {
        for (let i = 0; i < 300; i++) await of.set(`x${i}`, data({ n: i }));
        await of.set('mine', data({ user: 'robin' }));
        await client.config('RESETSTAT');
        await of.sessionsOf('robin');
        await of.destroyAllOf('robin');
        const stats = await client.info('commandstats');
        expect(stats).to.not.match(/cmdstat_scan/);
        expect(stats)
          .to.match(/cmdstat_get:calls=2,/)
          .and.match(/cmdstat_getdel:calls=1,/);
        expect(await store.sessionsOf('robin').catch((error) => error.code)).to.equal(
          'ERR_INTELLIGENT_SESSION_ARGUMENT',
        );
      }));
  });

  describe('events', () => {
    it('tell what expired, where the server does', async () => {
      await client.config('SET', 'notify-keyspace-events', 'Ex');
      await withStore({ expiredEvents: true }, async (of) => {
        const expired = new Promise<string>((resolve) => of.once('expired', resolve));
        while (!String(await client.call('PUBSUB', 'NUMPAT')).match(/[1-9]/)) await client.ping();
        await of.set('short', data({ n: 1 }, new Date(Date.now() + 20)));
        expect(await expired).to.equal('short');
        expect(await of.metrics.metrics()).to.match(/store_total\{event="expired"\} 1/);
      });
      await client.config('SET', 'notify-keyspace-events', '');
    });
  });

  it('keeps the users of each prefix to itself, whatever prefixes and users are called', async () => {
    const pairs = [
      ['sess:', 'admin'],
      ['sess:a', 'dmin'],
      ['sess:a:', 'dmin'],
      ['sess:', 'a:dmin'],
      ['sess:', 'a%3Admin'],
      ['sess%3Aa:', 'dmin'],
      ['%sess%3Aa:', 'dmin'],
      ['app', 'x'],
      ['app:', 'x'],
    ] as const;
    const user = (session: { user?: string }) => session.user;
    for (const [i, [prefix, name]] of pairs.entries())
      await withStore({ prefix, user } as never, (of) => of.set(`s${i}`, data({ user: name })));
    for (const [i, [prefix, name]] of pairs.entries())
      await withStore({ prefix, user } as never, async (of) => {
        expect(
          (await of.sessionsOf(name)).map((one) => one.id),
          `${prefix} ${name}`,
        ).to.deep.equal([`s${i}`]);
      });
  });

  describe('encryption', () => {
    const secrets = ['the first secret, long'];
    it('leaves nothing to read, and is bound to the session’s id', () =>
      withStore({ encryption: { secrets } }, async (of) => {
        await of.set('e', data({ card: '4111 1111' }));
        const raw = (await client.get('sess:e')) as string;
        expect(raw).to.match(/^e2\.[\w-]+$/);
        expect(await of.get('e')).to.deep.include({ card: '4111 1111' });
        await client.set('sess:other', raw);
        expect(await of.get('other')).to.equal(null);
        const [one, two] = [await load('e', of), await load('e', of)];
        one.a = 1;
        two.b = 2;
        await Promise.all([save(one), save(two)]);
        expect(await of.get('e')).to.deep.include({ card: '4111 1111', a: 1, b: 2 });
      }));

    it('takes a record that was copied from another prefix, or to another id, as absent', async () => {
      await withStore({ prefix: 'admin:', encryption: { secrets } }, (of) => of.set('one', data({ role: 'admin' })));
      const raw = (await client.get('admin:one')) as string;
      for (const key of ['sess:one', 'sess:two', 'admin:two']) await client.set(key, raw);
      await withStore({ prefix: 'admin:', encryption: { secrets } }, async (of) => {
        expect(await of.get('one')).to.deep.include({ role: 'admin' });
        expect(await of.get('two')).to.equal(null);
      });
      await withStore({ encryption: { secrets } }, async (of) => {
        for (const sid of ['one', 'two']) expect(await of.get(sid), sid).to.equal(null);
      });
    });

    it('reads what an older secret wrote, and takes anything else as absent, with an event and no content', async () => {
      await withStore({ encryption: { secrets } }, (of) => of.set('old', data({ n: 'private' })));
      await client.set('sess:plain', JSON.stringify(data({ n: 'private' })));
      const raw = (await client.get('sess:old')) as string;
      await client.set('sess:damaged', `${raw.slice(0, -3)}AAA`);
      await client.set('sess:short', 'e2.AAAA');
      const rotated = ['the second secret, long', ...secrets];
      await withStore({ encryption: { secrets: rotated } }, async (of) => {
        const faults: Error[] = [];
        of.on('fault', (error) => faults.push(error));
        expect(await of.get('old')).to.deep.include({ n: 'private' });
        for (const id of ['damaged', 'short', 'plain']) expect(await of.get(id)).to.equal(null);
        expect(faults).to.have.lengthOf(3);
        for (const { message } of faults) expect(message).to.not.match(/private|damaged:|sess:/);
        expect(await of.metrics.metrics()).to.match(/event="unreadable"\} 3/);
      });
      await withStore({ encryption: { secrets: ['the second secret, long'] } }, async (of) =>
        expect(await of.get('old')).to.equal(null),
      );
      await withStore({ encryption: { secrets, acceptPlain: true } }, async (of) => {
        const session = await load('plain', of);
        session.n = 'sealed';
        await save(session);
        expect(await client.get('sess:plain')).to.match(/^e2\./);
      });
    });
  });

  describe('while Redis is away', () => {
    const away = async (options: RedisSessionStoreOptions) => {
      const proxy = await FaultyProxy.open(redis.port);
      const of = new RedisSessionStore({ ...options, url: proxy.url });
      const app = express();
      app.use(session({ store: of, secret: 's', resave: false, saveUninitialized: false }));
      app.get('/', (req, res) => {
        if (req.session) req.session.n = Number(req.session.n ?? 0) + 1;
        res.json({ n: req.session?.n ?? null });
      });
      app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
        if (!res.headersSent) res.status(error.status ?? 500).json({ error: error.message });
      });
      const site = await Site.open(app);
      const close = async () => {
        await site.close();
        await of.close();
        await proxy.close();
      };
      return { proxy, of, visitor: new Visitor(site.url), close };
    };
    const asks = async (visitor: Visitor) => {
      const started = performance.now();
      const response = await visitor.fetch('/');
      return { status: response.status, body: await response.json(), ms: performance.now() - started };
    };

    for (const whenAway of ['pass', 'error'] as const)
      it(`${whenAway}: no request hangs, and all is back by itself`, async () => {
        const { proxy, of, visitor, close } = await away({ whenAway });
        try {
          expect((await asks(visitor)).body).to.deep.equal({ n: 1 });
          const down = new Promise((resolve) => of.once('away', resolve));
          proxy.hold();
          proxy.cut();
          await down;
          for (let i = 0; i < 3; i++) {
            const { status, body, ms } = await asks(visitor);
            expect(ms).to.be.below(700);
            if (whenAway === 'pass') expect({ status, body }).to.deep.equal({ status: 200, body: { n: null } });
            else expect(status).to.equal(503);
            expect(JSON.stringify(body)).to.not.match(/sess:/);
          }
          const up = new Promise((resolve) => of.once('back', resolve));
          proxy.release();
          proxy.cut();
          await up;
          expect((await asks(visitor)).body).to.deep.equal({ n: 2 });
        } finally {
          await close();
        }
      });

    it('a logout that could not be stored is the page’s error; destroy() without a callback ends no process', async () => {
      const { proxy, of, close } = await away({});
      try {
        await of.set('l', data({ user: 'robin' }));
        const session = await load('l', of);
        delete session.user;
        proxy.hold();
        expect((await save(session).catch((error) => error)).code).to.equal('ERR_INTELLIGENT_SESSION_REDIS');
        const fault = new Promise((resolve) => of.once('fault', resolve));
        session.destroy(undefined as never);
        await fault;
      } finally {
        await close();
      }
    });

    it('clear() and all() that could not be done are errors', async () => {
      await store.set('x', data({ n: 1 }));
      await client.acl('SETUSER', 'reader', 'on', '>secret', '~*', '&*', '+@all', '-unlink', '-get');
      await withStore({ url: redis.url.replace('redis://', 'redis://reader:secret@') }, async (of) => {
        for (const act of [() => of.clear(), () => of.all()])
          expect(await act().catch((error) => error.code)).to.equal('ERR_INTELLIGENT_SESSION_REDIS');
      });
    });

    it('a lost connection that is back at once is a page that waits, not one without its session', async () => {
      const { proxy, visitor, close } = await away({});
      try {
        for (let n = 1; n < 10; n++) {
          const { status, body } = await asks(visitor);
          expect({ status, body }).to.deep.equal({ status: 200, body: { n } });
          proxy.cut();
        }
      } finally {
        await close();
      }
    });

    it('five first saves of one session, which stand in line, wait for maxWaitMs in all', async () => {
      const { proxy, of: store, close } = await away({ maxWaitMs: 400 });
      try {
        await store.length();
        proxy.hold();
        const began = performance.now();
        const save = (n: number) =>
          new Promise((resolve) => void store.set('line', { cookie: { originalMaxAge: 60_000 }, n } as never, resolve));
        for (const error of await Promise.all([1, 2, 3, 4, 5].map(save)))
          expect(error).to.include({ status: 503, code: 'ERR_INTELLIGENT_SESSION_REDIS' });
        expect(performance.now() - began).to.be.within(390, 790);
      } finally {
        await close();
      }
    });

    it('a server that does not answer costs a page maxWaitMs, and is a 503 with a code, never a new session', async () => {
      const { proxy, visitor, close } = await away({ maxWaitMs: 400 });
      try {
        await asks(visitor);
        const { cookie } = visitor;
        proxy.hold();
        const { status, ms } = await asks(visitor);
        expect(status).to.equal(503);
        expect(ms).to.be.below(700);
        expect(visitor.cookie).to.equal(cookie);
      } finally {
        await close();
      }
    });
  });
});

/** A serializer that is not JSON: dates come back as dates. */
const tagged: Serializer = {
  stringify: (session) =>
    `tagged ${JSON.stringify(session, function (this: Record<string, unknown>, key, value) {
      return this[key] instanceof Date ? { $date: (this[key] as Date).getTime() } : value;
    })}`,
  parse: (text) =>
    JSON.parse(text.slice('tagged '.length), (_, value) =>
      typeof value?.$date === 'number' ? new Date(value.$date) : value,
    ),
};
