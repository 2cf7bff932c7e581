import { expect } from 'chai';
import express, { type NextFunction, type Request, type Response } from 'express';
import session from 'express-session';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { type IntelligentSessionOptions, intelligentSession, RedisSessionStore } from '../../lib/index.js';
import { Site, Visitor } from '../support/site.js';

declare module 'express-session' {
  interface SessionData {
    step?: number;
    circle?: unknown;
  }
}

describe('save(), reload(), regenerate() and destroy() of req.session', () => {
  let redis: PrivateRedis;
  const open: (() => unknown)[] = [];

  before(async () => {
    redis = await startPrivateRedis();
  });
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });
  after(async () => {
    await redis.stop();
  });

  const appOf = (options: IntelligentSessionOptions = {}) => {
    const sessions = intelligentSession({ secret: 'x', redis: redis.url, worker: 'embedded', ...options });
    open.push(() => sessions.close());
    sessions.serving.on('fault', () => {});
    return express().use(sessions);
  };
  const visitorOf = async (app: express.Express) => {
    app.use((error: Error & { status?: number; code?: string }, _req: Request, res: Response, _next: NextFunction) => {
      res.status(error.status ?? 500).json({ code: error.code });
    });
    const site = await Site.open(app);
    open.push(() => site.close());
    return new Visitor(site.url);
  };

  for (const [what, store] of [
    ['the store on Redis', () => ({})],
    ['a store of its own', () => new session.MemoryStore()],
  ] as const)
    it(`return promises that say when it is done, with ${what}`, async () => {
      const app = appOf({ store: store() });
      app.get('/all', async (req, res) => {
        const ids = [req.sessionID];
        req.session.step = 1;
        await req.session.save();
        req.session.step = 2; // not saved
        await req.session.reload();
        const steps = [req.session.step];
        await req.session.regenerate();
        ids.push(req.sessionID);
        steps.push(req.session.step);
        req.session.step = 3;
        await req.session.save();
        await req.session.reload();
        steps.push(req.session.step);
        // again, on what reload() and regenerate() made
        await req.session.regenerate();
        ids.push(req.sessionID);
        await req.session.destroy();
        res.json({ steps, ids: new Set(ids).size, gone: req.session === undefined });
      });
      const visitor = await visitorOf(app);
      expect(await visitor.json('/all')).to.deep.equal({ steps: [1, null, 3], ids: 3, gone: true });
    });

  it('without a callback and without await, nothing ends the process, and the new session is the response’s', async () => {
    const app = appOf();
    app.get('/login', (req, res) => {
      void req.session.regenerate();
      void req.session.reload();
      void req.session.save();
      res.json({});
    });
    app.get('/logout', (req, res) => {
      void req.session.destroy();
      res.json({});
    });
    const visitor = await visitorOf(app);
    for (const page of ['/login', '/logout', '/login']) expect(await visitor.json(page)).to.deep.equal({});
  });

  for (const name of ['save', 'reload'] as const)
    it(`go on where the application has wrapped ${name}(), or put something else in its place`, async () => {
      const app = appOf();
      app.use((req, _res, next) => {
        if (req.path === '/other') Object.assign(req.session, { [name]: 'not a method' });
        else {
          const theirs = req.session[name].bind(req.session) as (...args: unknown[]) => never;
          req.session[name] = (...args: unknown[]) => theirs(...args);
        }
        next();
      });
      app.get('/wrapped', async (req, res) => {
        req.session.step = (req.session.step ?? 0) + 1;
        await req.session.save();
        await req.session.reload();
        res.json({ step: req.session.step });
      });
      app.get('/regenerated', async (req, res) => {
        await req.session.regenerate();
        req.session.step = 7;
        res.json({});
      });
      app.get('/other', async (req, res) => {
        await (name === 'save' ? req.session.reload() : req.session.save());
        await req.session.destroy();
        res.json({});
      });
      const visitor = await visitorOf(app);
      for (const step of [1, 2]) expect(await visitor.json('/wrapped')).to.deep.equal({ step });
      expect(await visitor.json('/regenerated')).to.deep.equal({});
      expect(await visitor.json('/wrapped')).to.deep.equal({ step: 8 });
      expect((await visitor.fetch('/other')).status).to.equal(200);
    });

  it('callbacks are called as before, once, and what they return is the session', async () => {
    const app = appOf();
    app.get('/', (req, res, next) => {
      const told: string[] = [];
      const mine = req.session;
      const same = req.session.save((error) => {
        told.push('saved');
        if (error) return next(error);
        req.session.regenerate((failed) => {
          told.push('regenerated');
          if (failed) return next(failed);
          req.session.save(() => req.session.reload(() => res.json({ told, same: same === mine })));
        });
      });
    });
    const visitor = await visitorOf(app);
    expect(await visitor.json('/')).to.deep.equal({ told: ['saved', 'regenerated'], same: true });
  });

  it("await save() sees the conflict of saveMode: 'reject', status 409", async () => {
    const app = appOf({ store: { saveMode: 'reject' } });
    app.get('/', async (req, res) => {
      req.session.step = 0;
      res.json({});
    });
    app.get('/slow', async (req, res) => {
      await other.fetch('/fast');
      req.session.step = 1;
      await req.session.save();
      res.json({ saved: true });
    });
    app.get('/fast', (req, res) => {
      req.session.step = 2;
      res.json({});
    });
    const visitor = await visitorOf(app);
    const other = new Visitor(visitor.url);
    await visitor.fetch('/');
    other.cookie = visitor.cookie;
    const response = await visitor.fetch('/slow');
    expect(response.status).to.equal(409);
    expect(await response.json()).to.deep.equal({ code: 'ERR_INTELLIGENT_SESSION_CONFLICT' });
  });

  it('what JSON can not say rejects, on a regenerated session, too', async () => {
    const app = appOf();
    app.get('/', async (req, res) => {
      const codes: unknown[] = [];
      for (let i = 0; i < 2; i++) {
        req.session.circle = req.session;
        codes.push(await req.session.save().catch(({ code }) => code));
        delete req.session.circle;
        await req.session.regenerate();
      }
      res.json({ codes });
    });
    const code = 'ERR_INTELLIGENT_SESSION_SERIALIZE';
    expect(await (await visitorOf(app)).json('/')).to.deep.equal({ codes: [code, code] });
  });

  it('regenerate() and destroy() of plain express-session over our store end no process', async () => {
    const store = new RedisSessionStore({ url: redis.url });
    open.push(() => store.close());
    const app = express().use(session({ store, secret: 'x', resave: false, saveUninitialized: true }));
    app.get('/', (req, res) => {
      void req.session.regenerate();
      res.json({});
    });
    app.get('/bye', (req, res) => {
      void req.session.destroy();
      res.json({});
    });
    const visitor = await visitorOf(app);
    for (const page of ['/', '/bye', '/']) expect(await visitor.json(page)).to.deep.equal({});
  });
});
