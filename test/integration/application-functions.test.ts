import { expect } from 'chai';
import express, { type NextFunction, type Request, type Response } from 'express';
import type { SessionData } from 'express-session';
import {
  type IntelligentSessionOptions,
  intelligentSession,
  type RedisSessionStore,
  type RedisSessionStoreOptions,
} from '../../lib/index.js';
import { rejected } from '../support/rejected.js';
import { Site, Visitor } from '../support/site.js';
import { data, load, save, StoreGround, users } from '../support/stores.js';
import { until } from '../support/until.js';

const SECRET = 'card 4111 1111 1111 1111';

/** A function that throws a text, as careless code does. */
const throwing = () => {
  throw SECRET as unknown;
};
/** An id of a user that can't be read. */
const unreadableId = {
  toString(): string {
    throw new RangeError('no id');
  },
};

/** What libraries of their own promises give. */
const otherPromise = <T>(value: T): PromiseLike<T> => {
  const promise = Promise.resolve(value);
  // oxlint-disable-next-line unicorn/no-thenable -- that is what it is to be
  return { then: promise.then.bind(promise) };
};
class Cart {
  readonly n = 3;
}

describe('an application’s function', () => {
  const ground = new StoreGround();
  const { open, stored } = ground;

  describe('that throws no Error', () => {
    for (const [name, options] of [
      ['ttl', { ttl: throwing }],
      ['user', { user: throwing }],
      ['stringify', { serializer: { parse: JSON.parse, stringify: throwing } }],
    ] as [string, RedisSessionStoreOptions][])
      it(`is not taken for a fault of Redis, and what it threw is told to nobody: ${name}`, async () => {
        const store = open(options);
        const faults: Error[] = [];
        store.on('fault', (error) => faults.push(error));
        const error = await rejected(store.set('a', data({ n: 1 })));
        expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
        expect(error).to.not.have.property('status', 503);
        expect(error.message).to.contain('A function of the application threw what is no Error');
        expect(error.message).to.not.contain('4111').and.not.contain('Redis');
        expect(faults).to.deep.equal([error]);
        expect(await stored('a')).to.equal(null);
      });

    it('nor is a listener', async () => {
      const store = open();
      store.on('created', throwing);
      expect(await rejected(store.set('a', data({ n: 1 })))).to.have.property(
        'code',
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
    });
  });

  it('is not taken for a fault of Redis: the toString() of a user whose sessions are asked for', async () => {
    const store = open(users);
    for (const asked of [store.sessionsOf(unreadableId as never), store.destroyAllOf(unreadableId as never)])
      expect(await rejected(asked)).to.be.instanceOf(RangeError);
  });

  it('stringify() that is async is the page’s error, also where it rejects', async () => {
    for (const stringify of [() => Promise.reject(new Error('late')), () => Promise.resolve('{}')])
      expect(
        await rejected(open({ serializer: { parse: JSON.parse, stringify: stringify as never } }).set('a', data())),
      ).to.have.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
    await new Promise((resolve) => setImmediate(resolve)); // an unhandled rejection would have ended this process
    expect(await stored('a')).to.equal(null);
  });

  it('parse() may give a promise of any library, and its sessions are merged as others are', async () => {
    const parse = (text: string) => {
      return otherPromise(JSON.parse(text)) as Promise<SessionData>;
    };
    const store = open({ serializer: { parse, stringify: JSON.stringify } });
    await store.set('a', data({ n: 1 }));
    const [first, second] = [await load('a', store), await load('a', store)];
    await save(Object.assign(first, { first: 1 }));
    await save(Object.assign(second, { second: 1 }));
    expect(await stored('a')).to.deep.include({ n: 1, first: 1, second: 1 });
  });

  for (const [what, merged] of [
    ['a promise of another library', otherPromise({ n: 3 })],
    ['an object of a class', new Cart()],
  ] as const)
    it(`merge() that gives ${what} is the page’s error, and what is stored stays`, async () => {
      const store = open({ merge: () => merged as never });
      await store.set('a', data({ n: 0 }));
      const [first, second] = [await load('a', store), await load('a', store)];
      await save(Object.assign(first, { n: 1 }));
      expect(await rejected(save(Object.assign(second, { n: 2 })))).to.have.property(
        'code',
        'ERR_INTELLIGENT_SESSION_MERGE',
      );
      expect(await stored('a')).to.have.property('n', 1);
    });

  describe('of intelligentSession()', () => {
    /** A site whose handler of errors tells them. What `page` throws is one, too. */
    const siteOf = async (options: IntelligentSessionOptions, page: (req: Request) => unknown) => {
      const sessions = intelligentSession({ secret: 'x', redis: ground.redis.url, worker: 'embedded', ...options });
      ground.opened.push(() => sessions.close());
      const app = express().use(sessions);
      app.get('/', async (req, res, next) => {
        try {
          res.json((await page(req)) ?? {});
        } catch (error) {
          next(error);
        }
      });
      app.use((error: Error & { code?: string }, _req: Request, res: Response, _next: NextFunction) => {
        res.json({ name: error.name, message: error.message, code: error.code });
      });
      const site = await Site.open(app);
      ground.opened.push(() => site.close());
      return { visitor: new Visitor(site.url), sessions };
    };
    const noId = { name: 'RangeError', message: 'no id' };

    it('is the page’s error as it was thrown: the toString() of a user', async () => {
      const { visitor } = await siteOf({ user: () => unreadableId as never }, () => {});
      expect(await visitor.json('/')).to.deep.equal(noId);
    });

    it('is not taken for a fault of Redis where the session is stored: `user`', async () => {
      const user = (session: SessionData) => (session.user === 'bad' ? String(unreadableId) : undefined);
      const { visitor } = await siteOf({ user }, async (req) => {
        Object.assign(req.session, { user: 'bad' });
        await req.session.save();
      });
      expect(await visitor.json('/')).to.deep.equal(noId);
    });

    for (const [when, isStored] of [
      ['stored', false],
      ['touched', true],
    ] as const)
      it(`harms no page that has ended, and is no fault of Redis, where the session is ${when} then: \`user\``, async () => {
        let isBad = false;
        const user = () => (isBad ? String(unreadableId) : undefined);
        let page = () => {};
        const { visitor, sessions } = await siteOf({ user }, () => page());
        const faults: Error[] = [];
        sessions.store.on('fault', (error: Error) => faults.push(error));
        if (isStored) await visitor.json('/');
        page = () => void (isBad = true);
        expect(await visitor.json('/')).to.deep.equal({});
        await until('it is told', () => faults.length > 0);
        expect(faults).to.have.length(1);
        expect(faults[0]).to.be.instanceOf(RangeError);
      });

    it('is not taken for a fault of Redis where a session gets another id: `genid`', async () => {
      let calls = 0;
      const genid = () => {
        if (calls++ > 0) throw new RangeError('no id');
        return 'x'.repeat(20);
      };
      const options = { rotateEvery: 60, session: { genid } };
      const { visitor, sessions } = await siteOf(options, (req) => void Object.assign(req.session, { n: 1 }));
      (sessions.store as RedisSessionStore).useRotation({ everyMs: 1, graceMs: 1000 });
      const faults: Error[] = [];
      sessions.store.on('fault', (error: Error) => faults.push(error));
      await until('the id is renewed', async () => {
        expect(await visitor.json('/')).to.deep.equal({});
        return faults.length > 0;
      });
      expect(faults[0]).to.be.instanceOf(RangeError);
    });

    it('is the page’s error where it throws when the session has got another id: `user`', async () => {
      let isBad = false;
      const user = (session: SessionData) => {
        if (isBad && 'save' in session) throw new RangeError('no id'); // a request's session, not one that is being read
        return undefined;
      };
      const options = { user, rotateEvery: 60, notifications: { groups: () => [] } };
      const { visitor, sessions } = await siteOf(options, (req) => ({ sid: req.sessionID }));
      const { sid } = await visitor.json('/');
      (sessions.store as RedisSessionStore).useRotation({ everyMs: 0, graceMs: 1000 });
      isBad = true;
      expect(await visitor.json('/')).to.deep.equal(noId);
      expect(await stored(sid)).to.equal(null);
    });

    it('that rejects ends no process: `genid`', async () => {
      const genid = (() => Promise.reject(new Error('late'))) as never;
      const { visitor, sessions } = await siteOf({ session: { genid } }, () => {});
      const faults: string[] = [];
      sessions.serving.on('fault', ({ message }) => faults.push(message));
      expect(await visitor.json('/')).to.deep.equal({});
      await until('it is told', () => faults.length > 0);
      expect(faults.join()).to.contain('"session.genid" gives no text');
    });

    it('that rejects ends no process: `groups`', async () => {
      const groups = (() => Promise.reject(new Error('late'))) as never;
      const { visitor } = await siteOf({ notifications: { groups } }, (req) => req.intelligence.notifications());
      expect(await visitor.json('/')).to.have.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
    });
  });
});
