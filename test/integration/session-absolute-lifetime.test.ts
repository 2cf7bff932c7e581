import { once } from 'node:events';
import { expect } from 'chai';
import express from 'express';
import type { SessionData } from 'express-session';
import { intelligentSession, type RedisSessionStoreOptions } from '../../lib/index.js';
import { Site, Visitor } from '../support/site.js';
import { data, load, modes, save, StoreGround, tagged, told, users } from '../support/stores.js';
import { until } from '../support/until.js';

const HOUR_MS = 3_600_000;
const maxLifetime = 3600;
const secrets = ['a secret of this test alone'];

describe('the absolute lifetime of a session, option maxLifetime', () => {
  const ground = new StoreGround();
  const { open, stored } = ground;
  let client: StoreGround['client'];
  before(() => {
    ({ client } = ground);
  });

  /** A record that was made so long ago, and that Redis would keep for a day. */
  const put = async (
    sid: string,
    ageMs: number,
    more: object = {},
    stringify = JSON.stringify as (one: object) => string,
  ) => {
    const madeAt = Date.now() - ageMs;
    const record = { ...data({ n: 1, ...more }, 24 * HOUR_MS), __madeAt: madeAt };
    await client.set(`sess:${sid}`, stringify(record), 'PX', 24 * HOUR_MS);
    return madeAt + HOUR_MS;
  };
  const endOf = (session: SessionData | null) => new Date(session?.cookie.expires as Date).getTime();

  it('begins with the first save: neither expiry nor cookie reach beyond, whatever ttl and maxAge say', async () => {
    const store = open({ maxLifetime, ttl: 86_400 });
    const before = Date.now();
    for (const end of [undefined, 24 * HOUR_MS]) {
      await store.set('new', data({ n: 1 }, end));
      const record = (await stored('new')) as SessionData & { __madeAt: number };
      expect(record.__madeAt).to.be.within(before, Date.now());
      expect(await client.pttl('sess:new')).to.be.within(HOUR_MS - 60_000, HOUR_MS);
      if (end) expect(endOf(record)).to.be.within(before + HOUR_MS, record.__madeAt + HOUR_MS);
      else expect(record.cookie).to.not.have.property('expires');
      expect(store.ttlSeconds(await load('new', store), true)).to.be.at.most(maxLifetime);
    }
  });

  const options: Record<string, RedisSessionStoreOptions> = {
    'as it is': {},
    'with a near cache': { nearCache: {} },
    'with a ttl function': { ttl: () => 86_400 },
    'without touches': { disableTouch: true },
    encrypted: { encryption: { secrets, acceptPlain: true } },
    'with a serializer': { serializer: tagged },
  };
  for (const saveMode of modes) options[`in the mode ${saveMode}`] = { saveMode };
  for (const [name, given] of Object.entries(options))
    it(`is lengthened by no save, touch or cookie, ${name}`, async () => {
      const store = open({ maxLifetime, touchAfter: given.disableTouch ? undefined : 0, ...given });
      const endsAt = await put('k', HOUR_MS - 20_000, {}, (given.serializer?.stringify ?? JSON.stringify) as never);
      for (const n of [2, 3]) {
        const page = await load('k', store);
        expect(endOf(page)).to.equal(endsAt);
        page.n = n;
        page.cookie.maxAge = 48 * HOUR_MS;
        await save(page);
        expect(await client.pttl('sess:k')).to.be.within(1, 20_000);
        page.touch();
        expect(endOf(page)).to.equal(endsAt);
        expect(page.cookie.originalMaxAge).to.be.within(48 * HOUR_MS - 60_000, 48 * HOUR_MS);
        page.cookie.maxAge = 48 * HOUR_MS;
        await store.touch('k', page);
        expect(await client.pttl('sess:k')).to.be.within(1, 20_000);
        expect(endOf((await store.get('k')) as SessionData)).to.equal(endsAt);
      }
      expect(await store.get('k')).to.include({ n: 3 });
    });

  it('holds where saves are merged over what a process without the option wrote', async () => {
    const store = open({ maxLifetime });
    const endsAt = await put('m', HOUR_MS - 20_000);
    const page = await load('m', store);
    const other = await load('m', open());
    other.theirs = 1;
    other.cookie.maxAge = 48 * HOUR_MS;
    await save(other);
    expect(await client.pttl('sess:m'), 'without the option').to.be.above(HOUR_MS);
    page.mine = 1;
    await save(page);
    expect(await stored('m')).to.include({ theirs: 1, mine: 1 });
    expect(endOf(await stored('m'))).to.equal(endsAt);
    expect(await client.pttl('sess:m')).to.be.within(1, 20_000);
  });

  it('of a session that is over: it is absent everywhere, is removed when it is read, and no save brings it back', async () => {
    for (const given of [{}, { nearCache: {} }]) {
      const store = open({ maxLifetime, ...users, ...given });
      const events = told(store);
      const early = open();
      await put('over', HOUR_MS + 1, { user: 'robin' });
      const page = await load('over', early);
      expect(await store.all()).to.deep.equal([]);
      expect(await store.sessionsOf('robin')).to.deep.equal([]);
      const ended = once(store, 'ended');
      expect(await store.get('over')).to.equal(null);
      // the session, the subject whose data end with it, and whose session it was
      expect(await ended).to.deep.equal(['over', 'over', 'over']);
      await until('it is removed', async () => (await stored('over')) === null);
      await until('and told', () => events.includes('destroyed over'));
      page.n = 2;
      await store.set('over', page);
      await store.touch('over', page);
      expect(await stored('over')).to.equal(null);
    }
  });

  it('of a session that was stored before: begins with its first save, or its first renewal', async () => {
    const store = open({ maxLifetime, ttl: 86_400, touchAfter: 0 });
    for (const renew of [
      (page: SessionData) => store.touch('old', page),
      (page: SessionData) => store.set('old', Object.assign(page, { n: 2 })),
    ])
      for (const end of [undefined, 24 * HOUR_MS]) {
        await client.set('sess:old', JSON.stringify(data({ n: 1 }, end)), 'PX', 24 * HOUR_MS);
        const before = Date.now();
        await renew(await load('old', store));
        const { __madeAt } = (await stored('old')) as SessionData & { __madeAt: number };
        expect(__madeAt).to.be.within(before, Date.now());
        expect(await client.pttl('sess:old')).to.be.at.most(HOUR_MS);
      }
  });

  it('a start in the future is none: no session lives for more than a whole lifetime from now', async () => {
    const store = open({ maxLifetime, touchAfter: 0 });
    await put('future', -10 * HOUR_MS);
    const page = await load('future', store);
    page.n = 2;
    await save(page);
    expect(await client.pttl('sess:future')).to.be.at.most(HOUR_MS);
  });

  it('a serializer that drops the field is told, once', async () => {
    const serializer = {
      parse: (text: string) => JSON.parse(text) as SessionData,
      stringify: ({ cookie, n }: SessionData) => JSON.stringify({ cookie, n }),
    };
    const store = open({ maxLifetime, serializer });
    const faults: Error[] = [];
    store.on('fault', (error) => faults.push(error));
    for (const sid of ['a', 'b']) await store.set(sid, data({ n: 1 }));
    await until('it is told', () => faults.length > 0);
    expect(faults).to.have.lengthOf(1);
    expect(faults[0]?.message).to.match(/"serializer" does not keep fields/);
  });

  describe('on a site', () => {
    const siteOf = async (lifetime: number, session: object = {}) => {
      const sessions = intelligentSession({
        redis: ground.redis.url,
        secret: 'test',
        store: { maxLifetime: lifetime, touchAfter: 0 },
        session: { cookie: { maxAge: 24 * HOUR_MS }, rolling: true, ...session },
      });
      const app = express();
      app.use(sessions);
      app.get('/', (req, res) => {
        req.session.n = ((req.session.n as number | undefined) ?? 0) + 1;
        res.json({ id: req.sessionID, n: req.session.n, keys: Object.keys(req.session) });
      });
      app.get('/login', async (req, res) => {
        await req.session.regenerate();
        res.json({ id: req.sessionID });
      });
      app.get('/stream', (req, res) => {
        res.write('head');
        req.session.cookie.maxAge = 48 * HOUR_MS;
        req.session.more = 1;
        res.end();
      });
      const site = await Site.open(app);
      ground.opened.push(
        () => sessions.close(),
        () => site.close(),
      );
      return new Visitor(site.url);
    };
    const cookieEnd = (response: Response) =>
      new Date(/Expires=([^;]+)/.exec(response.headers.getSetCookie()[0] ?? '')?.[1] ?? '').getTime();

    it('no cookie that the browser gets reaches beyond: of a new session, a rolling one, a head that was sent early', async () => {
      const visitor = await siteOf(maxLifetime);
      const first = await visitor.fetch('/');
      const { id, keys } = (await first.json()) as { id: string; keys: string[] };
      expect(keys).to.deep.equal(['cookie', 'n']);
      const { __madeAt } = (await stored(id)) as SessionData & { __madeAt: number };
      expect(cookieEnd(first)).to.be.within(__madeAt + HOUR_MS - 2000, __madeAt + HOUR_MS);
      const endsAt = await put(id, HOUR_MS - 30_000);
      const other = await siteOf(maxLifetime);
      const early = await other.fetch('/stream');
      expect(cookieEnd(early), 'a new session, a head that was sent early').to.be.at.most(Date.now() + HOUR_MS);
      await early.text();
      for (const path of ['/', '/stream', '/']) {
        const response = await visitor.fetch(path);
        await response.text();
        expect(cookieEnd(response)).to.be.within(endsAt - 2000, endsAt);
        await until('it is stored', async () => (await client.pttl(`sess:${id}`)) <= 30_000);
        expect(endOf(await stored(id))).to.be.at.most(endsAt);
      }
    });

    it('a login begins anew: regenerate() makes a new session', async () => {
      const visitor = await siteOf(maxLifetime);
      const { id } = await visitor.json('/');
      await put(id, HOUR_MS - 30_000);
      const before = Date.now();
      const response = await visitor.fetch('/login');
      const next = (await response.json()) as { id: string };
      expect(cookieEnd(response)).to.be.at.least(before + HOUR_MS - 2000);
      await until('it is stored', async () => (await stored(next.id)) !== null);
      expect(await stored(next.id))
        .to.have.property('__madeAt')
        .that.is.at.least(before);
    });

    it('a visitor who never stops has another session after it', async () => {
      const visitor = await siteOf(1);
      const { id } = await visitor.json('/');
      const began = performance.now();
      let latest = { id, n: 1 };
      await until('the session is another', async () => {
        latest = await visitor.json('/');
        return latest.id !== id;
      });
      expect(performance.now() - began).to.be.within(900, 3000);
      expect(latest.n).to.equal(1);
      expect(await stored(id)).to.equal(null);
    });
  });
});
