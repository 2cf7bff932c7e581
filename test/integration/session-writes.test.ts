import { expect } from 'chai';
import type { SessionData } from 'express-session';
import { RedisSessionStore } from '../../lib/index.js';
import { data, load, save, StoreGround, told } from '../support/stores.js';

describe('RedisSessionStore', () => {
  const ground = new StoreGround();
  const { withStore } = ground;
  let client: StoreGround['client'];
  let store: RedisSessionStore;
  before(() => {
    ({ client } = ground);
  });
  beforeEach(async () => {
    store = ground.open({ ttl: 100, scanCount: 10 });
    await store.length(); // it is connected
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
      const loaded = await Promise.all(Array.from({ length: 150 }, () => load('c', store)));
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
      const session = await load('b', store);
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
        const session = await load('f', store);
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
      const other = await load('k', store);
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
});
