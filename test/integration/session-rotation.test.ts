import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import express from 'express';
import type { SessionData } from 'express-session';
import { Cluster, type Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  OptionError,
  RedisSessionStore,
  type RedisSessionStoreOptions,
} from '../../lib/index.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { Site, Visitor } from '../support/site.js';
import { modes, tagged, users } from '../support/stores.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

type Values = Record<string, unknown>;
/** Pages that wait for the test, by their key. */
type Gates = Map<string, () => void>;

function appOf(sessions: IntelligentSession, gates: Gates) {
  const app = express();
  app.use(sessions);
  const values = (req: express.Request) => req.session as unknown as Values;
  app.get('/show', (req, res) => void res.json({ ...req.session, sid: req.sessionID, id: req.session.id }));
  app.post('/set/:key', (req, res) => {
    values(req)[req.params.key as string] = 1;
    res.json({ sid: req.sessionID });
  });
  const opened = (key: string) => new Promise<void>((resolve) => gates.set(key, resolve));
  app.post('/slow/:key', async (req, res) => {
    await opened(req.params.key as string);
    values(req)[req.params.key as string] = 1;
    await req.session.save();
    values(req)[`${req.params.key}-again`] = 1;
    res.json({ sid: req.sessionID });
  });
  app.post('/there-and-back', async (req, res) => {
    values(req).there = 1;
    await req.session.save();
    delete values(req).there;
    res.end();
  });
  app.post('/logout', (req, res) => void req.session.destroy(() => res.end()));
  app.post('/slow-logout', async (req, res) => {
    await opened('logout');
    await req.session.destroy();
    res.end();
  });
  app.post('/login', async (req, res) => {
    await req.session.regenerate();
    values(req).user = 'robin';
    res.json({ sid: req.sessionID });
  });
  app.get('/reload', async (req, res) => {
    await req.session.reload();
    res.json({ sid: req.sessionID, id: req.session.id });
  });
  app.get('/knows', async (req, res) => void res.json(await req.intelligence.freshPages(['/a', '/b'])));
  app.post('/forget', async (req, res) => void res.json(await req.intelligence.forget()));
  app.get('/{*page}', async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
  return app;
}

const rotating = { rotateEvery: 60 };
const idOf = ({ cookie }: Visitor) =>
  decodeURIComponent(cookie).slice('connect.sid=s:'.length).split('.', 1)[0] as string;
const tombstoneOf = (sid: string) => `ended:{sess:${sid}}`;

describe("a session's id that is renewed by itself, option rotateEvery", () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));
  const gates: Gates = new Map();
  beforeEach(() => gates.clear());

  type Options = IntelligentSessionOptions & { readonly store?: RedisSessionStoreOptions };
  const openSite = async (more: Options = {}, place: Options['redis'] = redis.url) => {
    const options = { redis: place, secret: 'test', timeout: 5000, worker: 'embedded', ...more };
    const sessions = intelligentSession(options as IntelligentSessionOptions);
    const site = await Site.open(appOf(sessions, gates));
    opened.push(
      () => sessions.close(),
      () => site.close(),
    );
    const faults: Error[] = [];
    sessions.store.on('fault', (error: Error) => faults.push(error));
    sessions.serving.on('fault', (error: Error) => faults.push(error));
    const store = sessions.store as RedisSessionStore;
    return { site, store, faults };
  };
  /** Waits for the whole answer: it ends when the session is saved. */
  const post = async (visitor: Visitor, path: string) => {
    const answer = await visitor.fetch(path, { method: 'POST' });
    await answer.clone().text();
    return answer;
  };
  const as = (cookie: string, { url }: Site) => Object.assign(new Visitor(url), { cookie });

  /** A site that follows a session to its new id, and renews none itself: pages that were under way when another one did. */
  const openFollower = async (more: Options = {}) => {
    const opened = await openSite(more);
    opened.store.useRotation({ everyMs: Number.POSITIVE_INFINITY, graceMs: 10_000 });
    return opened;
  };

  /** A visitor of a site without the option, whose id is due at the first page of one that has it. */
  const visitorOf = async (more: Options = {}, place?: Options['redis']) => {
    const { site } = await openSite(more, place);
    const visitor = new Visitor(site.url);
    await post(visitor, '/set/before');
    return { visitor, cookie: visitor.cookie, sid: idOf(visitor) };
  };
  const cookiesOf = (answers: readonly Response[]) =>
    new Set(answers.map((answer) => answer.headers.getSetCookie().join()));

  /** Lets a session's id be as old as it may. */
  const age = async (sid: string) => {
    const record = JSON.parse((await client.get(`sess:${sid}`)) as string) as SessionData & { __idSince: number };
    await client.set(`sess:${sid}`, JSON.stringify({ ...record, __idSince: record.__idSince - 60_000 }), 'KEEPTTL');
  };

  it('is renewed when it is due, and only then', async () => {
    const { site, store } = await openSite(rotating);
    const visitor = new Visitor(site.url);
    await post(visitor, '/set/a');
    const first = idOf(visitor);
    for (const path of ['/show', '/show', '/reload']) expect((await visitor.json(path)).sid).to.equal(first);
    await age(first);
    const shown = await visitor.json('/show');
    expect(shown).to.include({ a: 1 });
    expect(shown.sid).to.equal(idOf(visitor)).and.equal(shown.id).and.not.equal(first);
    expect(await visitor.json('/show')).to.include({ a: 1, sid: shown.sid });
    expect(await store.ids()).to.deep.equal([shown.sid]);
    expect(await store.length()).to.equal(1);
    expect((await store.all()).map(({ id }) => id)).to.deep.equal([shown.sid]);
    expect(await visitor.json('/show'), 'nothing hidden is shown').to.not.have.any.keys('__idSince', '__previous');
    expect(await client.exists(`sess:${first}`)).to.equal(0);
  });

  it('keeps the cookie options of the site where another program has stored the session without a cookie', async () => {
    const more: Options = { session: { cookie: { sameSite: 'strict' } } };
    const { cookie, sid } = await visitorOf(more);
    await client.set(`sess:${sid}`, '{"n":1}');
    const { site } = await openSite({ ...more, ...rotating });
    const answer = await as(cookie, site).fetch('/show');
    const shown = (await answer.json()) as Values;
    expect(shown).to.include({ n: 1 }).and.not.include({ sid });
    expect(answer.headers.getSetCookie().join()).to.contain('SameSite=Strict');
    expect(JSON.parse((await client.get(`sess:${shown.sid}`)) as string).cookie).to.include({ sameSite: 'strict' });
  });

  const ways: Record<string, Options> = {
    'as it is': {},
    'without saveUninitialized': { session: { saveUninitialized: false } },
    'with resave': { session: { resave: true } },
    'with rolling cookies': { session: { rolling: true, cookie: { maxAge: 3_600_000 } } },
    'with a near cache': { store: { nearCache: {} } },
    encrypted: { store: { encryption: { secrets: ['a secret of this test alone'] } } },
    'with a serializer': { store: { serializer: tagged } },
    'with maxLifetime': { store: { maxLifetime: 3600 } },
    'without expiry': { store: { disableTTL: true } },
    'without touches': { store: { disableTouch: true } },
  };
  for (const saveMode of modes) ways[`in the mode ${saveMode}`] = { store: { saveMode } };
  for (const [name, more] of Object.entries(ways))
    it(`is one new id for 20 requests at once, each of which sets its cookie, ${name}`, async () => {
      const { cookie, sid } = await visitorOf(more);
      const { site, store, faults } = await openSite({ ...more, ...rotating });
      const answers = await Promise.all(Array.from({ length: 20 }, () => as(cookie, site).fetch('/show')));
      const shown = (await Promise.all(answers.map((answer) => answer.json()))) as Values[];
      expect(cookiesOf(answers.filter((one) => one.headers.getSetCookie().length !== 1))).to.have.property('size', 0);
      const sids = new Set(shown.map((one) => one.sid));
      expect(sids).to.have.property('size', 1);
      expect(sids).to.not.include(sid);
      for (const one of shown) expect(one).to.include({ before: 1, id: one.sid });
      expect(await store.ids()).to.deep.equal([...sids]);
      const visitor = as(answers[0]?.headers.getSetCookie()[0]?.split(';', 1)[0] as string, site);
      expect(idOf(visitor)).to.equal([...sids][0]);
      const next = await visitor.fetch('/show');
      expect(await next.json()).to.include({ before: 1, sid: [...sids][0] });
      expect(faults).to.deep.equal([]);
    });

  const some = [
    'as it is',
    'encrypted',
    'with a serializer',
    'in the mode overwrite',
    'in the mode reject',
    'with maxLifetime',
  ];
  for (const name of some)
    it(`loses no save of a request that was under way, ${name}`, async () => {
      const more = ways[name] as Options;
      const { cookie, sid } = await visitorOf(more);
      const slow = await openFollower(more);
      const keys = name === 'in the mode reject' ? ['x'] : ['x', 'y', 'z'];
      const pages = keys.map((key) => post(as(cookie, slow.site), `/slow/${key}`));
      await until('they have read the session', () => gates.size === keys.length);
      const { site, store, faults } = await openSite({ ...more, ...rotating });
      const visitor = as(cookie, site);
      await post(visitor, '/set/meanwhile');
      expect(idOf(visitor)).to.not.equal(sid);
      const conflicts: string[] = [];
      slow.store.on('conflict', (id: string) => conflicts.push(id));
      for (const [i, key] of keys.entries()) {
        gates.get(key)?.();
        if (name === 'in the mode overwrite') await pages[i]; // the last one is z
      }
      const statuses = (await Promise.all(pages)).map(({ status }) => status);
      const shown = await visitor.json('/show');
      expect(shown.sid).to.equal(idOf(visitor));
      expect(await store.ids()).to.deep.equal([idOf(visitor)]);
      expect(await client.exists(`sess:${sid}`)).to.equal(0);
      if (name === 'in the mode reject') {
        expect(statuses).to.deep.equal([409]);
        expect(shown).to.include({ before: 1, meanwhile: 1 }).and.not.have.property('x');
        return;
      }
      expect(statuses).to.deep.equal(keys.map(() => 200));
      if (name === 'in the mode overwrite') expect(shown).to.include({ before: 1, z: 1, 'z-again': 1 });
      else expect(shown).to.include({ before: 1, meanwhile: 1 });
      if (name !== 'in the mode overwrite')
        for (const key of keys) expect(shown).to.include({ [key]: 1, [`${key}-again`]: 1 });
      expect([...faults, ...slow.faults]).to.deep.equal([]);
      // What says since when it has its id, and which it had before, has survived the saves: it is not due again.
      expect((await visitor.json('/show')).sid).to.equal(shown.sid);
    });

  it('is no conflict of its own: a save of a request that was under way lands in the mode reject, too', async () => {
    const more: Options = { store: { saveMode: 'reject' } };
    const { cookie } = await visitorOf(more);
    const slow = await openFollower(more);
    const page = post(as(cookie, slow.site), '/slow/x');
    await until('it has read the session', () => gates.size === 1);
    const { site } = await openSite({ ...more, ...rotating });
    const visitor = as(cookie, site);
    await visitor.json('/show');
    gates.get('x')?.();
    expect((await page).status).to.equal(200);
    expect(await visitor.json('/show')).to.include({ before: 1, x: 1, 'x-again': 1, sid: idOf(visitor) });
  });

  it('leaves the old id to lead there until the new one has come back, and for the grace then', async () => {
    const { cookie, sid } = await visitorOf();
    const { site } = await openSite({ ...rotating, rotateGrace: 1 });
    // The answer is lost: the visitor comes with the old id again, and later once more.
    await as(cookie, site).json('/show');
    expect(await client.pttl(tombstoneOf(sid))).to.be.above(3_600_000);
    const visitor = as(cookie, site);
    const { sid: next } = await visitor.json('/show');
    expect(await client.pttl(tombstoneOf(sid))).to.be.above(3_600_000);
    expect(await visitor.json('/show')).to.include({ before: 1, sid: next });
    await until('the grace has begun', async () => (await client.pttl(tombstoneOf(sid))) <= 1000);
    for (const stranger of ['the first', 'the second']) {
      await until('the grace is over', async () => (await client.exists(tombstoneOf(sid))) === 0);
      const { sid: other, before } = await as(cookie, site).json('/show');
      expect(other, stranger).to.not.be.oneOf([sid, next]);
      expect(before).to.equal(undefined);
    }
    expect(await visitor.json('/show')).to.include({ before: 1, sid: next });
  });

  for (const asked of ['/logout', '/slow-logout'])
    it(`ends with a logout by the old id (${asked})`, async () => {
      const { cookie, sid } = await visitorOf();
      const slow = await openFollower();
      const { site, store } = await openSite(rotating);
      const visitor = as(cookie, site);
      const leaving = asked === '/slow-logout' ? post(as(cookie, slow.site), asked) : undefined;
      if (leaving) await until('it has read the session', () => gates.size === 1);
      await visitor.json('/a');
      expect(await client.exists(`ss:{${sid}}:activity`)).to.equal(1);
      const destroyed: string[] = [];
      for (const one of [store, slow.store]) one.on('destroyed', (sid: string) => destroyed.push(sid));
      gates.get('logout')?.();
      await (leaving ?? post(as(cookie, site), asked));
      expect(destroyed).to.deep.equal([idOf(visitor)]);
      expect(await client.exists(`sess:${idOf(visitor)}`)).to.equal(0);
      for (const one of [visitor, as(cookie, site)]) expect(await one.json('/show')).to.not.have.property('before');
      await until('nothing is known any longer', async () => (await client.exists(`ss:{${sid}}:activity`)) === 0);
    });

  it('is dead at once where the application makes a new session, as at a login', async () => {
    const { cookie } = await visitorOf();
    const { site, store } = await openSite(rotating);
    const visitor = as(cookie, site);
    await visitor.json('/show');
    const rotated = visitor.cookie;
    await post(visitor, '/login');
    for (const old of [cookie, rotated])
      expect(await as(old, site).json('/show')).to.not.have.any.keys('user', 'before');
    expect(await visitor.json('/show')).to.include({ user: 'robin', sid: idOf(visitor) });
    expect(await store.get(idOf(visitor))).to.include({ user: 'robin' });
    // And where the page that logs in is the one at which it is due.
    const other = await visitorOf();
    const person = as(other.cookie, site);
    await post(person, '/login');
    expect(await as(other.cookie, site).json('/show')).to.not.have.any.keys('user', 'before');
    expect(await person.json('/show')).to.include({ user: 'robin' });
  });

  it('keeps what is known of the visitor, which goes with the session', async () => {
    const first = await openSite();
    const visitor = new Visitor(first.site.url);
    for (const page of ['/set', '/a']) await visitor.json(page);
    expect(await visitor.json('/knows')).to.deep.equal(['/b']);
    const { site } = await openSite(rotating);
    const later = as(visitor.cookie, site);
    expect(await later.json('/knows')).to.deep.equal(['/b']);
    expect(later.cookie).to.not.equal(visitor.cookie);
    await later.json('/b');
    expect(await later.json('/knows')).to.deep.equal([]);
    expect(await client.keys('ss:*:activity')).to.have.length(1);
    await post(later, '/logout');
    await until('it has gone', async () => (await client.keys('ss:*:activity')).length === 0);
    const forgotten = as((await visitorWhoKnows()).cookie, site);
    await forgotten.json('/a');
    expect(await post(forgotten, '/forget').then((answer) => answer.json())).to.equal(true);
    expect(await client.keys('ss:*:activity')).to.have.length(0);
  });
  const visitorWhoKnows = async () => {
    const { visitor } = await visitorOf();
    await visitor.json('/a');
    return visitor;
  };

  it('is counted for the visitor at the request on which it is renewed, without saveUninitialized, too', async () => {
    const more: Options = { session: { saveUninitialized: false } };
    const { cookie } = await visitorOf(more);
    const { site } = await openSite({ ...more, ...rotating });
    expect(await as(cookie, site).json('/a')).to.include({ totalPages: 1 });
    expect(await as(cookie, site).json('/a')).to.include({ totalPages: 2 });
  });

  it('leaves a session that was written under the new id, and not moved, as it was', async () => {
    const { cookie, sid } = await visitorOf();
    // What a process that was killed between the two steps has left.
    await client.set('sess:orphan', (await client.get(`sess:${sid}`)) as string, 'PX', 60_000);
    const { site } = await openSite(rotating);
    const visitor = as(cookie, site);
    expect(await visitor.json('/show')).to.include({ before: 1, sid: idOf(visitor) });
    expect(idOf(visitor)).to.not.be.oneOf([sid, 'orphan']);
  });

  it('takes no id that another session has, nor the one that there is', async () => {
    const { cookie, sid } = await visitorOf();
    for (const id of ['taken', sid]) {
      await client.set('sess:taken', '{"cookie":{},"secret":1}', 'PX', 60_000);
      const { site } = await openSite({ ...rotating, session: { genid: () => id } });
      const visitor = as(cookie, site);
      expect(await visitor.json('/show')).to.include({ before: 1, sid });
      expect(await client.get('sess:taken')).to.equal('{"cookie":{},"secret":1}');
    }
  });

  it('stays where another request saves the session at the same time, and is renewed at the next one', async () => {
    const { cookie, sid } = await visitorOf();
    const { site, store } = await openSite(rotating);
    const { createSession } = store;
    let isFirst = true;
    store.createSession = function (req, session) {
      const created = Reflect.apply(createSession, this, [req, session]);
      if (isFirst) void client.set(`sess:${sid}`, JSON.stringify({ ...session, meanwhile: 1 }), 'KEEPTTL');
      isFirst = false;
      return created;
    };
    const visitor = as(cookie, site);
    await visitor.json('/show');
    expect(await visitor.json('/show')).to.include({ before: 1, meanwhile: 1, sid: idOf(visitor) });
    expect(idOf(visitor)).to.not.equal(sid);
    expect(await store.ids()).to.deep.equal([idOf(visitor)]);
  });

  it('saves what a page changes, and what it changes back after a save', async () => {
    const { cookie, sid } = await visitorOf();
    const { site } = await openSite(rotating);
    const visitor = as(cookie, site);
    await post(visitor, '/there-and-back');
    expect(idOf(visitor)).to.not.equal(sid);
    expect(await visitor.json('/show'))
      .to.include({ before: 1 })
      .and.not.have.property('there');
  });

  it('is not renewed by a handshake, which sets no cookie', async () => {
    const { cookie, sid } = await visitorOf();
    const { site } = await openSite(rotating);
    const headers = { cookie, connection: 'upgrade', upgrade: 'websocket' };
    const [answer] = (await once(get(`${site.url}/show`, { headers }), 'response')) as [IncomingMessage];
    expect(JSON.parse(await text(answer))).to.include({ before: 1, sid });
    expect(await as(cookie, site).json('/show'))
      .to.include({ before: 1 })
      .and.not.include({ sid });
  });

  it('ends no later than maxLifetime says, counted from when the session was made', async () => {
    const more: Options = { store: { maxLifetime: 3600 } };
    const { cookie, sid } = await visitorOf(more);
    const madeAt = Date.now() - 3_000_000;
    const record = JSON.parse((await client.get(`sess:${sid}`)) as string) as object;
    await client.set(`sess:${sid}`, JSON.stringify({ ...record, __madeAt: madeAt }), 'PX', 86_400_000);
    const { site } = await openSite({ ...more, ...rotating });
    const visitor = as(cookie, site);
    await visitor.json('/show');
    const key = `sess:${idOf(visitor)}`;
    expect(JSON.parse((await client.get(key)) as string)).to.include({ __madeAt: madeAt, __previous: sid });
    expect(await client.pttl(key)).to.be.within(1, 600_000);
  });

  it('is found by two processes at once', async () => {
    const { cookie, sid } = await visitorOf();
    const sites = await Promise.all([openSite(rotating), openSite(rotating)]);
    const asked = Array.from({ length: 20 }, (_, i) => as(cookie, (sites[i % 2] as (typeof sites)[0]).site));
    const shown = await Promise.all(asked.map((visitor) => visitor.json('/show')));
    const [next, ...others] = new Set(shown.map((one) => one.sid as string));
    expect(others).to.deep.equal([]);
    expect(next).to.not.equal(sid);
    for (const visitor of asked) expect(idOf(visitor)).to.equal(next);
    expect(await sites[0]?.store.ids()).to.deep.equal([next]);
    expect(sites.flatMap(({ faults }) => faults)).to.deep.equal([]);
  });

  it("is noted as the user's: a logout everywhere ends it, and the session that goes on is spared by its old id", async () => {
    const more: Options = { user: users.user as never };
    const { visitor } = await visitorOf(more);
    await post(visitor, '/login');
    const { cookie } = visitor;
    const sid = idOf(visitor);
    const { site, store } = await openSite({ ...more, ...rotating });
    const later = as(cookie, site);
    await later.json('/show');
    expect((await store.sessionsOf('robin')).map(({ id }) => id)).to.deep.equal([idOf(later)]);
    const [key = ''] = await client.keys('users:*');
    expect(await client.hkeys(key)).to.deep.equal([idOf(later)]);
    expect(await store.destroyAllOf('robin', { except: sid })).to.equal(0);
    expect(await store.destroyAllOf('robin')).to.equal(1);
    expect(await later.json('/show')).to.not.have.property('user');
  });

  it('costs no command where it is not due', async () => {
    const counts: number[] = [];
    for (const more of [{}, rotating] as Options[]) {
      const { site } = await openSite({ ...more, bots: () => true });
      const visitor = new Visitor(site.url);
      await post(visitor, '/set/a');
      await visitor.json('/show');
      const commands = async () =>
        Number(/total_commands_processed:(\d+)/.exec(await client.info('stats'))?.[1] ?? Number.NaN);
      const before = await commands();
      for (let i = 0; i < 10; i++) await visitor.json('/show');
      counts.push((await commands()) - before);
    }
    expect(counts[1]).to.equal(counts[0]);
  });

  it('is left as it is by a serializer that drops what it does not know, which is told once', async () => {
    const more: Options = {
      store: {
        serializer: {
          stringify: ({ cookie, ...session }) => JSON.stringify({ cookie, before: (session as Values).before }),
          parse: (text) => JSON.parse(text) as SessionData,
        },
      },
    };
    const { cookie, sid } = await visitorOf(more);
    const { site, faults } = await openSite({ ...more, ...rotating });
    for (let i = 0; i < 2; i++) expect(await as(cookie, site).json('/show')).to.include({ before: 1, sid });
    expect(faults.filter(({ message }) => /"rotateEvery" has no effect/.test(message))).to.have.length(1);
  });

  it("needs the package's own store, and times that make sense", () => {
    const store = new RedisSessionStore({ redis: redis.url });
    opened.push(() => store.close());
    const wrong: [IntelligentSessionOptions, RegExp][] = [
      [{ store, rotateEvery: 60 }, /option "rotateEvery" needs the package's own store/],
      [{ rotateGrace: 5 }, /"rotateGrace" needs option "rotateEvery"/],
      [{ rotateEvery: 59 }, /rotateEvery/],
      [{ rotateEvery: 60, rotateGrace: 61 }, /"rotateGrace" is at most "rotateEvery"/],
    ];
    for (const [options, message] of wrong)
      expect(() => intelligentSession({ redis: redis.url, secret: 'test', ...options })).to.throw(OptionError, message);
  });

  describe('in a Cluster', () => {
    let cluster: PrivateCluster;
    before(async () => {
      cluster = await startCluster(3);
    });
    after(() => cluster.stop());

    it('moves a session to another node, for 20 requests at once of two processes', async () => {
      const place = () => {
        const nodes = new Cluster([...cluster.nodes], { lazyConnect: true });
        opened.push(() => nodes.disconnect());
        return nodes;
      };
      const { cookie, sid } = await visitorOf({}, place());
      const sites = await Promise.all([openSite(rotating, place()), openSite(rotating, place())]);
      const asked = Array.from({ length: 20 }, (_, i) => as(cookie, (sites[i % 2] as (typeof sites)[0]).site));
      const shown = await Promise.all(asked.map((visitor) => visitor.json('/show')));
      const [next, ...others] = new Set(shown.map((one) => one.sid as string));
      expect(others).to.deep.equal([]);
      expect(next).to.not.equal(sid);
      for (const one of shown) expect(one).to.include({ before: 1 });
      expect(await sites[0]?.store.ids()).to.deep.equal([next]);
      await post(as(cookie, (sites[1] as (typeof sites)[0]).site), '/logout');
      expect(await sites[0]?.store.ids()).to.deep.equal([]);
      expect(sites.flatMap(({ faults }) => faults)).to.deep.equal([]);
    });
  });
});
