import { once } from 'node:events';
import { expect } from 'chai';
import express, { type NextFunction, type Request, type Response } from 'express';
import session from 'express-session';
import { RedisSessionStore, type RedisSessionStoreOptions } from '../../lib/index.js';
import { FaultyProxy } from '../support/proxy.js';
import { Site, Visitor } from '../support/site.js';
import { data, load, save, StoreGround } from '../support/stores.js';
import { until } from '../support/until.js';

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

    it('a read that was begun without a connection, and lost the next one, is sent again', async () => {
      const { proxy, store: far } = await ground.openFar({ maxWaitMs: 20_000 });
      await store.set('x', data({ n: 1 }));
      await client.config('RESETSTAT');
      const lost = once(far.client, 'close');
      proxy.cut();
      await lost;
      far.client.once('ready', () => proxy.holdAnswers());
      const read = far.get('x');
      await until('Redis has the read', async () => /cmdstat_get:calls=1/.test(await client.info('commandstats')));
      proxy.cut();
      expect(await read).to.have.property('n', 1);
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
