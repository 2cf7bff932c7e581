import { once } from 'node:events';
import { expect } from 'chai';
import express, { type NextFunction, type Request, type Response } from 'express';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  type AskResult,
  createWorker,
  type IntelligentSessionOptions,
  intelligentSession,
  UnansweredError,
} from '../../lib/index.js';
import { Site, Visitor } from '../support/site.js';

const commands = {
  price: ({ payload }: { payload: string }) => ({ price: payload.length }),
  nothing: () => undefined,
  broken: () => {
    throw new Error('no stock');
  },
  hangs: () => new Promise(() => {}),
};

for (const way of ['a worker', 'a process of its own'] as const)
  describe(`what ask() gives, carried out by ${way}`, () => {
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

    /** A page that gives what `ask` gives, or how it rejects. */
    const visitorOf = async (ask: (req: Request) => Promise<unknown>, options: IntelligentSessionOptions = {}) => {
      if (way === 'a worker') {
        const worker = await createWorker({ redis: redis.url, commands, commandTimeoutMs: 500, log: silent });
        open.push(() => worker.close({ timeout: 0 }));
      }
      const embedded = way === 'a worker' ? {} : ({ worker: 'embedded', commands, commandTimeoutMs: 500 } as const);
      const sessions = intelligentSession({ redis: redis.url, secret: 'x', ...embedded, ...options });
      sessions.serving.on('fault', () => {});
      open.push(() => sessions.close({ timeout: 0 }));
      const app = express().use(sessions);
      app.get('/', async (req, res) => {
        const given = await ask(req).then((value) => ({ given: value === undefined ? 'undefined' : value }));
        res.json({ ...given, degraded: req.intelligence.degraded });
      });
      app.use((error: UnansweredError, _req: Request, res: Response, next: NextFunction) => {
        const { name, code, reason, status, message, cause } = error;
        if (!(error instanceof UnansweredError)) next(error);
        else res.json({ name, code, reason, status, message, cause: (cause as Error | undefined)?.message });
      });
      const site = await Site.open(app);
      open.push(() => site.close());
      return { sessions, site, visitor: new Visitor(site.url) };
    };
    const ask = (command: string, timeout = 5_000) =>
      visitorOf((req) => req.intelligence.ask(command, 'abc', { timeout }));
    const result = async (command: string, timeout = 5_000) => {
      let asked: AskResult | undefined;
      const { visitor } = await visitorOf(async (req) => {
        asked = await req.intelligence.askResult(command, 'abc', { timeout });
      });
      await visitor.json('/');
      return asked;
    };

    it('is the answer, null of a command that gave nothing, and undefined where it failed or came too late', async () => {
      for (const [command, given, timeout] of [
        ['price', { price: 3 }, 5_000],
        ['nothing', null, 5_000],
        ['broken', 'undefined', 5_000],
        ['hangs', 'undefined', 50],
      ] as const) {
        const { visitor } = await ask(command, timeout);
        expect(await visitor.json('/'), command).to.deep.equal({ given, degraded: given === 'undefined' });
      }
    });

    it('is a result with the reason, of askResult()', async () => {
      expect(await result('price')).to.deep.equal({ answered: true, data: { price: 3 } });
      expect(await result('nothing')).to.deep.equal({ answered: true, data: null });
      expect(await result('hangs', 50)).to.include({ answered: false, reason: 'timeout' });
      const failed = await result('broken');
      expect(failed).to.include({ answered: false, reason: 'failed' });
      const said = way === 'a worker' ? /command "broken" failed in the worker/ : /^no stock$/;
      expect(failed).to.have.nested.property('error.message').that.matches(said);
    });

    it('is a rejected promise, where it is to be: the error has the reason, and goes to the error handler', async () => {
      const { visitor } = await visitorOf((req) =>
        req.intelligence.ask('broken', '', { timeout: 5_000, onUnanswered: 'reject' }),
      );
      const error = await visitor.json('/');
      expect(error).to.include({
        name: 'UnansweredError',
        code: 'ERR_INTELLIGENT_SESSION_UNANSWERED',
        reason: 'failed',
        status: 503,
      });
      expect(error.message).to.match(/^ask\("broken"\) was not answered: failed \(ERR_/);
      expect(error.cause).to.be.a('string');
      const answered = await visitorOf((req) =>
        req.intelligence.ask('nothing', '', { timeout: 5_000, onUnanswered: 'reject' }),
      );
      expect(await answered.visitor.json('/')).to.deep.equal({ given: null, degraded: false });
    });

    it('is "untracked" for a declared bot, of which nothing is asked and nothing is degraded', async () => {
      const { visitor } = await visitorOf((req) => req.intelligence.askResult('price', ''), { bots: () => true });
      expect(await visitor.json('/')).to.deep.equal({
        given: { answered: false, reason: 'untracked' },
        degraded: false,
      });
    });

    it('is "no-session" while the store is away, which is degraded', async () => {
      const own = await startPrivateRedis();
      open.push(() => own.stop());
      const { sessions, visitor } = await visitorOf((req) => req.intelligence.askResult('price', ''), {
        redis: own.url,
      });
      await visitor.json('/');
      const away = once(sessions.store, 'away');
      sessions.store.on('disconnect', () => {});
      await own.stop();
      await away;
      expect(await visitor.json('/')).to.deep.equal({
        given: { answered: false, reason: 'no-session' },
        degraded: true,
      });
    });

    it('a wrong option is an error at once', async () => {
      const { visitor } = await visitorOf(async (req) => {
        const wrong = { onUnanswered: 'throw' } as never;
        return req.intelligence.ask('price', '', wrong).catch(({ code, message }) => ({ code, message }));
      });
      const { given } = await visitor.json('/');
      expect(given.code).to.equal('ERR_INTELLIGENT_SESSION_ARGUMENT');
      expect(given.message).to.match(/"onUnanswered" to be 'undefined' or 'reject', got a text/);
    });
  });

const silent = { info() {}, warn() {} };
