import { expect } from 'chai';
import express, { type Request } from 'express';
import session, { type SessionData, type SessionOptions, type Store } from 'express-session';
import { Cluster } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { RedisSessionStore, type RedisSessionStoreOptions } from '../../lib/index.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { Site, Visitor } from '../support/site.js';

declare module 'express-session' {
  interface SessionData {
    [key: string]: unknown;
  }
}

let redis: PrivateRedis;
let cluster: PrivateCluster;
let made = 0;
const ours = (options: RedisSessionStoreOptions = {}) =>
  new RedisSessionStore({ prefix: `contract${made++}:`, ...(options.client ? {} : { url: redis.url }), ...options });

/** MemoryStore stands first: what is asked of a store is what express-session's own does. */
const stores: Record<string, () => Store> = {
  'express-session’s MemoryStore': () => new session.MemoryStore(),
  RedisSessionStore: () => ours(),
  'RedisSessionStore with a near cache': () => ours({ nearCache: {} }),
  'RedisSessionStore with encryption': () => ours({ encryption: { secrets: ['a secret of some length'] } }),
  'RedisSessionStore that overwrites': () => ours({ saveMode: 'overwrite' }),
  'RedisSessionStore with users': () => ours({ user: (data) => data.user as string | undefined }),
  'RedisSessionStore in a Cluster': () => ours({ client: new Cluster([...cluster.nodes], { lazyConnect: true }) }),
};

const promised = <T>(act: (done: (error?: unknown, value?: T) => void) => void): Promise<T> =>
  new Promise((resolve, reject) => act((error, value) => (error ? reject(error) : resolve(value as T))));

before(async () => {
  redis = await startPrivateRedis();
  cluster = await startCluster(3);
});
after(async () => {
  await cluster?.stop();
  await redis?.stop();
});

