import { once } from 'node:events';
import { expect } from 'chai';
import type { SessionData } from 'express-session';
import { data, load, save, StoreGround, userKey } from '../support/stores.js';

const DAYS_400 = 400 * 86_400_000;

describe('a save of RedisSessionStore', () => {
  const ground = new StoreGround();
  const { open, stored } = ground;
  let client: StoreGround['client'];
  before(() => {
    ({ client } = ground);
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
        expect(await client.pttl(userKey('robin'))).to.be.below(DAYS_400 * 1.02);
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
});
