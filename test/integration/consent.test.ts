import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import express, { type Request, type Response } from 'express';
import type { SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { type Consent, createWorker, type IntelligentSessionOptions, intelligentSession } from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { RawVisitor } from '../support/requests.js';
import { Site } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { Warnings } from '../support/warnings.js';

/** PEXPIRETIME, which Redis 6.2 has not: the time and what is left of it are read within one millisecond. */
const EXPIRES_AT_MS = `
  local function clock()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
  end
  local now, left
  repeat
    now, left = clock(), redis.call('PTTL', KEYS[1])
  until clock() == now
  return left < 0 and left or now + left`;

const GPC = { 'sec-gpc': '1' };
const pages = ['/page/a', '/page/b'];
const commands = { price: () => 3 };
const user = (session: SessionData & { user?: string }) => session.user;

for (const way of ['a worker', 'a process of its own'] as const)
  describe(`consent, where commands are carried out by ${way}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    const opened = useRedis((started) => ({ redis, client } = started));

    /** A site of all that a page may ask, with a login. */
    const siteOf = async (options: IntelligentSessionOptions = {}) => {
      if (way === 'a worker') {
        const worker = await createWorker({ redis: redis.url, commands });
        opened.push(() => worker.close());
      }
      const embedded = way === 'a worker' ? {} : ({ worker: 'embedded', commands } as const);
      const combos = [{ name: 'both', pages, suggest: 'c' }];
      const given = { redis: redis.url, secret: 'test', timeout: 5_000, combos, ...embedded, ...options };
      const sessions = intelligentSession(given as IntelligentSessionOptions);
      const faults: string[] = [];
      sessions.serving.on('fault', ({ message }) => faults.push(message));
      opened.push(() => sessions.close());
      const app = express().use(sessions);
      app.post('/seen', sessions.beacon());
      app.post('/login', (req, res) => {
        Object.assign(req.session, { user: 'ada' });
        res.end();
      });
      app.post('/mark', async (req, res) => {
        const was = await req.intelligence.markNotificationSeen('n1');
        res.json({ was: was ?? null, degraded: req.intelligence.degraded });
      });
      app.get(
        '/seen',
        async (req, res) => void res.json((await req.intelligence.notifications(['n1']))[0]?.seen ?? null),
      );
      app.post('/forget-and-mark', async (req, res) => {
        const erased = await req.intelligence.forget();
        res.json([erased, (await req.intelligence.markNotificationSeen('n1')) ?? null]);
      });
      app.post('/logout', (req, res) => {
        delete (req.session as { user?: string }).user;
        res.end();
      });
      app.get('/user', (req, res) => void res.json((req.session as { user?: string }).user ?? null));
      app.get('/all', async (req, res) => {
        const { intelligence } = req;
        intelligence.send('price');
        res.json({
          marked: await intelligence.markNotificationSeen('n1'),
          view: await intelligence.pageview(),
          fresh: await intelligence.freshPages(pages),
          notes: await intelligence.notifications(['n1']),
          combo: await intelligence.combo('both'),
          suggestions: await intelligence.suggestions(),
          activity: await intelligence.activity(),
          asked: await intelligence.ask('price'),
          result: await intelligence.askResult('price'),
          degraded: intelligence.degraded,
        });
      });
      app.get('/total', async (req, res) => void res.json((await req.intelligence.pageview())?.totalPages ?? null));
      app.get('/page/{*any}', (_req, res) => void res.send('a page'));
      app.use((error: Error & { code?: string }, _req: Request, res: Response, _next: unknown) => {
        res.status(500).json({ code: error.code, message: error.message });
      });
      const site = await Site.open(app);
      opened.push(() => site.close());
      return { site, faults, visitor: new RawVisitor(site) };
    };

    /** Every key with its value and its expiry, which are the same where nothing was written. */
    const keySpace = async () => {
      const keys = (await client.keys('*')).sort();
      return Promise.all(
        keys.map(async (key) => [
          key,
          (await client.dumpBuffer(key)).toString('hex'),
          await client.eval(EXPIRES_AT_MS, 1, key),
        ]),
      );
    };

    /** The commands that reach Redis while `act` goes on, one a line, without those that connections need by themselves. */
    const commandsOf = async (act: () => Promise<unknown>): Promise<string[]> => {
      const monitor = connect(redis.port, '127.0.0.1').setEncoding('utf8');
      opened.push(() => monitor.destroy());
      let text = '';
      monitor.on('data', (chunk: string) => {
        text += chunk;
      });
      monitor.write('MONITOR\r\n');
      await until('it monitors', () => text.startsWith('+OK'));
      await act();
      await client.echo('the end');
      await until('it has seen all', () => text.includes('the end'));
      return text.split('\r\n').filter((line) => line.includes(']') && !/\] "(echo|ping|client|blpop)"/i.test(line));
    };

    for (const [who, options, headers] of [
      ['whose browser sends Sec-GPC: 1', {}, GPC],
      ['who does not consent', { consent: ({ headers }) => 'x-yes' in headers }, {}],
    ] as [string, IntelligentSessionOptions, Record<string, string>][])
      it(`of a visitor ${who} nothing is read, sent or kept, and there is no cookie`, async () => {
        const { site, visitor, faults } = await siteOf(options);
        // somebody else leaves keys, and brings the connections and scripts that a site needs once
        const other = new RawVisitor(site);
        expect((await other.json('/all', { headers: { 'x-yes': '1' } })).view).to.include({ totalPages: 1 });
        const before = await keySpace();
        expect(before).to.have.length.above(3);
        const sent = await commandsOf(async () => {
          expect((await visitor.send('/page/a', { headers })).body).to.equal('a page');
          const beacon = { method: 'POST', headers: { ...headers, 'content-type': 'text/plain' }, body: '/page/b' };
          expect((await visitor.send('/seen', beacon)).status).to.equal(204);
          expect(await visitor.json('/all', { headers })).to.deep.equal({
            fresh: pages,
            notes: [{ id: 'n1' }],
            suggestions: [],
            result: { answered: false, reason: 'no-consent' },
            degraded: false,
          });
        });
        expect(sent).to.deep.equal([]);
        expect(await keySpace()).to.deep.equal(before);
        expect(visitor.cookie).to.equal('');
        expect(faults).to.deep.equal([]);
      });

    it('is what the option says by true or false, and else what Sec-GPC says', async () => {
      const answers: Record<string, boolean | undefined> = { yes: true, no: false };
      const { site } = await siteOf({ consent: (req) => answers[String(req.headers['x-answer'])] });
      const isTracked = async (answer: string, gpc?: string | string[]) => {
        const headers = { 'x-answer': answer, ...(gpc !== undefined && { 'sec-gpc': gpc as string }) };
        return (await new RawVisitor(site).json('/total', { headers })) === 1;
      };
      for (const [answer, gpc, tracked] of [
        ['yes', '1', true],
        ['yes', undefined, true],
        ['no', '1', false],
        ['no', undefined, false],
        ['none', '1', false],
        ['none', ['0', '1'], false],
        ['none', undefined, true],
        ['none', '0', true],
        ['none', '10', true],
        ['none', '', true],
      ] as const)
        expect(await isTracked(answer, gpc as string), `${answer}, ${gpc}`).to.equal(tracked);
    });

    it('is asked once a request, and not for a bot', async () => {
      const asked: string[] = [];
      const { visitor } = await siteOf({ consent: ({ url }) => asked.push(String(url)) > 0 });
      await visitor.json('/all');
      await visitor.send('/page/a');
      await visitor.send('/page/b', { headers: { 'user-agent': 'curl/8.5.0' } });
      expect(asked).to.deep.equal(['/all', '/page/a']);
    });

    it('is not needed for what the application writes to the session: that has its cookie, and lasts', async () => {
      const { site, visitor } = await siteOf({ session: { rolling: true, cookie: { maxAge: 60_000 } } });
      await new RawVisitor(site).json('/all'); // somebody who brings what a site needs once
      const before = await client.keys('*');
      const sent = await commandsOf(async () => {
        await visitor.send('/login', { method: 'POST', headers: GPC });
        expect(visitor.cookie).to.not.equal('');
        expect(await visitor.json('/user', { headers: GPC })).to.equal('ada');
        expect((await visitor.send('/page/a', { headers: GPC })).headers['set-cookie'], 'rolling').to.have.lengthOf(1);
      });
      expect(sent.filter((one) => one.includes('"ss:'))).to.deep.equal([]);
      const keys = (await client.keys('*')).filter((key) => !before.includes(key));
      expect(keys).to.have.lengthOf(1);
      expect(keys[0]).to.match(/^sess:/);
      expect(await client.pttl(keys[0] as string)).to.be.within(55_000, 60_000);
    });

    it('that is withdrawn leaves what is known as it is; given again, it goes on from there', async () => {
      const { visitor } = await siteOf();
      for (const total of [1, 2]) expect(await visitor.json('/total')).to.equal(total);
      const known = async () => (await keySpace()).filter(([key]) => String(key).startsWith('ss:{'));
      const before = await known();
      expect(before).to.not.be.empty;
      expect(await visitor.json('/total', { headers: GPC })).to.equal(null);
      await visitor.send('/page/a', { headers: GPC });
      expect(await visitor.json('/total', { headers: GPC })).to.equal(null);
      expect(await known()).to.deep.equal(before);
      expect(await visitor.json('/total')).to.equal(3);
    });

    it('is not needed for a read mark of a user who is logged in: nothing else is written or read', async () => {
      const { site, visitor } = await siteOf({ user });
      const post = (path: string, headers = GPC) => visitor.send(path, { method: 'POST', headers });
      const mark = async () => JSON.parse((await post('/mark')).body);
      // what was found out with consent stays where it is: it is carried with consent only
      await visitor.send('/page/a', { headers: {} });
      expect(await visitor.json('/total')).to.equal(2);
      expect(await mark(), 'nobody is logged in').to.deep.equal({ was: null, degraded: false });
      await post('/login');
      const known = async () => (await keySpace()).filter(([key]) => String(key).startsWith('ss:{'));
      const before = await known();
      expect(await mark()).to.deep.equal({ was: true, degraded: false });
      expect(await mark()).to.deep.equal({ was: false, degraded: false });
      await visitor.send('/page/b', { headers: GPC });
      expect(await visitor.json('/total', { headers: GPC })).to.equal(null);
      expect(await visitor.json('/seen', { headers: GPC })).to.equal(null);
      const { notified } = commandKeys('', userSubject('ada', undefined));
      const after = await known();
      expect(after.filter(([key]) => key !== notified)).to.deep.equal(before);
      expect(after.map(([key]) => key)).to.include(notified);
      expect(await client.pttl(notified)).to.be.above(89 * 86_400_000);

      // their phone, with consent
      const phone = new RawVisitor(site);
      await phone.send('/login', { method: 'POST' });
      expect(await phone.json('/seen')).to.equal(true);
      expect(await visitor.json('/total', { headers: {} }), 'with consent, what was carried').to.be.above(2);
    });

    it('is not needed to hear that the read mark of a user could not be kept', async () => {
      await siteOf({ itemSecret: 'the secret of the namespace' });
      await until('the namespace has its key', async () => (await client.exists('ss:item-key')) === 1);
      const { visitor, faults } = await siteOf({ user, itemSecret: 'a secret that opens nothing' });
      await until('it is refused', () => faults.length > 0);
      const post = (path: string, headers: Record<string, string> = GPC) =>
        visitor.send(path, { method: 'POST', headers });
      expect(JSON.parse((await post('/mark')).body), 'nobody is logged in').to.deep.equal({
        was: null,
        degraded: false,
      });
      await post('/login');
      for (const headers of [GPC, {}])
        expect(JSON.parse((await post('/mark', headers)).body)).to.deep.equal({ was: null, degraded: true });
      const { body } = await visitor.send('/seen', { headers: GPC });
      expect(body, 'what is no act of theirs').to.equal('null');
    });

    it('is needed for a read mark of a bot’s, of who has logged out, and behind a forget()', async () => {
      const { visitor } = await siteOf({ user });
      const post = (path: string, headers: Record<string, string> = GPC) =>
        visitor.send(path, { method: 'POST', headers });
      await post('/login');
      const known = async () => (await keySpace()).filter(([key]) => String(key).startsWith('ss:{'));
      expect(JSON.parse((await post('/mark', { 'user-agent': 'curl/8.5.0' })).body).was).to.equal(null);
      expect(JSON.parse((await post('/forget-and-mark')).body)).to.deep.equal([true, null]);
      await post('/logout');
      expect(JSON.parse((await post('/mark')).body).was).to.equal(null);
      expect((await known()).filter(([key]) => !String(key).endsWith(':gone'))).to.deep.equal([]);
    });

    it('is no consent where the answer makes no sense, which is told once', async () => {
      for (const [answer, said] of [
        [Promise.resolve(true), 'a promise'],
        ['rejects', 'a promise'],
        ['yes', 'a text'],
        [null, 'null'],
      ] as const) {
        const consent = () => (answer === 'rejects' ? Promise.reject(new Error('late')) : answer);
        const { visitor, faults } = await siteOf({ consent: consent as unknown as Consent });
        for (let i = 0; i < 2; i++) expect(await visitor.json('/total')).to.equal(null);
        expect(faults).to.have.lengthOf(1);
        expect(faults[0]).to.contain(`"consent" gave ${said}`).and.contain('ERR_INTELLIGENT_SESSION_ARGUMENT');
      }
    });

    it('that throws is the error handler’s, and so is one that looks into the session, which is not read yet', async () => {
      const consent: Consent = (req) => {
        if (req.path === '/page/throws') throw new Error('consent');
        return req.path === '/page/session' ? (req.session as { yes?: boolean } | undefined)?.yes : undefined;
      };
      const { visitor } = await siteOf({ consent });
      expect(await visitor.send('/page/throws')).to.include({ status: 500, body: '{"message":"consent"}' });
      expect(await visitor.json('/page/session')).to.include({ code: 'ERR_INTELLIGENT_SESSION_OPTION' });
      expect(await visitor.json('/total')).to.equal(1);
    });
  });

describe('consent', () => {
  let redis: PrivateRedis;
  const opened = useRedis((started) => ({ redis } = started));

  it('is not needed to hear of a secure cookie that was not set, which a login needs', async () => {
    const warnings = new Warnings();
    opened.push(() => warnings.close());
    const sessions = intelligentSession({ redis: redis.url, secret: 'test', session: { cookie: { secure: true } } });
    opened.push(() => sessions.close());
    const site = await Site.open(express().use(sessions, (_req, res) => void res.end()));
    opened.push(() => site.close());
    const warned = once(process, 'warning');
    await new RawVisitor(site).send('/', { headers: GPC });
    await warned;
    expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_SECURE_COOKIE']);
  });
});
