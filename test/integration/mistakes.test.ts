import { expect } from 'chai';
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import session from 'express-session';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { type IntelligentSessionOptions, intelligentSession } from '../../lib/index.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { Warnings } from '../support/warnings.js';

describe('mistakes that show at the first request', () => {
  let redis: PrivateRedis;
  let warnings: Warnings;
  const open = useRedis((started) => ({ redis } = started));
  beforeEach(() => {
    warnings = new Warnings();
  });
  afterEach(() => warnings.close());

  const sessionsOf = (options: IntelligentSessionOptions = {}) => {
    const sessions = intelligentSession({ secret: 'x', redis: redis.url, worker: 'embedded', ...options });
    open.push(() => sessions.close());
    return sessions;
  };
  const visitorOf = async (...handlers: RequestHandler[]) => {
    const app = express().use(...handlers);
    app.use((_req: Request, res: Response) => void res.json({ ok: true }));
    app.use((error: Error & { code?: string }, _req: Request, res: Response, _next: NextFunction) => {
      res.json({ code: error.code, message: error.message });
    });
    const site = await Site.open(app);
    open.push(() => site.close());
    return new Visitor(site.url);
  };
  const plain = (options: Partial<session.SessionOptions> = {}) =>
    session({ secret: 'x', resave: false, saveUninitialized: false, ...options });

  it('session() before ours is an error that says so, with its store', async () => {
    const visitor = await visitorOf(plain(), sessionsOf());
    const { code, message } = await visitor.json('/');
    expect(code).to.equal('ERR_INTELLIGENT_SESSION_ORDER');
    expect(message).to.match(/session\(\) of express-session, with MemoryStore, came before intelligentSession\(\)/);
  });

  it('so is any other middleware that made req.session', async () => {
    const cookieSession: RequestHandler = (req, _res, next) => {
      Object.assign(req, { session: { count: 1 } });
      next();
    };
    const { code, message } = await (await visitorOf(cookieSession, sessionsOf())).json('/');
    expect(code).to.equal('ERR_INTELLIGENT_SESSION_ORDER');
    expect(message).to.contain('another middleware (cookie-session?) came before');
  });

  it('two different ones of ours are an error that says which came first; the same one twice is not', async () => {
    const [first, second] = [sessionsOf({ namespace: 'first:' }), sessionsOf({ namespace: 'second:' })];
    const { code, message } = await (await visitorOf(first, second)).json('/');
    expect(code).to.equal('ERR_INTELLIGENT_SESSION_ORDER');
    expect(message).to.match(/\(namespace "first:"\) came before this one \(namespace "second:"\)/);
    expect(await (await visitorOf(first, first)).json('/')).to.deep.equal({ ok: true });
  });

  it('two cookie paths: the longer one first is right, the other way round is an error', async () => {
    const admin = sessionsOf({ namespace: 'admin:', session: { name: 'admin', cookie: { path: '/admin' } } });
    const shop = sessionsOf({ namespace: 'shop:', session: { name: 'shop' } });
    const right = await visitorOf(admin, shop);
    for (const page of ['/', '/admin']) expect(await right.json(page)).to.deep.equal({ ok: true });
    const wrong = await visitorOf(shop, admin);
    expect(await wrong.json('/admin')).to.have.property('code', 'ERR_INTELLIGENT_SESSION_ORDER');
  });

  for (const [what, options, headers, said] of [
    ['a proxy that nobody trusts', {}, { 'x-forwarded-proto': 'https' }, /the proxy says https.*trust proxy/],
    ['a proxy that does not say https', { proxy: true }, {}, /came over http.*X-Forwarded-Proto.*trust proxy/],
    ['plain http', {}, {}, /came over http.*secure: 'auto'/],
  ] as const)
    it(`a secure cookie behind ${what}, which makes a new session at each page, is told once`, async () => {
      const sessions = sessionsOf({ session: { ...options, cookie: { secure: true } } });
      const visitor = await visitorOf(sessions);
      for (let i = 0; i < 3; i++) await visitor.fetch('/', { headers });
      await until('it is told', () => warnings.codes.length > 0);
      expect(visitor.cookie).to.equal('');
      expect(warnings.of('SECURE_COOKIE')[0]).to.match(said);
      expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_SECURE_COOKIE']);
    });

  it('a health check over http is no such mistake, nor a cookie that need not be secure', async () => {
    const secure = await visitorOf(sessionsOf({ session: { cookie: { secure: true } } }));
    await secure.fetch('/', { headers: { 'user-agent': 'kube-probe/1.29' } });
    await (await visitorOf(sessionsOf({ session: { cookie: { secure: 'auto' } } }))).fetch('/');
    await new Promise(setImmediate);
    expect(warnings.codes).to.deep.equal([]);
  });

  const answerOf = async (act: (req: Request) => unknown): Promise<{ code?: string; message: string }> => {
    const visitor = await visitorOf(sessionsOf(), async (req, res, next) => {
      await act(req);
      res.json({});
      next('router');
    });
    return visitor.json('/');
  };
  const circle: Record<string, unknown> = {};
  circle.self = circle;

  for (const [what, act, said] of [
    ['freshPages() of one page', (req) => req.intelligence.freshPages('/a' as never), /expected a list.*got a text/],
    ['notifications() with numbers', (req) => req.intelligence.notifications([{ id: 5 }] as never), /each a text/],
    ['markNotificationSeen() of nothing', (req) => req.intelligence.markNotificationSeen(undefined as never), /an id/],
    ['combo() of no page', (req) => req.intelligence.combo([]), /a list of pages that is not empty, got an empty list/],
    ['combo() of nothing', (req) => req.intelligence.combo(undefined as never), /a combo's name.*got undefined/],
    ['a payload that is a circle', (req) => req.intelligence.ask('report', circle), /what JSON can say/],
    ['a payload that is a BigInt', (req) => req.intelligence.send('report', 5n), /what JSON can say/],
  ] as [string, (req: Request) => unknown, RegExp][])
    it(`${what} is a coded error that says what was expected`, async () => {
      const { code, message } = await answerOf(act);
      expect(code).to.equal('ERR_INTELLIGENT_SESSION_ARGUMENT');
      expect(message).to.match(said);
    });

  it('app.use(intelligentSession), without the call, says so', async () => {
    const visitor = await visitorOf(intelligentSession as unknown as RequestHandler);
    const { code, message } = await visitor.json('/');
    expect(code).to.equal('ERR_INTELLIGENT_SESSION_OPTION');
    expect(message).to.contain('lacks its call');
  });

  it('ids that genid() gives no text for are told once', async () => {
    const visitor = await visitorOf(sessionsOf({ session: { genid: (() => undefined) as never } }));
    for (let i = 0; i < 2; i++) await visitor.fetch('/');
    await until('it is told', () => warnings.codes.length > 0);
    expect(warnings.of('FAULT').join()).to.contain('"session.genid" gives no text');
    expect(warnings.codes).to.have.length(1);
  });

  it('what a function of the application threw is told by its kind only', async () => {
    const track = () => {
      throw new RangeError('card 4111 1111 1111 1111');
    };
    await (await visitorOf(sessionsOf({ track }))).fetch('/');
    await until('it is told', () => warnings.codes.length > 0);
    expect(warnings.of('FAULT').join()).to.contain('(RangeError)').and.not.contain('4111');
  });

  it('a middleware made in a handler is told once', async () => {
    for (let i = 0; i < 12; i++) sessionsOf({ worker: 'external' });
    await until('it is told', () => warnings.codes.length > 0);
    expect(warnings.of('MANY_INSTANCES')).to.have.length(1);
  });
});
