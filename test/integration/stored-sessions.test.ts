import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { expect } from 'chai';
import express, { type NextFunction, type Request, type Response } from 'express';
import session, { MemoryStore, type SessionData } from 'express-session';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  RedisSessionStore,
} from '../../lib/index.js';
import { BROWSER, Site } from '../support/site.js';

const SECRET = 'test';
const deep = (levels: number, kind: 'object' | 'list') =>
  kind === 'object' ? `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}` : '['.repeat(levels) + ']'.repeat(levels);
const codeOf = (error: { code?: string }) => error.code?.replace('ERR_INTELLIGENT_SESSION_', '');

describe('what stands under a session’s key, or is put into a session', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let sessions: IntelligentSession;
  let site: Site;
  let errors: unknown[] = [];
  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
  });
  beforeEach(() => {
    errors = [];
  });
  afterEach(async () => {
    await site?.close();
    await sessions?.close();
    await client.flushall();
  });
  after(async () => {
    client.disconnect();
    await redis.stop();
  });

  async function openSite(options: IntelligentSessionOptions = {}): Promise<void> {
    sessions = intelligentSession({ redis: redis.url, secret: SECRET, ...options });
    const app = express().set('env', 'test').use(sessions);
    app.use(express.json({ limit: '10mb' }));
    app.get('/', (req, res) => void res.json({ ...req.session, cookie: undefined, id: req.sessionID }));
    app.get('/add', (req, res) => {
      Object.assign(req.session, { added: true });
      res.send('ok');
    });
    app.post('/value', (req, res) => {
      Object.assign(req.session, { value: req.body });
      res.send('ok');
    });
    app.post('/keys', (req, res) => {
      Object.assign(req.session, req.body);
      res.send('ok');
    });
    app.post('/later', (req, res) => {
      // outside every promise of the router's
      setImmediate(() => {
        Object.assign(req.session, { value: req.body });
        res.end('ok');
      });
    });
    app.post('/fresh', (req, res, next) => {
      req.session.regenerate((error) => {
        if (error) return next(error);
        Object.assign(req.session, { value: req.body });
        res.send('ok');
      });
    });
    app.post('/save', (req, res, next) => {
      Object.assign(req.session, { value: req.body });
      req.session.save((error) => (error ? next(error) : res.send('ok')));
    });
    app.post('/instead', (req, res) => {
      req.session = req.body;
      res.send('ok');
    });
    app.use((error: Error & { code?: string }, _req: Request, res: Response, next: NextFunction) => {
      errors.push(error);
      if (res.headersSent) next(error);
      else res.status(500).send(codeOf(error) ?? error.message);
    });
    site = await Site.open(app);
  }
  /** A request with a cookie for this session id. */
  const ask = async (sid: string, path = '/', body?: string) => {
    const signature = createHmac('sha256', SECRET).update(sid).digest('base64').replace(/=+$/, '');
    const cookie = `connect.sid=${encodeURIComponent(`s:${sid}.${signature}`)}`;
    const response = await fetch(`${site.url}${path}`, {
      headers: { cookie, 'user-agent': BROWSER, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { method: 'POST', body }),
    });
    return { status: response.status, text: await response.text(), cookie: response.headers.get('set-cookie') };
  };
  const stored = async (sid: string) => JSON.parse((await client.get(`sess:${sid}`)) ?? 'null') as SessionData | null;

  describe('a session without a cookie of express-session’s', () => {
    const cookies: [string, string][] = [
      ['none', ''],
      ['null', '"cookie":null,'],
      ['a text', '"cookie":"x",'],
      ['a number', '"cookie":5,'],
      ['a list', '"cookie":["x"],'],
      ['of another form', '"cookie":{"expires":{"a":1},"maxAge":"x"},'],
      ['with an end that is no date', '"cookie":{"expires":"soon"},'],
      ['with a path that is none', '"cookie":{"path":{}},'],
      ['with a prototype', '"cookie":{"__proto__":{"path":"/"}},'],
    ];
    for (const [title, cookie] of cookies)
      it(`has its data, and a cookie by the site’s options: ${title}`, async () => {
        const made: string[] = [];
        await openSite({
          session: { rolling: true, cookie: { maxAge: 50_000, sameSite: 'strict', path: '/' }, genid: () => 'new' },
          store: { touchAfter: 0 },
        });
        sessions.store.on('created', (sid) => made.push(sid));
        await client.set('sess:theirs', `{${cookie}"user":1}`);
        const answer = await ask('theirs');
        expect(answer.status).to.equal(200);
        expect(JSON.parse(answer.text)).to.deep.equal({ id: 'theirs', user: 1 });
        expect(answer.cookie)
          .to.match(/SameSite=Strict/)
          .and.match(/HttpOnly/)
          .and.match(/Expires/);
        await ask('theirs', '/add');
        expect(await stored('theirs')).to.deep.include({ user: 1, added: true });
        // what is left of it, by the millisecond in which the cookie was made
        const kept = (await stored('theirs'))?.cookie;
        expect(kept).to.include({ sameSite: 'strict' });
        expect(kept?.originalMaxAge).to.be.within(49_900, 50_000);
        expect(await client.pttl('sess:theirs')).to.be.within(40_000, 50_000);
        expect(made).to.deep.equal([]);
      });

    it('is one for a store alone, too: get(), all(), load(), and saves that merge', async () => {
      const store = new RedisSessionStore({ url: redis.url });
      try {
        await client.set('sess:theirs', '{"user":1}');
        expect(await store.get('theirs')).to.deep.include({ user: 1 });
        expect((await store.all()).map(({ id, cookie }) => [id, cookie.path])).to.deep.equal([['theirs', '/']]);
        const load = () =>
          new Promise<session.Session & SessionData>((resolve, reject) =>
            store.load('theirs', (error, found) =>
              found ? resolve(found as session.Session & SessionData) : reject(error),
            ),
          );
        const both = [await load(), await load()];
        await Promise.all(
          both.map((one, i) => {
            one[`key${i}`] = i;
            return new Promise<void>((resolve, reject) => one.save((error) => (error ? reject(error) : resolve())));
          }),
        );
        expect(await stored('theirs')).to.deep.include({ user: 1, key0: 0, key1: 1 });
      } finally {
        await store.close();
      }
    });
  });

  for (const [title, text] of [
    ['a list', '["x"]'],
    ['a number', '5'],
    ['a text', '"x"'],
    ['null', 'null'],
    ['true', 'true'],
    ['nothing', ''],
    ['no JSON', '{'],
    ...([501, 3500, 100_000] as const).flatMap((levels) =>
      (['object', 'list'] as const).map((kind) => [`${levels} levels (${kind})`, `{"v":${deep(levels - 1, kind)}}`]),
    ),
  ] as [string, string][])
    it(`is treated as absent where it is no session: ${title}`, async () => {
      await openSite();
      await client.set('sess:theirs', text);
      const told = once(sessions.store, 'fault');
      const answer = await ask('theirs');
      expect(answer.status).to.equal(200);
      expect(JSON.parse(answer.text).id).to.not.equal('theirs');
      expect(codeOf((await told)[0])).to.equal('UNREADABLE');
      expect(errors).to.deep.equal([]);
      expect(await client.get('sess:theirs')).to.equal(text);
    });

  it('is a session with 500 levels, however it is read, changed and merged', async () => {
    await openSite();
    const value = JSON.parse(deep(499, 'object')) as unknown;
    await client.set('sess:deep', `{"v":${deep(499, 'object')}}`);
    expect(JSON.parse((await ask('deep')).text)).to.deep.include({ id: 'deep' });
    await Promise.all(Array.from({ length: 10 }, (_, i) => ask('deep', '/keys', `{"key${i}":${i}}`)));
    const after = await stored('deep');
    expect(after).to.have.property('key9', 9);
    expect(JSON.stringify((after as unknown as { v: unknown }).v)).to.equal(JSON.stringify(value));
    expect(errors).to.deep.equal([]);
  });

  for (const levels of [501, 2500, 3500, 100_000])
    for (const kind of ['object', 'list'] as const)
      it(`that a visitor’s body nests too deep goes to the error handler, and the process lives: ${levels} (${kind})`, async () => {
        await openSite();
        await ask('new', '/keys', '{"before":1}');
        const sid = ((await client.keys('sess:*'))[0] as string).slice(5);
        for (const path of ['/value', '/later', '/save', '/fresh']) {
          const told = errors.length;
          const answer = await ask(sid, path, deep(levels, kind));
          expect(answer, path).to.include({ status: 500, text: 'SERIALIZE' });
          expect(errors.length, path).to.equal(told + 1);
        }
        expect(JSON.parse((await ask(sid)).text).value).to.equal(undefined);
      });

  it('that is nested too deep in a store of the site’s own is a coded error', async () => {
    const store = new MemoryStore();
    await openSite({ store });
    const text = `{"cookie":{"originalMaxAge":null},"v":${deep(10_000, 'list')}}`;
    (store as unknown as { sessions: Record<string, string> }).sessions.theirs = text;
    expect(await ask('theirs')).to.include({ status: 500, text: 'SERIALIZE' });
  });

  for (const [title, body] of [
    ['a method', '{"save":"x","n":1}'],
    ['another method', '{"touch":{}}'],
    ['the one that touches', '{"resetMaxAge":[]}'],
    ['the cookie, by a text', '{"cookie":"x"}'],
    ['the cookie, by null', '{"cookie":null}'],
    ['the cookie, by an object without its methods', '{"cookie":{"originalMaxAge":1e15}}'],
    ['the cookie, by what would cut the answer', '{"cookie":{"data":{"path":"x\\r\\ny"}}}'],
  ] as const)
    it(`where a body’s keys replace ${title} goes to the error handler`, async () => {
      await openSite();
      await client.set('sess:theirs', '{"user":1}');
      expect(await ask('theirs', '/keys', body)).to.include({ status: 500, text: 'SERIALIZE' });
      expect(await ask('none', '/keys', body)).to.include({ status: 500, text: 'SERIALIZE' });
      expect(await stored('theirs')).to.deep.include({ user: 1 });
      expect(JSON.parse((await ask('theirs')).text)).to.deep.equal({ id: 'theirs', user: 1 });
    });

  it('in the place of req.session goes to the error handler', async () => {
    await openSite();
    for (const body of ['{"user":1}', '[1]'])
      expect(await ask('none', '/instead', body)).to.include({ status: 500, text: 'SERIALIZE' });
  });

  it('of any key and text is kept as JSON keeps it, and what JSON makes of NaN', async () => {
    await openSite();
    await client.set('sess:theirs', '{"user":1}');
    const body =
      '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"hasOwnProperty":1,"toJSON":"x",' +
      '"\\ud800":"\\udfff","":0,"\\u0000\\"\\\\":"\\u2028\\\\","10":1,"long":"é"}';
    const value = { list: [JSON.parse(body)] };
    await Promise.all([
      ask('theirs', '/value', JSON.stringify(value)),
      ...Array.from({ length: 20 }, (_, i) => ask('theirs', '/keys', `{"\\ud800${i}\\\\\\"":"\\udfff"}`)),
    ]);
    const after = (await stored('theirs')) as unknown as Record<string, unknown>;
    expect(JSON.stringify(after.value)).to.equal(JSON.stringify(value));
    for (let i = 0; i < 20; i++) expect(after[`\ud800${i}\\"`]).to.equal('\udfff');
    expect(({} as { polluted?: boolean }).polluted).to.equal(undefined);
    expect(errors).to.deep.equal([]);
  });
});
