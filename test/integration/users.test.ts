import { expect } from 'chai';
import express from 'express';
import type { SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  OptionError,
  RedisSessionStore,
} from '../../lib/index.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { itemKeyOf } from '../../lib/intelligence/item-key.js';
import { FaultyProxy } from '../support/proxy.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { startWorkerOf, type Way, ways } from '../support/ways.js';

type WithUser = SessionData & { user?: string; passport?: { user?: string } };

const deferred = () => {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
};

/** What an application does when somebody logs in or out, by the path of the page that does it. */
function appOf(sessions: IntelligentSession) {
  const app = express();
  app.use(sessions);
  const session = (req: express.Request) => req.session as typeof req.session & WithUser;
  app.post('/login/assign/:user', (req, res) => {
    session(req).user = req.params.user;
    res.redirect('/home');
  });
  app.post('/login/regenerate/:user', (req, res, next) => {
    req.session.regenerate().then(() => {
      session(req).user = req.params.user;
      res.redirect('/home');
    }, next);
  });
  // As Passport does it: a session of its own, saved before the answer.
  app.post('/login/passport/:user', (req, res, next) => {
    req.session.regenerate(() => {
      session(req).user = req.params.user;
      req.session.save((error?: unknown) => (error ? next(error) : res.redirect('/home')));
    });
  });
  app.post('/login/asking/:user', async (req, res) => {
    const before = await req.intelligence.freshPages(['/a', '/b']);
    await req.session.regenerate();
    session(req).user = req.params.user;
    res.json({ before, after: await req.intelligence.freshPages(['/a', '/b']) });
  });
  app.post('/login/identify/:user', (req, res) => {
    req.intelligence.identify(req.params.user);
    res.redirect('/home');
  });
  app.post('/logout/destroy', (req, res) => void req.session.destroy(() => res.redirect('/home')));
  app.post('/logout/delete', (req, res) => {
    delete session(req).user;
    res.redirect('/home');
  });
  app.post('/logout/regenerate', (req, res) => void req.session.regenerate().then(() => res.redirect('/home')));
  // As Passport does it: saved without the user, and then replaced.
  app.post('/logout/passport', (req, res) => {
    delete session(req).user;
    req.session.save(() => req.session.regenerate(() => res.redirect('/home')));
  });
  app.post('/logout/identify', (req, res) => {
    req.intelligence.identify(undefined);
    res.redirect('/home');
  });
  app.post('/forget', async (req, res) => void res.json({ erased: await req.intelligence.forget() }));
  app.post('/delete-account', async (req, res) => {
    const erased = req.intelligence.forget();
    await Promise.all([erased, req.session.destroy()]);
    res.json({ erased: await erased, degraded: req.intelligence.degraded });
  });
  app.get('/explain', async (req, res) => void res.json((await req.intelligence.explain()) ?? null));
  app.post('/rotate', (req, res) => void req.session.regenerate().then(() => res.redirect('/home')));
  // Both requests have their session before one of them destroys it.
  let arrived = deferred();
  let isFirst = true;
  app.post('/rotate-both', async (req, res) => {
    const both = arrived;
    if (isFirst) isFirst = false;
    else {
      arrived = deferred();
      isFirst = true;
      both.resolve();
    }
    await both.promise;
    await req.session.regenerate();
    res.redirect('/home');
  });
  app.post('/stay/:user', (req, res) => {
    void req.session.regenerate().then(() => {
      session(req).user = req.params.user;
      res.redirect('/home');
    });
  });
  app.post('/mark/:id', async (req, res) => {
    res.json({ was: (await req.intelligence.markNotificationSeen(req.params.id)) ?? null });
  });
  app.get('/knows', async (req, res) => {
    const [fresh, notes] = await Promise.all([
      req.intelligence.freshPages(['/a', '/b', '/c']),
      req.intelligence.notifications(['n1', 'n2']),
    ]);
    const report = await req.intelligence.pageview();
    res.json({ fresh, seen: notes.filter(({ seen }) => seen).map(({ id }) => id), total: report?.totalPages });
  });
  app.get('/show', (req, res) => void res.json({ session: req.session, sid: req.sessionID }));
  app.get(/.*/, async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
  return app;
}

const namespace = 'users:';
const user = (session: WithUser) => session.user;
for (const [way, options] of Object.entries<Way>(ways))
  describe(`users: what is known of a visitor is the user's after a login (${way})`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    const opened = useRedis((started) => ({ redis, client } = started));

    const openSite = async (more: IntelligentSessionOptions = { user }) => {
      const sessions = intelligentSession({
        ...{ redis: redis.url, namespace, secret: 'test', timeout: 5000 },
        ...options,
        ...more,
      } as IntelligentSessionOptions);
      const site = await Site.open(appOf(sessions));
      opened.push(
        () => sessions.close(),
        () => site.close(),
      );
      return { site, sessions };
    };
    beforeEach(async () => {
      const worker = await startWorkerOf({ ...options, redis: redis.url, namespace });
      opened.push(() => worker?.close());
    });
    const post = (visitor: Visitor, path: string) => visitor.fetch(path, { method: 'POST' });
    const learn = async (visitor: Visitor) => {
      await visitor.json('/a');
      await visitor.json('/b');
      await post(visitor, '/mark/n1');
    };
    const known = { fresh: ['/c'], seen: ['n1'] };
    const nothing = { fresh: ['/a', '/b', '/c'], seen: [] };
    const logins = ['assign', 'regenerate', 'passport'];
    const logouts = ['destroy', 'delete', 'regenerate', 'passport'];

    for (const login of logins)
      it(`a login keeps it, on this device and the second (${login})`, async () => {
        const { site } = await openSite();
        const visitor = new Visitor(site.url);
        await learn(visitor);
        await post(visitor, `/login/${login}/ann`);
        expect(await visitor.json('/knows')).to.deep.include(known);
        const phone = new Visitor(site.url);
        await post(phone, `/login/${login}/ann`);
        expect(await phone.json('/knows')).to.deep.include(known);
        await phone.json('/c');
        expect(await visitor.json('/knows')).to.deep.include({ fresh: [] });
      });

    for (const login of logins)
      for (const logout of logouts)
        it(`a logout leaves nothing of the user (${login}, ${logout})`, async () => {
          const { site } = await openSite();
          const visitor = new Visitor(site.url);
          await learn(visitor);
          await post(visitor, `/login/${login}/ann`);
          await visitor.json('/knows');
          await post(visitor, `/logout/${logout}`);
          expect(await visitor.json('/knows')).to.deep.equal({ ...nothing, total: 1 });
          await visitor.json('/c');
          // Who logs in next gets what was seen since, and nothing of the one before.
          await post(visitor, `/login/${login}/bob`);
          expect(await visitor.json('/knows')).to.deep.include({ fresh: ['/a', '/b'], seen: [] });
          const ann = new Visitor(site.url);
          await post(ann, `/login/${login}/ann`);
          expect(await ann.json('/knows')).to.deep.include(known);
        });

    it('a login that asks before and after knows the same', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const answer = await (await post(visitor, '/login/asking/ann')).json();
      expect(answer).to.deep.equal({ before: ['/b'], after: ['/b'] });
    });

    it('one user after another, without a logout: nothing of the first gets to the second', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/login/assign/ann');
      await post(visitor, '/login/assign/bob');
      expect(await visitor.json('/knows')).to.deep.include(nothing);
      await post(visitor, '/login/assign/ann');
      expect(await visitor.json('/knows')).to.deep.include(known);
    });

    it('an anonymous visitor with a new session id keeps it, also of two that are made at once', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      const other = new Visitor(site.url);
      other.cookie = visitor.cookie;
      await Promise.all([post(visitor, '/rotate-both'), post(other, '/rotate-both')]);
      expect(visitor.cookie).to.not.equal(other.cookie);
      for (const one of [visitor, other]) expect(await one.json('/knows')).to.deep.include(known);
      await post(visitor, '/rotate');
      await post(visitor, '/login/regenerate/ann');
      expect(await visitor.json('/knows')).to.deep.include(known);
    });

    it('a user who stays logged in through a new session id keeps it', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/login/regenerate/ann');
      await post(visitor, '/stay/ann');
      expect(await visitor.json('/knows')).to.deep.include(known);
    });

    it('what came before a session had a user is carried with its next request', async () => {
      const { site } = await openSite({});
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/login/assign/ann');
      const { site: later } = await openSite();
      const same = new Visitor(later.url);
      same.cookie = visitor.cookie;
      expect((await same.json('/knows')).seen).to.deep.equal([]); // no list was kept
      expect((await same.json('/knows')).total).to.equal(4);
    });

    it('the end of an anonymous session erases it, whatever its id was before', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      const { sid } = await visitor.json('/show');
      await post(visitor, '/rotate');
      await visitor.json('/a');
      const { activity, gone } = commandKeys(namespace, sid);
      expect(await client.exists(activity)).to.equal(1);
      await post(visitor, '/logout/destroy');
      await until('it is erased', async () => (await client.exists(activity)) === 0);
      expect(await client.get(gone)).to.equal('');
    });

    it('the application sees nothing of it in its session', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/rotate');
      await post(visitor, '/login/assign/ann');
      const { session } = await visitor.json('/show');
      expect(Object.keys(session).sort()).to.deep.equal(['cookie', 'user']);
    });

    it('a user is named by the application, once, and logged out', async () => {
      const { site } = await openSite({ user: 'identify' });
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/login/identify/ann');
      expect(await visitor.json('/knows')).to.deep.include(known);
      const phone = new Visitor(site.url);
      await phone.json('/x');
      await post(phone, '/login/identify/ann');
      expect(await phone.json('/knows')).to.deep.include(known);
      await post(visitor, '/logout/identify');
      expect(await visitor.json('/knows')).to.deep.equal({ ...nothing, total: 1 });
    });

    it("a user's data outlast the session, and are renewed by use", async () => {
      const { site } = await openSite({ user, keepUsersForDays: 30 });
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/login/assign/ann');
      await visitor.json('/knows');
      const { activity } = commandKeys(namespace, userSubject('ann', itemKeyOf(options.itemSecret)));
      const ttlMs = () => client.pttl(activity);
      await until('it is the user’s', async () => (await ttlMs()) > 29 * 86_400_000);
      await post(visitor, '/logout/destroy');
      expect(await ttlMs()).to.be.above(29 * 86_400_000);
      const { site: later } = await openSite({ user, keepUsersForDays: 60 });
      const phone = new Visitor(later.url);
      await post(phone, '/login/assign/ann');
      expect(await phone.json('/knows')).to.deep.include(known);
      await until('it is renewed', async () => (await ttlMs()) > 59 * 86_400_000);
    });

    for (const login of [undefined, 'assign', 'regenerate'])
      it(`forget() leaves nothing but a mark that ends (${login ?? 'anonymous'})`, async () => {
        const { site } = await openSite();
        const before = new Set(await client.keys('*'));
        const visitor = new Visitor(site.url);
        await learn(visitor);
        if (login) await post(visitor, `/login/${login}/ann`);
        await visitor.json('/knows');
        const answer = await post(visitor, '/forget');
        expect(await answer.json()).to.deep.equal({ erased: true });
        const after = (await client.keys('*')).filter((key) => !before.has(key));
        const rest = after.filter((key) => !/sess:|^ended:|async:|ss:(shape|item-key|stream|workers)/.test(key));
        for (const key of rest) {
          expect(key).to.match(/:gone$/);
          expect(await client.pttl(key), key).to.be.above(0);
        }
        expect(await visitor.json('/knows')).to.deep.include(nothing);
        await post(visitor, '/logout/delete');
        expect(await visitor.json('/knows')).to.deep.include(nothing);
      });

    for (const [option, login] of [
      [user, 'assign'],
      ['identify', 'identify'],
    ] as const)
      it(`forget() on a page that ends the session at the same time erases all (${login})`, async () => {
        const { site } = await openSite({ user: option });
        const visitor = new Visitor(site.url);
        await learn(visitor);
        await post(visitor, `/login/${login}/ann`);
        expect(await visitor.json('/knows')).to.deep.include(known);
        const answer = await post(visitor, '/delete-account');
        expect([answer.status, await answer.json()]).to.deep.equal([200, { erased: true, degraded: false }]);
        const phone = new Visitor(site.url);
        await post(phone, `/login/${login}/ann`);
        expect(await phone.json('/knows')).to.deep.include(nothing);
      });

    it('an anonymous visitor who was forgotten begins anew at once', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/forget');
      expect(await visitor.json('/a')).to.deep.include({ totalPages: 1, newToSite: true });
      expect(await visitor.json('/a')).to.deep.include({ totalPages: 2, previouslyVisited: true });
    });

    it('what a user does after forget() is kept at once, and what was on its way is not', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/login/regenerate/ann');
      await visitor.json('/knows');
      const proxy = await FaultyProxy.open(redis.port);
      opened.push(() => proxy.close());
      const { sessions: other } = await openSite({ user, redis: proxy.url });
      const late = other.of({ user: 'ann' });
      for (const page of ['/x', '/y']) expect(await late.pageview(page)).to.not.equal(undefined);
      proxy.hold();
      const views = [late.pageview('/late'), late.markNotificationSeen('late')];
      expect(await (await post(visitor, '/forget')).json()).to.deep.equal({ erased: true });
      expect(await visitor.json('/a')).to.include({ totalPages: 1, newToSite: true });
      proxy.release();
      expect(await Promise.all(views)).to.deep.equal([undefined, undefined]);
      await post(visitor, '/mark/n2');
      expect(await visitor.json('/knows')).to.deep.equal({ fresh: ['/b', '/c'], seen: ['n2'], total: 2 });
      expect(await late.freshPages(['/late', '/x', '/a'])).to.deep.equal(['/late', '/x']);
      expect(await late.notifications(['late'])).to.deep.equal([{ id: 'late', seen: false }]);
      // what another process sends is told by its time as well
      expect(await late.pageview('/c')).to.include({ totalPages: 3 });
    });

    it('forget() of a process that has just begun waits for its connection', async () => {
      const { sessions } = await openSite();
      expect(await sessions.serving.forget('somebody')).to.equal(true);
      expect(await client.exists(commandKeys(namespace, 'somebody').gone)).to.equal(1);
    });

    it('who logs in after forget() brings what they have seen', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      await post(visitor, '/login/regenerate/ann');
      await visitor.json('/knows');
      const laptop = new Visitor(site.url);
      await laptop.json('/c');
      await post(laptop, '/mark/n2');
      await post(visitor, '/forget');
      await post(laptop, '/login/regenerate/ann');
      const whole = { fresh: ['/a', '/b'], seen: ['n2'] };
      expect(await laptop.json('/knows')).to.deep.include(whole);
      expect(await visitor.json('/knows')).to.deep.include(whole);
    });

    for (const where of ['on another device', 'in a job'])
      it(`forget() ${where} erases what a session of the user has not carried yet, too`, async () => {
        const { site, sessions } = await openSite();
        const visitor = new Visitor(site.url);
        await learn(visitor);
        // without consent nothing is carried
        await visitor.fetch('/login/regenerate/ann', { method: 'POST', headers: { 'sec-gpc': '1' } });
        if (where === 'in a job') expect(await sessions.of({ user: 'ann' }).forget()).to.equal(true);
        else {
          const phone = new Visitor(site.url);
          await post(phone, '/login/regenerate/ann');
          expect(await (await post(phone, '/forget')).json()).to.deep.equal({ erased: true });
        }
        const kept = (await client.keys('*:ss:*')).filter(
          (key) => !/:gone$|ss:(shape|item-key|stream|workers)/.test(key),
        );
        expect(kept).to.deep.equal([]);
        expect(await visitor.json('/knows')).to.deep.equal({ ...nothing, total: 1 });
      });

    it('explain() says all that is kept, of a visitor and of a user with each session', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      const today = new Date().toISOString().slice(0, 10);
      const first = await visitor.json('/explain');
      expect(first).to.deep.include({ who: 'visitor', uniquePages: 3, notificationsRead: 1, sessions: [{}] });
      expect(first.days.at(-1))
        .to.have.property('date')
        .that.is.oneOf([today, new Date().toISOString().slice(0, 10)]);
      expect(first.days.at(-1).activeMinutes).to.be.within(1, 2);
      expect(new Date(first.keptUntil).getTime()).to.be.above(Date.now());
      await post(visitor, '/login/regenerate/ann');
      const phone = new Visitor(site.url);
      await post(phone, '/login/regenerate/ann');
      const { text, ...then } = await phone.json('/explain');
      expect(then).to.deep.include({ who: 'user', notificationsRead: 1, sessions: [{ user: 'ann' }, { user: 'ann' }] });
      expect(text).to.contain('Of your account we have counted').and.contain('Sessions: 2');
    });

    it('requests that came late for the visitor count for the user, and the tombstone ends', async () => {
      const { site, sessions } = await openSite();
      const visitor = new Visitor(site.url);
      await learn(visitor);
      const { sid } = await visitor.json('/show');
      await post(visitor, '/login/regenerate/ann');
      const before = (await visitor.json('/knows')).total;
      await sessions.serving.ask('pageview', sid, '/c', { ttlSeconds: 60, timeoutMs: 5000, isAnonymous: true });
      expect(await visitor.json('/knows')).to.deep.equal({ ...known, fresh: [], total: before + 2 });
      const { gone } = commandKeys(namespace, sid);
      expect(await client.get(gone)).to.equal(userSubject('ann', itemKeyOf(options.itemSecret)));
      expect(await client.pttl(gone)).to.be.above(0);
    });
  });

describe('users: options', () => {
  it('identify() without the option, or with a function, is an error that says what to do', async () => {
    const refused = () => intelligentSession({ secret: 'test', user, store: new RedisSessionStore() });
    expect(refused).to.throw(OptionError, 'own store');
    const inStore = { user } as object;
    expect(() => intelligentSession({ secret: 'test', store: inStore })).to.throw(OptionError, 'beside "store"');
  });
});