for (const [name, make] of Object.entries(stores))
  describe(`what express-session asks of a store: ${name}`, () => {
    let store: Store;
    let site: Site | undefined;
    const opened: Site[] = [];
    beforeEach(() => {
      store = make();
    });
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
      if (store instanceof RedisSessionStore) await store.close();
    });

    async function visit(act: (req: Request) => unknown, options: Partial<SessionOptions> = {}): Promise<Visitor> {
      const app = express();
      app.use(session({ secret: 's', resave: false, saveUninitialized: false, store, ...options }));
      app.use(async (req, res) => {
        const answer = (await act(req)) ?? null;
        res.json({ id: req.sessionID, answer });
      });
      app.use((error: Error, _req: Request, res: express.Response, _next: express.NextFunction) => {
        res.status(500).json({ error: error.message });
      });
      site = await Site.open(app);
      opened.push(site);
      return new Visitor(site.url);
    }
    const count = (req: Request) => {
      req.session.n = Number(req.session.n ?? 0) + 1;
      return req.session.n;
    };
    const stored = (sid: string) => promised<SessionData | null | undefined>((done) => store.get(sid, done));
    const hold = { cookie: { maxAge: 60_000 } };

    it('gives a session back to the cookie that names it, with what was put into it', async () => {
      const visitor = await visit(count);
      const first = await visitor.json('/');
      expect(await visitor.json('/')).to.deep.equal({ id: first.id, answer: 2 });
      expect(await stored(first.id)).to.deep.include({ n: 2 });
    });

    it('stores nothing for a session that nobody put anything into, unless asked to', async () => {
      const { id } = await (await visit(() => {})).json('/');
      expect(await stored(id)).to.not.be.ok;
      const kept = await (await visit(() => {}, { saveUninitialized: true })).json('/');
      expect(await stored(kept.id)).to.be.ok;
    });

    it('makes a new session with a new id for an id that it does not know', async () => {
      const visitor = await visit(count, hold);
      const first = await visitor.json('/');
      await promised((done) => store.destroy(first.id, done));
      const second = await visitor.json('/');
      expect(second.answer).to.equal(1);
      expect(second.id).to.not.equal(first.id);
      expect(await stored(first.id)).to.not.be.ok;
    });

    it('makes a new session when the old one has expired', async () => {
      const visitor = await visit(count, { cookie: { maxAge: 5 } });
      const first = await visitor.json('/');
      while (await stored(first.id)) await promised((done) => setImmediate(done));
      expect((await visitor.json('/')).id).to.not.equal(first.id);
    });

    it('keeps no session that is expired already', async () => {
      const { id } = await (await visit(count, { cookie: { maxAge: 0 } })).json('/');
      expect(await stored(id)).to.not.be.ok;
    });

    it('keeps a session without an expiry', async () => {
      const visitor = await visit(count, { cookie: { maxAge: undefined as unknown as number } });
      const { id } = await visitor.json('/');
      expect((await visitor.json('/')).answer).to.equal(2);
      expect((await stored(id))?.cookie.expires ?? null).to.equal(null);
    });

    it('keeps the cookie’s properties', async () => {
      const { id } = await (
        await visit(count, { cookie: { path: '/', httpOnly: false, sameSite: 'strict', maxAge: 30_000 } })
      ).json('/');
      const cookie = (await stored(id))?.cookie;
      expect(cookie).to.deep.include({ path: '/', httpOnly: false, sameSite: 'strict' });
      expect(cookie?.originalMaxAge).to.be.within(29_990, 30_000);
      expect(new Date(String(cookie?.expires)).getTime()).to.be.within(Date.now() + 25_000, Date.now() + 30_000);
    });

    it('a read moves the stored expiry, and changes nothing else', async () => {
      const visitor = await visit((req) => (req.path === '/put' ? count(req) : req.session.n), hold);
      const { id } = await visitor.json('/put');
      const before = await stored(id);
      const moved = async () => {
        expect((await visitor.json('/')).answer).to.equal(1);
        return (await stored(id)) as SessionData;
      };
      const after = await moved();
      expect(after.n).to.equal(1);
      expect(new Date(String(after.cookie.expires)).getTime()).to.be.at.least(
        new Date(String(before?.cookie.expires)).getTime(),
      );
    });

    it('a maxAge that a page changes is stored, though nothing else changed', async () => {
      const visitor = await visit((req) => {
        if (req.path === '/remember') req.session.cookie.maxAge = 600_000;
        else count(req);
      }, hold);
      const { id } = await visitor.json('/');
      await visitor.json('/remember');
      // a store need not make the page wait for it
      let cookie = (await stored(id))?.cookie;
      while (Number(cookie?.originalMaxAge) < 100_000) cookie = (await stored(id))?.cookie;
      expect(cookie?.originalMaxAge).to.be.within(599_990, 600_000);
      expect(new Date(String(cookie?.expires)).getTime()).to.be.above(Date.now() + 500_000);
    });

    it('touch() and resetMaxAge() of a page move the expiry too', async () => {
      const visitor = await visit((req) => (req.path === '/touch' ? req.session.touch() && 1 : count(req)), hold);
      const { id } = await visitor.json('/');
      await visitor.json('/touch');
      expect((await stored(id))?.n).to.equal(1);
    });

    it('save() stores at once, and the end of the page stores what came after it', async () => {
      let between: SessionData | null | undefined;
      const visitor = await visit(async (req) => {
        req.session.a = 1;
        await promised((done) => req.session.save(done));
        between = await stored(req.sessionID);
        req.session.b = 2;
      });
      const { id } = await visitor.json('/');
      expect(between).to.deep.include({ a: 1 }).and.not.have.property('b');
      expect(await stored(id)).to.deep.include({ a: 1, b: 2 });
    });

    it('two saves on one page, of a session that was read, keep the last', async () => {
      const visitor = await visit(async (req) => {
        for (let i = 0; i < 3; i++) {
          count(req);
          if (i === 1) delete req.session.flash;
          else req.session.flash = i;
          await promised((done) => req.session.save(done));
        }
      });
      const { id } = await visitor.json('/');
      await visitor.json('/');
      expect(await stored(id)).to.deep.include({ n: 6, flash: 2 });
    });

    it('reload() gets what another request has stored meanwhile', async () => {
      const visitor = await visit(async (req) => {
        if (req.path === '/') return count(req);
        const other = (await stored(req.sessionID)) as SessionData;
        await promised((done) => store.set(req.sessionID, { ...other, n: 50 }, done));
        await promised((done) => req.session.reload(done));
        return count(req);
      });
      const { id } = await visitor.json('/');
      expect((await visitor.json('/reload')).answer).to.equal(51);
      expect(await stored(id)).to.deep.include({ n: 51 });
    });

    it('reload() of a session that is gone is an error', async () => {
      const visitor = await visit(async (req) => {
        if (req.path === '/') return count(req);
        await promised((done) => store.destroy(req.sessionID, done));
        return promised((done) => req.session.reload(done)).then(
          () => 'reloaded',
          (error) => error.message,
        );
      });
      await visitor.json('/');
      expect((await visitor.json('/gone')).answer).to.equal('failed to load session');
    });

    it('regenerate() makes another id and destroys the old one', async () => {
      const visitor = await visit(async (req) => {
        if (req.path === '/login') await promised((done) => req.session.regenerate(done));
        return count(req);
      });
      const first = await visitor.json('/');
      const second = await visitor.json('/login');
      expect(second.id).to.not.equal(first.id);
      expect(second.answer).to.equal(1);
      expect(await stored(first.id)).to.not.be.ok;
      expect(await stored(second.id)).to.deep.include({ n: 1 });
      expect((await visitor.json('/')).answer).to.equal(2);
    });

    it('destroy() destroys', async () => {
      const visitor = await visit(async (req) => {
        if (req.path === '/') return count(req);
        return promised((done) => req.session.destroy(done));
      });
      const { id } = await visitor.json('/');
      await visitor.json('/logout');
      expect(await stored(id)).to.not.be.ok;
      expect((await visitor.json('/')).answer).to.equal(1);
    });

    for (const [unset, kept] of [
      ['keep', true],
      ['destroy', false],
    ] as const)
      it(`unset: '${unset}' ${kept ? 'keeps' : 'destroys'} the session that a page takes off the request`, async () => {
        const visitor = await visit(
          (req) => (req.path === '/' ? count(req) : void (req.session = null as unknown as Request['session'])),
          { unset },
        );
        const { id } = await visitor.json('/');
        await visitor.json('/unset');
        expect(Boolean(await stored(id))).to.equal(kept);
      });

    it('resave: true stores what nobody changed', async () => {
      const visitor = await visit((req) => (req.path === '/' ? count(req) : req.session.n), { resave: true, ...hold });
      const { id } = await visitor.json('/');
      expect((await visitor.json('/read')).answer).to.equal(1);
      expect(await stored(id)).to.deep.include({ n: 1 });
    });

    it('what a page removes is removed, and any value of JSON comes back', async () => {
      const values = {
        list: [1, [], {}],
        nested: { empty: [] },
        text: 'é😀\u0000',
        no: null,
        '': 'empty',
        big: 1e21,
        __x: -0.5,
      };
      const visitor = await visit((req) => {
        if (req.path === '/') Object.assign(req.session, values);
        else delete req.session.nested;
      });
      const { id } = await visitor.json('/');
      expect(await stored(id)).to.deep.include(values);
      await visitor.json('/remove');
      expect(await stored(id))
        .to.deep.include({ list: values.list, '': 'empty' })
        .and.not.have.property('nested');
    });

    it('set() stores a plain object that was never read; get() of nothing is nothing', async () => {
      expect(await stored('nobody')).to.not.be.ok;
      const cookie = { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000), path: '/' };
      await promised((done) => store.set('by-hand', { cookie, n: 7 } as SessionData, done));
      await promised((done) => store.set('by-hand', { cookie, n: 8 } as SessionData, done));
      expect(await stored('by-hand')).to.deep.include({ n: 8 });
      await promised((done) => store.touch?.('by-hand', { cookie, n: 9 } as SessionData, done));
      expect(await stored('by-hand')).to.deep.include({ n: 8 });
    });

    it('touch() of a session that is not there makes none, and is no error', async () => {
      const cookie = { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000), path: '/' };
      await promised((done) => store.touch?.('nobody', { cookie } as SessionData, done));
      expect(await stored('nobody')).to.not.be.ok;
    });

    it('length(), all() and clear() count, give and remove them all', async () => {
      const { url } = await visit(count, hold);
      const visitors = Array.from({ length: 12 }, () => new Visitor(url));
      const ids = (await Promise.all(visitors.map((visitor) => visitor.json('/')))).map(({ id }) => id);
      expect(await promised<number>((done) => store.length?.(done))).to.equal(12);
      const all = await promised<object>((done) => store.all?.(done as never));
      const found = Object.values(all as Record<string, { n: number }>);
      expect(found.map(({ n }) => n)).to.deep.equal(ids.map(() => 1));
      await promised((done) => store.clear?.(done));
      expect(await promised<number>((done) => store.length?.(done))).to.equal(0);
    });

    it('a stored session without a cookie ends no process: an error page by the MemoryStore, ours gives it one', async () => {
      const visitor = await visit(count);
      const { id } = await visitor.json('/');
      await promised((done) => store.set(id, { n: 1 } as unknown as SessionData, done));
      const response = await visitor.fetch('/');
      const { answer } = (await response.json()) as { answer?: number };
      const ofMemory = store instanceof session.MemoryStore;
      expect([response.status, answer]).to.deep.equal(ofMemory ? [500, undefined] : [200, 2]);
    });

    it('one visitor’s requests do not see another’s', async () => {
      const visitor = await visit(count);
      const other = new Visitor(visitor.url);
      await visitor.json('/');
      await visitor.json('/');
      expect((await other.json('/')).answer).to.equal(1);
    });
  });
