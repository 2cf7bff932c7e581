import { expect } from 'chai';
import session from 'express-session';
import { RedisSessionStore } from '../../lib/index.js';
import { data, load, save, StoreGround, told } from '../support/stores.js';

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
      const session = await load('w', store);
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
});
