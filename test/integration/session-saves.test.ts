import { expect } from 'chai';
import type { Session, SessionData } from 'express-session';
import { RedisSessionStore } from '../../lib/index.js';
import { data, load, modes, save, StoreGround, told } from '../support/stores.js';
import { until } from '../support/until.js';

describe('a save of RedisSessionStore', () => {
  const ground = new StoreGround();
  const { open, stored } = ground;
  let client: StoreGround['client'];
  before(() => {
    ({ client } = ground);
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
});
