import { expect } from 'chai';
import type { SessionData } from 'express-session';
import { mergeGrowing, RedisSessionStore } from '../../lib/index.js';
import { data, load, save, StoreGround, tagged } from '../support/stores.js';

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

  describe('concurrent requests', () => {
    it('merge their changes, key by key: values, deletions, dates, lists; the cookie is not merged', async () => {
      const cookie = new Date(Date.now() + 50_000);
      const before = { a: 1, b: { deep: [1, 2] }, gone: 'x', kept: [], when: new Date(0), ['__proto__x']: 1 };
      await store.set('m', data(before, cookie));
      const [one, two] = [await load('m', store), await load('m', store)];
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
      const [one, two] = [await load('d', store), await load('d', store)];
      two.when = 'later';
      await save(two);
      (one as unknown as { when: unknown }).when = new Date(5);
      one.n = 2;
      await save(one);
      expect(await store.get('d')).to.deep.include({ when: 'later', n: 2 });
    });

    it('the same key: the last save has it; a second save of a page goes on from its own first', async () => {
      await store.set('s', data({ n: 0 }));
      const [one, two] = [await load('s', store), await load('s', store)];
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
            const loaded = await Promise.all(
              Array.from({ length: 20 }, (_, i) => load(sid, stores[i % 4] as RedisSessionStore)),
            );
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

    it('of which one fails leave none of its changes to the others of the same write', async () => {
      const ttl = (session: SessionData) => {
        if (session.a && session.b) throw new Error('of the application');
        return 100;
      };
      for (const merge of [undefined, mergeGrowing('list')])
        await withStore({ ttl, merge }, async (of) => {
          await of.set('f', data({ n: 0 }));
          const pages = await Promise.all(['a', 'b', 'c'].map(() => load('f', of)));
          for (const [i, key] of ['a', 'b', 'c'].entries()) (pages[i] as SessionData)[key] = true;
          const results = await Promise.allSettled(pages.map(save));
          expect(results.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled']);
          expect(await of.get('f'))
            .to.deep.include({ n: 0, a: true, c: true })
            .and.not.have.property('b');
        });
    });

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
});
