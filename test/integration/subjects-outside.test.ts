import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { expect } from 'chai';
import express from 'express';
import session, { type SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  OptionError,
  type RedisSessionStore,
  type Who,
} from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { itemKeyOf } from '../../lib/intelligence/item-key.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { hiddenOf, hide } from '../../lib/session/hidden-fields.js';
import { freePort } from '../support/free-port.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { startWorkerOf, type Way, ways } from '../support/ways.js';

type WithUser = SessionData & { user?: string };

function appOf(sessions: IntelligentSession) {
  const app = express();
  app.use(sessions);
  app.post('/login/:user', (req, res, next) => {
    req.session.regenerate().then(() => {
      (req.session as WithUser).user = req.params.user;
      res.end();
    }, next);
  });
  app.post('/identify/:user', (req, res) => {
    req.intelligence.identify(req.params.user);
    res.end();
  });
  app.post('/rotate', (req, res, next) => void req.session.regenerate().then(() => res.end(), next));
  app.post('/logout', (req, res) => {
    delete (req.session as WithUser).user;
    res.end();
  });
  app.post('/note/:text', (req, res) => {
    Object.assign(req.session, { note: req.params.text });
    res.end();
  });
  app.get('/sid', (req, res) => void res.json(req.sessionID));
  app.get(/.*/, async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
  return app;
}

/** A request as `ws` or socket.io get it: the server's `upgrade` event, which no middleware has seen. */
async function upgradeRequest(site: Site, cookie: string): Promise<IncomingMessage> {
  const upgrade = once(site.server, 'upgrade');
  const sent = request(site.url, {
    headers: { connection: 'Upgrade', upgrade: 'websocket', ...(cookie && { cookie }) },
  });
  sent.on('error', () => {});
  sent.end();
  const [req, socket] = await upgrade;
  socket.destroy();
  return req;
}

const namespace = 'outside:';
const user = (session: WithUser) => session.user;
for (const [way, options] of Object.entries<Way>(ways))
  describe(`sessions.of(): what a request knows, outside of one (${way})`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    const opened = useRedis((started) => ({ redis, client } = started));

    const open = (more: IntelligentSessionOptions = { user }) => {
      const sessions = intelligentSession({
        ...{ redis: redis.url, namespace, secret: ['new', 'old'], timeout: 5000, track: false },
        ...options,
        ...more,
      } as IntelligentSessionOptions);
      opened.push(() => sessions.close());
      return sessions;
    };
    const openSite = async (more?: IntelligentSessionOptions) => {
      const sessions = open(more);
      const site = await Site.open(appOf(sessions));
      opened.push(() => site.close());
      return { site, sessions };
    };
    beforeEach(async () => {
      const worker = await startWorkerOf({ ...options, redis: redis.url, namespace });
      opened.push(() => worker?.close());
    });
    const post = (visitor: Visitor, path: string) => visitor.fetch(path, { method: 'POST' });
    const keysLeft = async () =>
      (await client.keys('*')).filter(
        (key) => !/^sess:|^users:|^ended:|async:|ss:(shape|item-key|stream|workers)/.test(key),
      );
    const noSession = { answered: false, reason: 'no-session' };

    it('a job in another process asks what a user has not read, while a visitor browses', async () => {
      const { site } = await openSite();
      const job = open().of({ user: 'ann' });
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      await post(visitor, '/login/ann');
      await visitor.json('/b');
      expect(await job.freshPages(['/a', '/b/', '/c'])).to.deep.equal(['/c']);
      const browsing = Promise.all(['/d', '/e', '/f'].map((page) => visitor.json(page)));
      expect(await job.markNotificationSeen('n1')).to.equal(true);
      await browsing;
      expect(await job.freshPages(['/c', '/d', '/e', '/f'])).to.deep.equal(['/c']);
      expect(await job.notifications(['n1', 'n2'])).to.deep.equal([
        { id: 'n1', seen: true },
        { id: 'n2', seen: false },
      ]);
      expect(await job.activity()).to.have.length(60);
      expect(job.degraded).to.equal(false);
    });

    it('what is counted outside is known on the next page, by the one name of a page', async () => {
      const { site, sessions } = await openSite({
        user,
        combos: [{ name: 'both', pages: ['/a', '/b'], suggest: 'c' }],
      });
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const outside = sessions.of({ sid: await visitor.json('/sid') });
      expect(await outside.suggestions()).to.deep.equal([]);
      expect(await outside.pageview('https://example.com/b/?from=app')).to.include({ totalPages: 2, uniquePages: 2 });
      expect(await outside.combo('both')).to.equal(true);
      expect(await outside.suggestions()).to.deep.equal(['c']);
      expect(await visitor.json('/b')).to.include({ totalPages: 3, previouslyVisited: true });
      outside.send('pageview', '/c');
      expect(await outside.pageview('/c')).to.include({ totalPages: 5, previouslyVisited: true });
    });

    it('pages that an anonymous visitor has seen outside are carried to the user at the login', async () => {
      const { site, sessions } = await openSite();
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      await sessions.of({ cookie: visitor.cookie }).pageview('/b');
      await post(visitor, '/login/ann');
      await visitor.json('/x');
      expect(await sessions.of({ user: 'ann' }).freshPages(['/a', '/b', '/c'])).to.deep.equal(['/c']);
    });

    it("a user's data are kept for keepUsersForDays, a session's for as long as the session", async () => {
      const { site, sessions } = await openSite({ user, keepUsersForDays: 30 });
      await sessions.of({ user: 7 }).pageview('/a');
      const { activity } = commandKeys(namespace, userSubject('7', itemKeyOf(options.itemSecret)));
      expect(await client.pttl(activity)).to.be.above(29 * 86_400_000);
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const sid = await visitor.json('/sid');
      await sessions.of({ sid }).pageview('/b');
      const { activity: anonymous } = commandKeys(namespace, sid);
      expect(await client.pttl(anonymous)).to.be.within(80_000_000, 100_000_000);
    });

    it("the session of a user is the user's, by its id and by the cookie of a WebSocket's handshake", async () => {
      const { site, sessions } = await openSite();
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      await post(visitor, '/login/ann');
      const { headers } = await upgradeRequest(site, `theme=dark; ${visitor.cookie}; other=1`);
      const sid = await visitor.json('/sid');
      for (const who of [{ cookie: headers.cookie }, { sid }, { user: 'ann' }])
        expect(await sessions.of(who).freshPages(['/a', '/b'])).to.deep.equal(['/b']);
      const socket = sessions.of({ cookie: headers.cookie });
      await socket.pageview('/b');
      expect(await sessions.of({ user: 'ann' }).freshPages(['/a', '/b'])).to.deep.equal([]);
      const { who, sessions: stored } = (await socket.explain()) ?? {};
      expect({ who, stored }).to.deep.equal({ who: 'user', stored: [{ user: 'ann' }] });
    });

    it('an anonymous visitor with a new session id is the same', async () => {
      const { site, sessions } = await openSite();
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const before = visitor.cookie;
      await post(visitor, '/rotate');
      expect(visitor.cookie).to.not.equal(before);
      expect(await sessions.of({ cookie: visitor.cookie }).freshPages(['/a', '/b'])).to.deep.equal(['/b']);
    });

    it('a cookie counts under the name and with the secrets that the site has', async () => {
      const { site } = await openSite({ secret: 'old', session: { name: 'my.sid' } });
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const { cookie } = visitor;
      expect(cookie).to.match(/^my\.sid=/);
      const freshFor = (more: IntelligentSessionOptions) =>
        open({ session: { name: 'my.sid' }, ...more })
          .of({ cookie })
          .askResult('featuredpages', ['/a', '/b']);
      expect(await freshFor({})).to.deep.equal({ answered: true, data: ['/b'] });
      expect(await freshFor({ secret: 'another' })).to.deep.equal(noSession);
      expect(await freshFor({ session: {} })).to.deep.equal(noSession);
    });

    it('a cookie without a right signature, no cookie and an unknown id are as no session', async () => {
      const { site, sessions } = await openSite();
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const sid = await visitor.json('/sid');
      const { cookie } = visitor;
      const left = await keysLeft();
      const wrong: Who[] = [
        { cookie: cookie.slice(0, -5) },
        { cookie: cookie.replace('s%3A', 's%3Aa') },
        { cookie: `connect.sid=${sid}` },
        { cookie: `connect.sid=s:${sid}` },
        { cookie: 'connect.sid' },
        { cookie: '' },
        { cookie: undefined },
        { sid: 'nobody' },
        { sid: 'x'.repeat(5000) },
      ];
      for (const who of wrong) {
        const outside = sessions.of(who);
        expect(outside.degraded).to.equal(false);
        expect(await outside.askResult('featuredpages', ['/a'])).to.deep.equal(noSession);
        expect(await outside.freshPages(['/a', '/b'])).to.deep.equal(['/a', '/b']);
        expect(await outside.pageview('/a')).to.equal(undefined);
        expect(await outside.explain()).to.equal(undefined);
        expect(await outside.forget()).to.equal(false);
        expect(outside.degraded).to.equal(true);
        outside.send('pageview', '/a');
      }
      expect((await keysLeft()).sort()).to.deep.equal(left.sort());
      expect(await visitor.json('/a')).to.include({ totalPages: 2 });
    });

    it('a session is read once, and one that was not there is looked for again', async () => {
      const { site, sessions } = await openSite();
      const later = sessions.of({ sid: 'later' });
      expect(await later.askResult('featuredpages', ['/a'])).to.deep.equal(noSession);
      await (sessions.store as RedisSessionStore).set('later', { cookie: { originalMaxAge: null } } as SessionData);
      expect(await later.askResult('featuredpages', ['/a'])).to.deep.equal({ answered: true, data: ['/a'] });
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const outside = sessions.of({ cookie: visitor.cookie });
      const monitor = await client.monitor();
      const seen: string[] = [];
      monitor.on('monitor', (_time: string, [command = '', key = '']: string[]) => {
        if (/^m?get$/i.test(command) && key.startsWith('sess:')) seen.push(key);
      });
      await Promise.all([outside.pageview('/b'), outside.freshPages(['/a'])]);
      await outside.pageview('/c');
      await client.echo('end');
      monitor.disconnect();
      expect(seen).to.have.length(1);
    });

    it('forget() of a user erases all of it, on every device', async () => {
      const { site, sessions } = await openSite();
      const before = await keysLeft();
      const [visitor, phone] = [new Visitor(site.url), new Visitor(site.url)];
      for (const one of [visitor, phone]) {
        await one.json('/a');
        await post(one, '/login/ann');
        await one.json('/b');
      }
      const job = sessions.of({ user: 'ann' });
      await job.markNotificationSeen('n1');
      expect(await job.explain()).to.deep.include({
        ...{ who: 'user', pageViews: 4, notificationsRead: 1 },
        sessions: [{ user: 'ann' }, { user: 'ann' }],
      });
      expect(await job.forget()).to.equal(true);
      const left = (await keysLeft()).filter((key) => !before.includes(key));
      expect(left).to.not.deep.equal([]);
      for (const key of left) {
        expect(key).to.match(/:gone$/);
        expect(await client.pttl(key), key).to.be.above(0);
      }
      expect(await job.freshPages(['/a', '/b'])).to.deep.equal(['/a', '/b']);
      expect(job.degraded).to.equal(false);
    });

    it('forget() of an anonymous session erases it, and the visitor begins anew at once', async () => {
      const { site, sessions } = await openSite();
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const outside = sessions.of({ cookie: visitor.cookie });
      await outside.markNotificationSeen('n1');
      expect(await outside.forget()).to.equal(true);
      for (const key of await keysLeft()) expect(key).to.match(/:gone$/);
      expect(await visitor.json('/a')).to.include({ totalPages: 1, newToSite: true });
      expect(await outside.pageview('/a')).to.include({ totalPages: 2, previouslyVisited: true });
      expect((await outside.explain())?.who).to.equal('visitor');
    });

    it("after a logout, a session that has no subject yet gets one, which is the next page's too", async () => {
      const { site, sessions } = await openSite();
      const visitor = new Visitor(site.url);
      // the second one replaces a user's session
      for (let i = 0; i < 2; i++) await post(visitor, '/login/ann');
      const sid = await visitor.json('/sid');
      // as a program without the middleware does it
      const store = sessions.store as RedisSessionStore;
      const stored = (await store.get(sid)) as WithUser;
      delete stored.user;
      await store.set(sid, stored);
      expect(hiddenOf((await store.get(sid)) as SessionData).__subject).to.equal('');
      expect(await sessions.of({ sid }).pageview('/a')).to.include({ totalPages: 1 });
      expect(await visitor.json('/a')).to.include({ totalPages: 2, previouslyVisited: true });
    });

    it("what others save meanwhile is no conflict of a session's subject (saveMode: 'reject')", async () => {
      const { site, sessions } = await openSite({ user, store: { saveMode: 'reject' } });
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const outside = sessions.of({ cookie: visitor.cookie });
      await outside.activity();
      await post(visitor, '/note/meanwhile');
      expect(await outside.forget()).to.equal(true);
      expect(await visitor.json('/a')).to.include({ totalPages: 1, newToSite: true });

      // A session without a subject, which somebody else saves between the read and the save of its new subject.
      const sid = await visitor.json('/sid');
      const store = sessions.store as RedisSessionStore;
      const before = (await store.get(sid)) as SessionData;
      hide(before, { __subject: '' });
      await store.set(sid, before);
      const get = store.get.bind(store);
      store.get = (async (id: string, done: (error: unknown, read: unknown) => void) => {
        store.get = get;
        const read = await get(id);
        await store.set(id, Object.assign((await get(id)) as SessionData, { note: 'between' }));
        done(undefined, read);
      }) as never;
      expect(await sessions.of({ sid }).pageview('/a')).to.include({ totalPages: 1 });
      expect(await visitor.json('/a')).to.include({ totalPages: 2, previouslyVisited: true });
      expect(await get(sid)).to.have.property('note', 'between');
    });

    it("with `user: 'identify'`, a user is whom the application has named", async () => {
      const { site, sessions } = await openSite({ user: 'identify' });
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      await post(visitor, '/identify/ann');
      await visitor.json('/b');
      const job = sessions.of({ user: 'ann' });
      expect(await job.freshPages(['/a', '/b', '/c'])).to.deep.equal(['/c']);
      expect(await job.explain()).to.deep.include({ who: 'user', sessions: [] });
      const socket = sessions.of({ cookie: visitor.cookie });
      expect(await socket.freshPages(['/a', '/b', '/c'])).to.deep.equal(['/c']);
      expect(await socket.explain()).to.deep.include({ who: 'user', sessions: [{}] });
      expect(await job.forget()).to.equal(true);
      expect(await socket.freshPages(['/a', '/b'])).to.deep.equal(['/a', '/b']);
    });

    it('what was sent for a session goes out before close() ends', async () => {
      const { site } = await openSite();
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const job = open();
      job.of({ cookie: visitor.cookie }).send('pageview', '/b');
      await job.close();
      await until('it is counted', async () => (await visitor.json('/b')).previouslyVisited);
      expect(await job.of({ cookie: visitor.cookie }).freshPages(['/b'])).to.deep.equal(['/b']);
    });

    it('where Redis is away, nothing rejects, and the reason is told', async () => {
      const sessions = open({ user, redis: `redis://127.0.0.1:${await freePort()}`, maxWaitMs: 200 });
      const faults: Error[] = [];
      sessions.serving.on('away', () => {}).on('fault', (error) => faults.push(error));
      sessions.store.on('away', () => {}).on('fault', () => {});
      const visitor = sessions.of({ sid: 'a' });
      const answer = await visitor.askResult('featuredpages', ['/a']);
      expect(answer).to.deep.include(noSession).and.have.property('error').that.is.an('error');
      expect(await visitor.forget()).to.equal(false);
      visitor.send('pageview', '/a');
      const ann = sessions.of({ user: 'ann' });
      expect(await ann.askResult('featuredpages', ['/a'])).to.deep.include({ answered: false, reason: 'redis' });
      expect(await ann.forget()).to.equal(false);
      expect([visitor.degraded, ann.degraded]).to.deep.equal([true, true]);
      expect(faults.filter(({ message }) => !message.startsWith('Redis'))).to.deep.equal([]);
    });

    it("with a store of the application's, what is known is the session's", async () => {
      const store = new session.MemoryStore();
      const { site, sessions } = await openSite({ store });
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      const sid = await visitor.json('/sid');
      for (const who of [{ sid }, { cookie: visitor.cookie }])
        expect(await sessions.of(who).freshPages(['/a', '/b'])).to.deep.equal(['/b']);
      expect(await sessions.of({ sid: 'nobody' }).askResult('featuredpages', ['/a'])).to.deep.equal(noSession);
      expect(() => sessions.of({ user: 'ann' })).to.throw(OptionError, 'option `user`');
      const faults: Error[] = [];
      sessions.serving.on('fault', (error) => faults.push(error));
      const { get } = store;
      store.get = (_sid, callback) => callback(new Error('the disk is full'));
      const outside = sessions.of({ sid });
      expect(await outside.askResult('featuredpages', ['/a'])).to.deep.include(noSession);
      expect(faults.map(({ message }) => message)).to.deep.equal(['the disk is full']);
      store.get = get;
      expect(await outside.freshPages(['/a', '/b'])).to.deep.equal(['/b']);
      expect(await outside.forget()).to.equal(true);
      expect(await outside.freshPages(['/a', '/b'])).to.deep.equal(['/a', '/b']);
    });

    it('wrong arguments are coded errors', async () => {
      const { sessions } = await openSite();
      const wrong: unknown[] = [
        ...[undefined, null, 'ann', 5, [], {}, { sid: 'a', user: 'b' }, { id: 'a' }, { toString: 'a' }],
        ...[{ sid: undefined }, { sid: '' }, { sid: 5 }, { cookie: 5 }, { cookie: null }],
        ...[{ user: undefined }, { user: '' }, { user: null }, { user: Number.NaN }, { user: {} }, { user: ['ann'] }],
      ];
      for (const who of wrong)
        expect(() => sessions.of(who as Who), JSON.stringify(who))
          .to.throw(OptionError)
          .with.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
      expect(() => open({}).of({ user: 'ann' })).to.throw(OptionError, 'option `user`');
      const codeOf = (work: () => unknown) =>
        (async () => work())().then(
          () => 'none',
          ({ code }) => code,
        );
      for (const outside of [sessions.of({ user: 'ann' }), sessions.of({ sid: 'a' })])
        for (const work of [
          () => outside.pageview(undefined as never),
          () => outside.pageview(''),
          () => outside.send('No command'),
          () => outside.send('own', 'x'.repeat(300_000)),
          () => outside.freshPages('/a' as never),
          () => outside.ask('own', '', { timeout: 5, onUnanswered: 'x' as never }),
        ])
          expect(await codeOf(work), String(work)).to.match(/^ERR_INTELLIGENT_SESSION_/);
    });
  });
