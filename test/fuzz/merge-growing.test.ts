import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import type { Session, SessionData } from 'express-session';
import fc from 'fast-check';
import { mergeGrowing, type RedisSessionStore, type SessionContents } from '../../lib/index.js';
import { fuzz, FUZZ_TIMEOUT_MS, RUNS } from '../support/fuzz.js';
import { data, load, save, StoreGround } from '../support/stores.js';

type Page = Session & SessionData;

describe('fuzz: sessions that are merged by mergeGrowing()', function () {
  this.timeout(FUZZ_TIMEOUT_MS);

  const WRITERS = 5;
  interface Step {
    readonly writer: number;
    readonly does: 'load' | 'push' | 'count' | 'save' | 'wait';
    readonly at: number;
  }
  const stepOf = (...does: Step['does'][]): fc.Arbitrary<Step> =>
    fc.record({
      writer: fc.nat({ max: WRITERS - 1 }),
      does: fc.constantFrom('load', 'push', 'count', 'save', ...does),
      at: fc.nat({ max: 2 }),
    });

  interface Shop {
    cart?: string[];
    inner?: { deep?: { list?: string[]; clicks?: number } };
    clicks?: number;
  }
  const merge = mergeGrowing('cart', 'inner', 'clicks');
  const start: Shop[] = [{}, { cart: ['old'], clicks: 3, inner: { deep: { list: ['old'], clicks: -1 } } }];
  const add = ({ does, at }: Step, session: Shop, item: string) => {
    const deep = () => {
      session.inner ??= {};
      session.inner.deep ??= {};
      return session.inner.deep;
    };
    if (does === 'push') {
      const holder = at === 0 ? session : deep();
      const name = at === 0 ? 'cart' : 'list';
      Object.assign(holder, { [name]: [...((holder as Record<string, string[]>)[name] ?? []), item] });
    } else if (does === 'count') {
      const holder = at === 0 ? session : deep();
      holder.clicks = (holder.clicks ?? 0) + 1 + at;
    }
  };
  const listsOf = ({ cart = [], inner }: Shop) => [cart, inner?.deep?.list ?? []];
  const sameAs = (stored: Shop, alone: Shop) => {
    for (const [i, list] of listsOf(stored).entries())
      expect([...list].sort()).to.deep.equal([...(listsOf(alone)[i] as string[])].sort());
    expect([stored.clicks, stored.inner?.deep?.clicks]).to.deep.equal([alone.clicks, alone.inner?.deep?.clicks]);
  };

  it('give the same for any interleaving of writers that append and count as one after the other', async () => {
    await fuzz(fc.tuple(fc.constantFrom(...start), fc.array(stepOf(), { maxLength: 60 })), ([first, steps]) => {
      let stored = structuredClone(first);
      const alone = structuredClone(first);
      const pages = Array.from({ length: WRITERS }, () => ({
        base: structuredClone(first),
        now: structuredClone(first),
      }));
      const save = (page: { base: Shop; now: Shop }) => {
        stored = structuredClone(merge(page.base as never, page.now as never, stored as never)) as Shop;
        page.base = structuredClone(page.now);
      };
      for (const [i, one] of steps.entries()) {
        const page = pages[one.writer] as { base: Shop; now: Shop };
        const item = `${one.writer} ${i}`;
        if (one.does === 'load') {
          save(page); // a request saves what it has, and the next one reads
          Object.assign(page, { base: structuredClone(stored), now: structuredClone(stored) });
        } else if (one.does === 'save') save(page);
        else add(one, page.now, item);
        add(one, alone, item);
      }
      pages.forEach(save);
      sameAs(stored, alone);
      // each writer’s own in its own order
      for (const [i, list] of listsOf(stored).entries())
        for (let writer = 0; writer < WRITERS; writer++) {
          const own = (all: string[] = []) => all.filter((item) => item.startsWith(`${writer} `));
          expect(own(list)).to.deep.equal(own(listsOf(alone)[i]));
        }
    });
  });

  it('on any values give no prototype and no key that nobody had, and keep what only one has changed', async () => {
    const values = fc.dictionary(fc.constantFrom('g', 'h', '__proto__', 'constructor'), fc.jsonValue({ maxDepth: 4 }), {
      noNullPrototype: true,
    });
    const mergeAny = mergeGrowing('g', '__proto__');
    await fuzz(fc.tuple(values, values, values), (three) => {
      const [base, mine, theirs] = three.map((one) => JSON.parse(JSON.stringify(one))) as [
        SessionContents,
        SessionContents,
        SessionContents,
      ];
      const merged = mergeAny(base, mine, theirs);
      expect(Object.getPrototypeOf(merged)).to.equal(Object.prototype);
      for (const key of Object.keys(merged)) expect([...Object.keys(mine), ...Object.keys(theirs)]).to.include(key);
      expect(isDeepStrictEqual(mergeAny(base, mine, base), mine)).to.equal(true);
      expect(isDeepStrictEqual(mergeAny(base, base, theirs), theirs)).to.equal(true);
    });
    expect(({} as { polluted?: unknown }).polluted).to.equal(undefined);
  });

  describe('in Redis', () => {
    const { open, stored } = new StoreGround();

    it('have all that the pages of three stores add, each once, in whatever order they read, add and save', async () => {
      const stores = [open({ merge }), open({ merge, nearCache: {} }), open({ merge })] as const;
      let cases = 0;
      await fuzz(
        fc.tuple(fc.constantFrom(...start), fc.array(stepOf('wait'), { maxLength: 60 })),
        async ([first, steps]) => {
          const sid = `fuzz-${cases++}`;
          await stores[0].set(sid, data(first));
          const alone = structuredClone(first);
          const read = (writer: number) => load(sid, stores[writer % 3] as RedisSessionStore);
          const pages = await Promise.all(Array.from({ length: WRITERS }, (_, writer) => read(writer)));
          let saves: Promise<void>[] = [];
          for (const [i, one] of steps.entries()) {
            const page = pages[one.writer] as Page;
            if (one.does === 'save' || one.does === 'load') saves.push(save(page));
            // the next request of this writer, which may come before the last one is saved
            if (one.does === 'load') pages[one.writer] = await read(one.writer);
            if (one.does === 'wait') await Promise.all(saves.splice(0));
            add(one, page as Shop, `${i}`);
            add(one, alone, `${i}`);
          }
          saves = [...saves, ...pages.map(save)];
          await Promise.all(saves);
          sameAs((await stored(sid)) as Shop, alone);
        },
        { runs: RUNS / 20 },
      );
    });
  });
});
