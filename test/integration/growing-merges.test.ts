import { expect } from 'chai';
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import session, { type Session, type SessionData } from 'express-session';
import { Cluster } from 'ioredis';
import {
  intelligentSession,
  mergeGrowing,
  type MergeSessions,
  OptionError,
  RedisSessionStore,
  type RedisSessionStoreOptions,
} from '../../lib/index.js';
import { hiddenOf } from '../../lib/session/hidden-fields.js';
import { startCluster } from '../support/cluster.js';
import { Site, Visitor } from '../support/site.js';
import { data, load, neverSent, save, StoreGround, tagged, told, unanswered } from '../support/stores.js';
import { until } from '../support/until.js';

const merge = mergeGrowing('cart', 'clicks', 'shop');
const secrets = ['a secret of this test alone'];

type Page = Session & SessionData & { cart?: unknown[]; clicks?: number };
const add = (page: object, item: unknown, clicks = 1) => {
  const one = page as Page;
  one.cart = [...(one.cart ?? []), item];
  one.clicks = (one.clicks ?? 0) + clicks;
};
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Lets nobody go on before so many have come. */
function gate(count: number): () => Promise<void> {
  let [open, came] = [() => {}, 0];
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    if (++came === count) open();
    return opened;
  };
}

describe('sessions with option merge', () => {
  const ground = new StoreGround();
  const { open, openFar, stored } = ground;
  let client: StoreGround['client'];
  before(() => {
    ({ client } = ground);
  });

  describe('keep what 20 requests at once add, over two sites', () => {
    const REQUESTS = 20;

    /** 20 requests of one visitor who have all read the session before the first saves, half of them at each site. */
    async function race(
      makeSessions: () => RequestHandler,
      isStarted: boolean,
    ): Promise<{ cart: string[]; clicks: number }> {
      const allHere = gate(REQUESTS);
      const sites = await Promise.all(
        [0, 1].map(() => {
          const app = express();
          app.use(makeSessions());
          app.get('/start', (req, res) => {
            Object.assign(req.session, isStarted ? { cart: [], clicks: 0 } : { other: true });
            res.end();
          });
          app.get('/add/:item', async (req, res) => {
            await allHere();
            add(req.session, req.params.item);
            res.end();
          });
          app.get('/', (req, res) => void res.json(req.session));
          return Site.open(app);
        }),
      );
      ground.opened.push(...sites.map((site) => () => site.close()));
      const [one, two] = sites.map(({ url }) => new Visitor(url)) as [Visitor, Visitor];
      await (await one.fetch('/start')).text();
      two.cookie = one.cookie;
      await Promise.all(
        numbers(REQUESTS).map(async (i) => (await (i % 2 === 0 ? one : two).fetch(`/add/${i}`)).text()),
      );
      return one.json('/');
    }
    const ofStore = (options: RedisSessionStoreOptions) => () =>
      session({ store: open({ merge, ...options }), secret: 's', resave: false, saveUninitialized: false });
    const isWhole = ({ cart, clicks }: { cart: string[]; clicks: number }) => {
      expect([...cart].sort((a, b) => Number(a) - Number(b))).to.deep.equal(numbers(REQUESTS).map(String));
      expect(clicks).to.equal(REQUESTS);
    };

    const options: Record<string, RedisSessionStoreOptions> = {
      'as they are': {},
      'with encryption': { encryption: { secrets } },
      'with a serializer': { serializer: tagged },
      'with a near cache': { nearCache: {} },
      'with users and a longest lifetime': { user: (one) => one.user as string, maxLifetime: 1000 },
    };
    for (const [name, given] of Object.entries(options))
      for (const isStarted of [true, false])
        it(`${name}, ${isStarted ? 'to what is there' : 'of which each makes the first'}`, async () => {
          isWhole(await race(ofStore(given), isStarted));
        });

    it('of intelligentSession()', async () => {
      const make = () => {
        const sessions = intelligentSession({
          redis: ground.redis.url,
          secret: 'a long random text of this test',
          worker: 'embedded',
          store: { merge },
        });
        ground.opened.push(() => sessions.close());
        return sessions;
      };
      isWhole(await race(make, false));
    });

    it('in a Cluster', async () => {
      const cluster = await startCluster(3);
      ground.opened.push(() => cluster.stop());
      const clients: Cluster[] = [];
      ground.opened.push(() => clients.forEach((one) => one.disconnect()));
      const make = () => {
        clients.push(new Cluster([...cluster.nodes]));
        return ofStore({ client: clients.at(-1) })();
      };
      isWhole(await race(make, false));
    });

    it('and not without the option: a list is taken whole', async () => {
      const { cart } = await race(ofStore({ merge: undefined }), true);
      expect(cart.length).to.be.below(REQUESTS);
    });
  });

  describe('of one page', () => {
    it('count from its own last save on, saved in turn or at once, and from what it has read again', async () => {
      const [one, two] = [open({ merge }), open({ merge })];
      await one.set('p', data({ cart: ['a'], clicks: 1 }));
      const [page, other] = [await load('p', one), await load('p', two)];
      add(other, 'other');
      await save(other);
      add(page, 'b');
      await save(page);
      add(page, 'c');
      const first = save(page);
      add(page, 'd');
      await Promise.all([first, save(page)]);
      expect(await stored('p')).to.deep.include({ cart: ['a', 'other', 'b', 'c', 'd'], clicks: 5 });

      add(page, 'never saved');
      await new Promise((resolve) => page.reload(resolve));
      const again = (page as unknown as { req: { session: Page } }).req.session;
      add(other, 'e');
      await save(other);
      add(again, 'f');
      await save(again);
      expect(await stored('p')).to.deep.include({ cart: ['a', 'other', 'b', 'c', 'd', 'e', 'f'], clicks: 7 });
      expect(again).to.not.have.property('__saves');
    });

    it('that overlap with those of others, in one process and in two, lose none and repeat none', async () => {
      const stores = [open({ merge }), open({ merge })];
      await stores[0]?.set('o', data());
      const pages = await Promise.all(numbers(10).map((i) => load('o', stores[i % 2] as RedisSessionStore)));
      const saves = pages.flatMap((page, i) =>
        numbers(5).map((j) => {
          add(page, `${i}-${j}`);
          return save(page);
        }),
      );
      await Promise.all(saves);
      const { cart, clicks } = (await stored('o')) as Page;
      expect([cart?.length, new Set(cart).size, clicks]).to.deep.equal([50, 50, 50]);
      for (const i of numbers(10))
        expect(cart?.filter((item) => String(item).startsWith(`${i}-`))).to.deep.equal(
          numbers(5).map((j) => `${i}-${j}`),
        );
    });
  });

  describe('add nothing twice where a save got no answer', () => {
    const whole = (cart: unknown[]) => ({ cart, clicks: cart.length });
    const has = (sid: string, item: string) => async () =>
      ((await stored(sid)) as Page | null)?.cart?.includes(item) ?? false;

    it('carried out or never sent, with or without another who saved since, by a store with the option or without', async () => {
      for (const options of [{ merge }, {}]) {
        const far = await openFar({ merge });
        const near = open(options);
        const elsewhere = async () => {
          const other = await load('u', near);
          // the option’s own way is not this store’s, where it has none: another key
          if (options.merge) add(other, 'other');
          else other.other = true;
          await save(other);
        };
        const others = options.merge ? ['other'] : [];
        for (const [isSent, isFollowed] of [
          [true, true],
          [true, false],
          [false, true],
          [false, false],
        ] as const) {
          await far.store.set('u', data(whole(['first']), 50_000));
          const page = await load('u', far.store);
          add(page, 'mine');
          const followed = async () => (isFollowed ? elsewhere() : undefined);
          if (isSent) await unanswered(far, () => save(page), has('u', 'mine'), followed);
          else {
            await neverSent(far, () => save(page));
            await followed();
          }
          add(page, 'more');
          await save(page);
          const now = (await stored('u')) as Page;
          const all = ['first', 'mine', 'more', ...(isFollowed ? others : [])];
          expect(now.cart, `${isSent} ${isFollowed}`).to.have.members(all);
          expect(now).to.include({ clicks: all.length });
          await client.flushall();
        }
      }
    });

    it('which was a merge, or the second without an answer', async () => {
      const far = await openFar({ merge });
      const near = open({ merge });
      await far.store.set('u', data(whole([]), 50_000));
      const [page, other] = [await load('u', far.store), await load('u', near)];
      const others = async (item: string) => {
        add(other, item);
        await save(other);
      };
      await others('a');
      add(page, 'b');
      await save(page); // merged
      add(page, 'c');
      await neverSent(far, () => save(page));
      add(page, 'd');
      await unanswered(
        far,
        () => save(page),
        has('u', 'd'),
        () => others('e'),
      );
      add(page, 'f');
      await neverSent(far, () => save(page));
      await others('g');
      await save(page);
      await save(page);
      expect(await stored('u')).to.deep.include(whole(['a', 'b', 'c', 'd', 'e', 'g', 'f']));
    });

    it('of a new session, which another has changed since', async () => {
      const far = await openFar({ merge });
      const near = open({ merge });
      const session = data(whole(['a']), 50_000);
      await unanswered(
        far,
        () => far.store.set('n', session),
        has('n', 'a'),
        async () => {
          const other = await load('n', near);
          add(other, 'b');
          await save(other);
        },
      );
      add(session, 'c');
      await far.store.set('n', session);
      expect(await stored('n')).to.deep.include(whole(['a', 'b', 'c']));
    });

    it('and the session has got another id since', async () => {
      const far = await openFar({ merge });
      const near = open({ merge });
      far.store.useRotation({ everyMs: Number.POSITIVE_INFINITY, graceMs: 10_000 });
      near.useRotation({ everyMs: 0, graceMs: 10_000 });
      Object.assign(near, {
        generate: (req: object) => Object.assign(req, { sessionID: 'next', session: data() }),
      });
      await far.store.set('r', data(whole(['first']), 50_000));
      const page = await load('r', far.store);
      add(page, 'mine');
      const rotate = async () => {
        const { req } = (await load('r', near)) as unknown as { req: Request };
        await new Promise<void>((resolve) => near.rotate(req, resolve));
        const other = await load('next', near);
        add(other, 'other');
        await save(other);
      };
      await unanswered(far, () => save(page), has('r', 'mine'), rotate);
      add(page, 'more');
      await save(page);
      add(page, 'last');
      await save(page);
      expect(await stored('r')).to.equal(null);
      expect(await stored('next')).to.deep.include(whole(['first', 'mine', 'other', 'more', 'last']));
    });

    it('of many at once, each of which is saved again', async () => {
      const far = await openFar({ merge });
      const near = open({ merge });
      await far.store.set('m', data(whole([]), 50_000));
      const pages = await Promise.all(numbers(20).map(() => load('m', far.store)));
      const other = await load('m', near);
      pages.forEach((page, i) => add(page, i));
      far.proxy.holdAnswers();
      const failed = Promise.all(pages.map((page) => save(page).catch((error) => error.code)));
      await until('the first is in Redis', async () => ((await stored('m')) as Page).cart?.length === 1);
      add(other, 'other');
      await save(other);
      const ready = new Promise((resolve) => far.store.client.once('ready', resolve));
      far.proxy.cut();
      far.proxy.release();
      expect((await failed).filter((code) => code !== undefined)).to.not.be.empty;
      await ready;
      await Promise.all(pages.map(save));
      const { cart, clicks } = (await stored('m')) as Page;
      expect(cart).to.have.members([...numbers(20), 'other']);
      expect(clicks).to.equal(21);
    });

    it('and 32 others saved since: the save fails, since nobody knows any more, and a page that reads again goes on', async () => {
      const far = await openFar({ merge });
      const near = open({ merge });
      await far.store.set('u', data(whole([]), 50_000));
      const page = await load('u', far.store);
      add(page, 'mine');
      const others = async () => {
        for (const i of numbers(32)) {
          const other = await load('u', near);
          add(other, i);
          await save(other);
        }
      };
      await unanswered(far, () => save(page), has('u', 'mine'), others);
      const before = await client.get('sess:u');
      expect(before?.length).to.be.below(1000);
      expect(await save(page).catch((error) => error)).to.include({
        code: 'ERR_INTELLIGENT_SESSION_CONFLICT',
        status: 409,
      });
      expect(await client.get('sess:u')).to.equal(before);
      await new Promise((resolve) => page.reload(resolve));
      const again = (page as unknown as { req: { session: Page } }).req.session;
      expect(again.cart).to.have.lengthOf(33);
      await save(again);
    });
  });

  describe('whose function', () => {
    const failing: Record<string, [MergeSessions, cause: RegExp | undefined]> = {
      'throws an error': [
        () => {
          throw new TypeError('of the application');
        },
        /^TypeError: of the application$/,
      ],
      'throws what is none': [
        () => {
          throw JSON.parse('"a text"');
        },
        undefined,
      ],
      'returns nothing': [() => undefined as never, undefined],
      'returns a list': [() => [] as never, undefined],
      'returns a promise that is rejected': [() => Promise.reject(new Error('late')) as never, undefined],
    };
    for (const [name, [failingMerge, cause]] of Object.entries(failing))
      it(`${name}: the save fails, what stands in Redis stays, and the others of the same write are saved`, async () => {
        const store = open({
          merge: (base, mine, theirs) => (mine.fails ? failingMerge(base, mine, theirs) : merge(base, mine, theirs)),
        });
        const faults: (Error & { code?: string })[] = [];
        store.on('fault', (error) => faults.push(error));
        await store.set('f', data({ cart: [] }));
        const pages = await Promise.all(numbers(5).map(() => load('f', store)));
        pages.forEach((page, i) => add(page, i));
        (pages[2] as SessionData).fails = true;
        const errors = await Promise.all(
          pages.map((page) =>
            save(page).then(
              () => undefined,
              (error) => error,
            ),
          ),
        );
        const error = errors.find((one) => one !== undefined);
        expect(errors.indexOf(error)).to.equal(2);
        expect(errors.filter((one) => one !== undefined)).to.have.lengthOf(1);
        expect(error).to.include({ code: 'ERR_INTELLIGENT_SESSION_MERGE', status: 500 });
        if (cause) expect(String(error.cause)).to.match(cause);
        else expect(error.cause).to.equal(undefined);
        expect(faults).to.deep.equal([error]);
        const now = (await stored('f')) as Page;
        expect(now.cart).to.have.members([0, 1, 3, 4]);
        expect(now).to.not.have.property('fails');

        // the page may do better, and nothing of its failed save counts
        delete (pages[2] as SessionData).fails;
        await save(pages[2] as Page);
        expect(((await stored('f')) as Page).cart).to.have.members([0, 1, 2, 3, 4]);
      });

    it('fails is told to the page that awaits its save', async () => {
      const store = open({
        merge: () => {
          throw new Error('no');
        },
      });
      const app = express();
      app.use(session({ store, secret: 's', resave: false, saveUninitialized: false }));
      app.get('/', async (req, res) => {
        add(req.session, 'mine');
        if (req.query.raced) {
          const other = (await store.get(req.session.id)) as SessionData;
          add(other, 'theirs');
          await store.set(req.session.id, other);
        }
        req.session.save((error) => (error ? res.status(error.status).send(error.code) : res.send('saved')));
      });
      app.use((_error: Error, _req: Request, res: Response, _next: NextFunction) => void res.end());
      const site = await Site.open(app);
      ground.opened.push(() => site.close());
      const visitor = new Visitor(site.url);
      expect(await (await visitor.fetch('/')).text()).to.equal('saved');
      const answer = await visitor.fetch('/?raced=1');
      expect([answer.status, await answer.text()]).to.deep.equal([500, 'ERR_INTELLIGENT_SESSION_MERGE']);
      const [key = ''] = await client.keys('sess:*');
      expect(JSON.parse((await client.get(key)) as string)).to.deep.include({ cart: ['mine', 'theirs'] });
    });

    it('gets plain data of its own, without cookies, where both have changed the session; and its cookie counts for nothing', async () => {
      for (const serializer of [undefined, tagged]) {
        const seen: unknown[] = [];
        const store = open({
          serializer,
          touchAfter: 0,
          merge: (base, mine, theirs) => {
            seen.push(structuredClone({ base, mine, theirs }));
            const merged = { ...merge(base, mine, theirs), cookie: { expires: new Date(0) }, __saves: 'mine' };
            for (const one of [base, mine, theirs]) for (const key of Object.keys(one)) delete one[key];
            return merged;
          },
        });
        const when = new Date(5);
        await store.set('d', data({ cart: [], when }, 50_000));
        const [one, two, three] = [await load('d', store), await load('d', store), await load('d', store)];
        one.touch();
        await store.touch('d', one);
        add(two, 'two');
        await save(two); // one has only been touched
        await save(three); // it has changed nothing
        expect(seen).to.deep.equal([]);
        add(one, 'one');
        one.when = new Date(7);
        await save(one);
        const read = (at: number) => (serializer ? new Date(at) : new Date(at).toISOString());
        expect(seen).to.deep.equal([
          {
            base: { cart: [], when: read(5) },
            mine: { cart: ['one'], clicks: 1, when: read(7) },
            theirs: { cart: ['two'], clicks: 1, when: read(5) },
          },
        ]);
        const now = (await store.get('d')) as SessionData;
        expect(now).to.deep.include({ cart: ['two', 'one'], clicks: 2, when: read(7) });
        expect(new Date(now.cookie.expires as Date).getTime()).to.be.above(Date.now());
        expect(hiddenOf(now).__saves).to.match(/^\w{9}[\w-]{4} /);
        await client.flushall();
      }
    });

    it('gives what is no JSON, or too deep: that save fails', async () => {
      let deep: unknown = [];
      for (let i = 0; i < 500; i++) deep = [deep];
      for (const more of [{ big: 1n }, { deep }]) {
        const store = open({ merge: (base, mine, theirs) => ({ ...merge(base, mine, theirs), ...more }) });
        await store.set('j', data({ cart: [] }));
        const [one, two] = [await load('j', store), await load('j', store)];
        add(one, 'one');
        add(two, 'two');
        await save(one);
        const before = await client.get('sess:j');
        expect(await save(two).catch((error) => error)).to.include({
          code: 'ERR_INTELLIGENT_SESSION_SERIALIZE',
          status: 500,
        });
        expect(await client.get('sess:j')).to.equal(before);
      }
    });
  });

  it('are merged to a session of 500 levels, and no deeper', async () => {
    const nested = (item: string) => {
      let inner: object = { list: [item] };
      for (let i = 0; i < 497; i++) inner = { inner };
      return inner;
    };
    const store = open({ merge });
    await store.set('l', data());
    const [one, two] = [await load('l', store), await load('l', store)];
    one.shop = nested('one');
    two.shop = nested('two');
    await save(one);
    await save(two);
    expect(JSON.stringify(await stored('l'))).to.contain('"list":["one","two"]');
    two.shop = { inner: nested('two') };
    expect(await save(two).catch((error) => error.code)).to.equal('ERR_INTELLIGENT_SESSION_SERIALIZE');
  });

  it('tell conflicts as without it, and a session that is gone stays gone', async () => {
    const store = open({ merge });
    const events = told(store);
    await store.set('g', data({ cart: [] }));
    const pages = await Promise.all(numbers(3).map(() => load('g', store)));
    pages.forEach((page, i) => add(page, i));
    await Promise.all(pages.slice(0, 2).map(save));
    await store.destroy('g');
    await save(pages[2] as Page);
    expect(await stored('g')).to.equal(null);
    expect(events).to.deep.equal(['created g', 'conflict g', 'destroyed g', 'refused g']);
  });

  it('are not for the other modes, and mergeGrowing() is called with the keys', () => {
    for (const saveMode of ['reject', 'overwrite'] as const)
      expect(() => new RedisSessionStore({ saveMode, merge }))
        .to.throw(OptionError, `option "merge" is without effect: it needs saveMode: 'merge'`)
        .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
    expect(() => new RedisSessionStore({ merge: mergeGrowing as never })).to.throw(OptionError, "mergeGrowing('cart')");
    expect(() => new RedisSessionStore({ merge: {} as never })).to.throw(OptionError, 'a function');
    for (const keys of [[], [''], [1], [['cart']]])
      expect(() => mergeGrowing(...(keys as string[]))).to.throw(OptionError, 'mergeGrowing(): expected the keys');
  });

  it('a serializer that drops the field is told, once', async () => {
    const serializer = {
      parse: (text: string) => JSON.parse(text),
      stringify: ({ cookie, cart }: SessionData) => JSON.stringify({ cookie, cart }),
    };
    const store = open({ merge, serializer });
    const faults: Error[] = [];
    store.on('fault', (error) => faults.push(error));
    const session = data({ cart: ['a'] });
    await store.set('s', session);
    await store.set('s', session);
    await until('it is told', () => faults.length > 0);
    expect(faults.map(({ message }) => message).join()).to.match(
      /^RedisSessionStore: option "serializer" does not keep fields[^]*"merge"/,
    );
  });
});
