import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { expect } from 'chai';
import express, { type Express } from 'express';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentRequest,
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  type Worker,
} from '../../lib/index.js';
import { RawVisitor, type Sent } from '../support/requests.js';
import { BROWSER, Site } from '../support/site.js';

const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
const PREFETCH = { ...NAVIGATION, 'sec-purpose': 'prefetch;prerender' };

describe('what is counted', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let worker: Worker;
  const open: { sessions: IntelligentSession; site: Site }[] = [];

  before(async () => {
    redis = await startPrivateRedis();
    client = new Redis(redis.url);
    worker = await createWorker({ redis: redis.url });
  });

  afterEach(async () => {
    for (const { sessions, site } of open.splice(0)) {
      await site.close();
      await sessions.close();
    }
    await client.flushall();
  });

  after(async () => {
    client?.disconnect();
    await worker?.close();
    await redis?.stop();
  });

  const make = (options: IntelligentSessionOptions = {}) =>
    intelligentSession({ redis: redis.url, secret: 'test', timeout: 2000, ...options });

  /** A site with the pages of these tests, and what a test adds; a visitor whose cookie has come back. */
  async function visit(options: IntelligentSessionOptions = {}, add: (app: Express) => unknown = () => {}) {
    const sessions = make(options);
    const app = express();
    app.set('env', 'test').use(sessions); // Express prints errors otherwise
    add(app);
    app.get('/total', async (req, res) => void res.json((await req.intelligence.pageview())?.totalPages));
    app.post('/fresh', express.json(), async (req, res) => void res.json(await req.intelligence.freshPages(req.body)));
    app.all('/asks/{*any}', async (req, res) => {
      const report = await req.intelligence.pageview();
      res.status(req.path.endsWith('404') ? 404 : 200).json({ report, degraded: req.intelligence.degraded });
    });
    app.get('/fresh-then/:status', async (req, res) => {
      await req.intelligence.freshPages(['/a']);
      res.status(Number(req.params.status)).end();
    });
    app.get('/status/:status', (req, res) => void res.status(Number(req.params.status)).end());
    app.get('/page/{*any}', (_req, res) => void res.send('ok'));
    const site = await Site.open(app);
    open.push({ sessions, site });
    const visitor = new RawVisitor(site);
    await visitor.send('/page/first');
    /** those that were counted meanwhile, this one excluded */
    let known = 1;
    const counted = async (): Promise<number> => {
      const total = await visitor.json('/total');
      const since = total - known - 1;
      known = total;
      return since;
    };
    const fresh = (pages: readonly string[]): Promise<string[]> =>
      visitor.json('/fresh', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(pages),
      });
    return { sessions, site, visitor, counted, fresh };
  }

  describe('by itself', () => {
    const cases: [title: string, counts: number, target: string, sent?: Sent][] = [
      ['a page', 1, '/page/a'],
      ['an answer of 304', 1, '/status/304'],
      ['an answer of 206', 1, '/status/206'],
      ['a dot in the last segment', 1, '/page/wiki/Node.js', { headers: NAVIGATION }],
      ['an asset', 0, '/page/style.css'],
      ['a redirect', 0, '/status/303'],
      ['a page that is not there', 0, '/nowhere'],
      ['an error', 0, '/status/500'],
      ['a prerendered page', 0, '/page/a', { headers: PREFETCH }],
      ['what Firefox prefetched', 0, '/page/a', { headers: { 'x-moz': 'prefetch' } }],
      ['a HEAD request', 0, '/page/a', { method: 'HEAD' }],
      [
        'a POST request',
        0,
        '/fresh',
        { method: 'POST', headers: { 'content-type': 'application/json' }, body: '["/a"]' },
      ],
      ['a page that asks something, whatever it ends in', 1, '/fresh-then/404'],
      ['a prerendered page that asks something', 0, '/fresh-then/200', { headers: PREFETCH }],
    ];
    for (const [title, counts, target, sent] of cases)
      it(`${counts ? 'is' : 'is not'} ${title}`, async () => {
        const { visitor, counted } = await visit();
        await visitor.send(target, sent);
        expect(await counted()).to.equal(counts);
      });

    it('is not a request that its visitor gave up', async () => {
      const closed: Promise<unknown>[] = [];
      const { site, visitor, counted } = await visit({}, (app) =>
        app.get('/slow', (_req, res) => {
          const gone = once(res, 'close').then(() => res.end('late'));
          closed.push(gone);
          res.write('first ');
        }),
      );
      const sent = request(`${site.url}/slow`, { headers: { cookie: visitor.cookie, 'user-agent': BROWSER } }).end();
      const [response] = await once(sent, 'response');
      await once(response, 'data');
      sent.destroy();
      await once(sent, 'close');
      await Promise.all(closed);
      expect(await counted()).to.equal(0);
    });

    it('is what `track` says of the request at its end: its name, or its route', async () => {
      const shop = (app: Express) => {
        const routes = express.Router();
        routes.get('/:id', (_req, res) => void res.send('ok'));
        app.use('/shop', routes);
      };
      for (const track of ['route', (req: express.Request) => req.baseUrl + req.route.path] as const) {
        const { visitor, fresh } = await visit({ track }, shop);
        await visitor.send('/shop/tv');
        expect(await fresh(['/shop/:id', '/shop/tv', '/shop/:id/'])).to.deep.equal(['/shop/tv']);
      }
      const { visitor, fresh } = await visit({ track: () => 'product:42' }, shop);
      await visitor.send('/shop/tv');
      expect(await fresh(['product:42', '/shop/tv'])).to.deep.equal(['/shop/tv']);
    });

    it('is with `route` what Express says of the request, under a mount with a parameter and behind a route that passes on', async () => {
      const { visitor, fresh } = await visit({ track: 'route' }, (app) => {
        const routes = express.Router();
        routes.get('/posts/:n', (_req, res) => void res.send('ok'));
        app.use('/users/:id', routes);
        app.all('/kept/{*any}', (_req, _res, next) => next());
        app.use((req, res, next) => (req.path === '/kept/a' ? void res.send('ok') : next()));
      });
      await visitor.send('/users/7/posts/1');
      await visitor.send('/kept/a');
      expect(await fresh(['/users/7/posts/:n', '/users/:id/posts/:n', '/kept/{*any}', '/kept/a'])).to.deep.equal([
        '/users/:id/posts/:n',
        '/kept/a',
      ]);
    });

    it('tells what `track` throws by the event fault, and the page is served', async () => {
      const { sessions, visitor } = await visit({
        track: (req) => {
          if (req.path === '/page/bad') throw new Error('track');
          return true;
        },
      });
      const fault = once(sessions.serving, 'fault');
      expect(await visitor.send('/page/bad')).to.include({ status: 200, body: 'ok' });
      expect((await fault)[0]).to.have.property('message', 'track');
    });
  });

  for (const [option, answer, views] of [
    ['track', 'resolves', 2],
    ['track', 'rejects', 2],
    ['bots', 'resolves', 3],
    ['bots', 'rejects', 3],
  ] as const)
    it(`of an async \`${option}\` is neither yes nor no, which is told once (its promise ${answer})`, async () => {
      const ask = (req: express.Request) => {
        if (req.path === '/page/first') return option === 'track';
        return answer === 'rejects' ? Promise.reject(new Error('late')) : Promise.resolve(false);
      };
      const { sessions, visitor } = await visit({ [option]: ask });
      const faults: Error[] = [];
      sessions.serving.on('fault', (error) => void faults.push(error));
      expect((await visitor.send('/page/a')).status).to.equal(200);
      expect(await visitor.json('/total')).to.equal(views);
      expect(faults.map(String)).to.have.lengthOf(1);
      expect(faults[0])
        .to.include({ code: 'ERR_INTELLIGENT_SESSION_ARGUMENT' })
        .and.have.property('message')
        .that.contains(`"${option}" gave a promise`);
    });

  describe('by pageview()', () => {
    const cases: [title: string, target: string, sent?: Sent, options?: IntelligentSessionOptions][] = [
      ['a path with a dot', '/asks/wiki/Node.js'],
      ['what a script fetches', '/asks/a', { headers: { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' } }],
      ['a POST request', '/asks/a', { method: 'POST' }],
      ['a prerendered page', '/asks/a', { headers: PREFETCH }],
      ['a page that ends in 404', '/asks/404'],
      ['a page where `track` is false', '/asks/a', {}, { track: false }],
      ['a page of which `track` says no', '/asks/a', {}, { track: () => false }],
    ];
    for (const [title, target, sent, options] of cases)
      it(`is ${title}, once`, async () => {
        const { visitor, fresh } = await visit(options);
        const first = await visitor.json(target, sent);
        expect(first).to.have.nested.property('report.previouslyVisited', false);
        expect(first.degraded).to.equal(false);
        expect((await visitor.json(target, sent)).report.totalPages).to.equal(first.report.totalPages + 1);
        expect(await fresh([target])).to.deep.equal([]);
      });
  });

  describe('under one name', () => {
    const spellings: [counted: string, asked: string[]][] = [
      ['/page/caf%c3%a9', ['/page/café', '/page/caf%C3%A9', '/page/caf%c3%a9/']],
      ['/page/a%20b/', ['/page/a b', '/page/a%20b', '/page/x/../a b?utm=1#top']],
      ['/page/news/1/', ['/page/news/1', '/page/news/1/', 'http://host/page/news/1']],
      ['/page/%7Eu?id=1', ['/page/~u', '/page/~u?id=2']],
    ];
    for (const [target, asked] of spellings)
      it(`is ${target}, asked for as ${asked.join(', ')}`, async () => {
        const { visitor, fresh } = await visit();
        await visitor.send(target);
        expect(await fresh(asked)).to.deep.equal([]);
      });

    it('gives fresh pages as they were spelled, in their order', async () => {
      const { visitor, fresh } = await visit();
      await visitor.send('/page/b');
      const pages = ['/page/café', '/page/b/', '/page/caf%c3%a9', '/page/%', '/page/V', '/page/v', '/page/café'];
      expect(await fresh(pages)).to.deep.equal(pages.filter((page) => page !== '/page/b/'));
    });

    it('knows combos however they are spelled, by list, by name and in suggestions', async () => {
      const combos = [{ name: 'wall', pages: ['/page/café/', 'http://host/page/b c'], suggest: 'cable' }];
      const { visitor } = await visit({ combos }, (app) =>
        app.get('/combos', async ({ intelligence }, res) => {
          const both = [await intelligence.combo('wall'), await intelligence.combo(['/page/caf%c3%a9', '/page/b%20c'])];
          res.json([...both, await intelligence.suggestions()]);
        }),
      );
      await visitor.send('/page/caf%C3%A9');
      expect(await visitor.json('/combos')).to.deep.equal([false, false, []]);
      await visitor.send('/page/b%20c/');
      expect(await visitor.json('/combos')).to.deep.equal([true, true, ['cable']]);
    });

    it('is a target in absolute form', async () => {
      const { visitor, fresh } = await visit();
      await visitor.send('http://shop.example/page/absolute');
      expect(await fresh(['/page/absolute'])).to.deep.equal([]);
    });

    it('is the slash at its end and a part of the query, where the options say so', async () => {
      const { visitor, fresh } = await visit({ pages: { strict: true, query: ['id', 'view'] } });
      await visitor.send('/page/a/?utm=x&view=b&id=1');
      const asked = [
        '/page/a/?id=1&view=b',
        '/page/a/?view=b&id=1#x',
        '/page/a?id=1&view=b',
        '/page/a/',
        '/page/a/?id=2&view=b',
      ];
      expect(await fresh(asked)).to.deep.equal(asked.slice(2));
    });
  });

  describe('by a beacon', () => {
    const post = (body: string, headers: Record<string, string> = {}): Sent => ({ method: 'POST', body, headers });
    const withBeacon = async (before: (app: Express) => unknown = () => {}) => {
      let url = '';
      const visited = await visit({}, (app) => {
        before(app);
        app.post('/seen', visitedBeacon);
      });
      url = visited.site.url;
      return { ...visited, url };
    };
    let visitedBeacon: express.RequestHandler;
    beforeEach(() => {
      visitedBeacon = (req, res) => (open[0] as { sessions: IntelligentSession }).sessions.beacon()(req, res);
    });

    it('is the page that the body names, by its path or its URL, or else the Referer’s', async () => {
      const { url, visitor, fresh } = await withBeacon();
      const same = { origin: url, 'sec-fetch-site': 'same-origin' };
      expect(await visitor.send('/seen', post('/page/café/?x#y', same))).to.include({ status: 204, body: '' });
      await visitor.send('/seen', post(`${url}/page/b`, same));
      await visitor.send('/seen', post('', { ...same, referer: `${url}/page/c` }));
      await visitor.send('/seen', post('product:42', { origin: url }));
      await visitor.send('/seen', post('https://shop.example/d', { ...same, origin: 'https://shop.example' }));
      expect(await fresh(['/page/caf%C3%A9', '/page/b', '/page/c', 'product:42', '/d'])).to.deep.equal([]);
    });

    it('is what a body parser has read as text', async () => {
      const { visitor, fresh } = await withBeacon((app) => app.use(express.text(), express.urlencoded()));
      await visitor.send('/seen', post('/page/text', { 'content-type': 'text/plain' }));
      const form = { 'content-type': 'application/x-www-form-urlencoded', referer: `http://a/page/form`, host: 'a' };
      await visitor.send('/seen', post('x=1', form));
      expect(await fresh(['/page/text', '/page/form'])).to.deep.equal([]);
    });

    const refused: [title: string, body: string, headers: Record<string, string>][] = [
      ['of another site', '/page/a', { 'sec-fetch-site': 'cross-site' }],
      ['of another origin', '/page/a', { origin: 'http://evil.example' }],
      ['with another origin’s page', 'http://evil.example/page/a', {}],
      ['with another origin’s Referer', '', { referer: 'http://evil.example/page/a' }],
      ['that names nothing', '', {}],
      ['with control characters', '/page/a\n/page/b', {}],
      ['of more than 2,048 bytes', `/page/${'x'.repeat(3_000)}`, {}],
    ];
    for (const [title, body, headers] of refused)
      it(`is nothing for one ${title}, which gets its 204, too`, async () => {
        const { visitor, counted } = await withBeacon();
        expect((await visitor.send('/seen', post(body, headers))).status).to.equal(204);
        expect(await counted()).to.equal(0);
      });

    it('is nothing for one without a session whose cookie has come back', async () => {
      const { site, visitor } = await withBeacon();
      await visitor.json('/total');
      const before = (await client.keys('ss:*')).length;
      expect((await new RawVisitor(site).send('/seen', post('/page/a'))).status).to.equal(204);
      await visitor.json('/total');
      expect(await client.keys('ss:*')).to.have.lengthOf(before);
    });
  });

  describe('for a declared bot', () => {
    const bot = { 'user-agent': 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)' };
    /** what Redis holds for visitors */
    const kept = async () => {
      const keys = (await client.keys('*')).filter((key) => /^(sess:|ss:\{)/.test(key));
      const bytes = await Promise.all(keys.map((key) => client.memory('USAGE', key)));
      return { keys: keys.length, bytes: bytes.reduce<number>((sum, one) => sum + Number(one), 0) };
    };
    const login = (app: Express) => {
      app.post('/login', (req, res) => {
        req.session.regenerate(() => {
          (req.session as { user?: string }).user = 'ada';
          res.end();
        });
      });
      app.get('/who', (req, res) => void res.json([(req.session as { user?: string }).user ?? null, req.sessionID]));
      app.post('/logout', (req, res) => void req.session.destroy(() => res.end()));
    };

    it('is nothing, and no key is kept; without the option, four keys a request', async () => {
      for (const bots of [undefined, false as const]) {
        await client.flushall();
        const { site, visitor } = await visit(bots === undefined ? {} : { bots });
        await visitor.json('/total');
        const before = await kept();
        const one = new RawVisitor(site);
        const answer = await one.json('/asks/a', { headers: bot });
        await one.send('/fresh-then/200', { headers: bot });
        await visitor.json('/total');
        const after = await kept();
        if (bots === undefined) {
          expect(answer).to.deep.equal({ degraded: false });
          expect(one.cookie).to.equal('');
          expect(after.keys).to.equal(before.keys);
        } else {
          expect(answer.report).to.include({ totalPages: 1 });
          expect(after.keys - before.keys).to.equal(4);
        }
        if (process.env.SHOW_FIGURES)
          process.stdout.write(
            `      bots: ${bots ?? 'default'}: ${after.keys - before.keys} keys, ${after.bytes - before.bytes} bytes\n`,
          );
      }
    });

    it('stores its session, with the cookie, once the application writes to it, and sends nothing for it', async () => {
      const { site, visitor } = await visit({ session: { rolling: true, cookie: { maxAge: 60_000 } } }, login);
      await visitor.json('/total');
      const { keys } = await kept();
      const one = new RawVisitor(site);
      const headers = { 'user-agent': 'okhttp/4.12.0' };
      await one.send('/login', { method: 'POST', headers });
      expect(one.cookie).to.not.equal('');
      const [user, id] = await one.json('/who', { headers });
      expect(user).to.equal('ada');
      expect((await one.send('/page/a', { headers })).headers['set-cookie'], 'rolling').to.have.lengthOf(1);
      expect(await one.json('/asks/a', { headers })).to.deep.equal({ degraded: false });
      expect(await client.pttl(`sess:${id}`)).to.be.within(55_000, 60_000);
      // a browser with that session is its visitor
      expect(await one.json('/total')).to.equal(1);
      await one.send('/logout', { method: 'POST', headers });
      expect((await one.json('/who', { headers }))[0]).to.equal(null);
      await visitor.json('/total');
      // what a logout leaves for a while: that the session has ended, for the store and for the intelligence
      expect((await kept()).keys).to.equal(keys + 2);
    });

    it('is whoever the option says; what it throws is the error handler’s', async () => {
      const bots = (req: express.Request) => {
        if (req.path === '/page/throws') throw new Error('bots');
        return req.get('x-monitor') !== undefined;
      };
      const { visitor, counted } = await visit({ bots });
      await visitor.send('/page/a', { headers: { 'x-monitor': '1' } });
      await visitor.send('/page/b', { headers: bot });
      expect(await counted()).to.equal(1);
      expect((await visitor.send('/page/throws')).status).to.equal(500);
    });

    it('has the store’s listeners twice, and both follow it', async () => {
      const { sessions, site } = await visit();
      expect(['connect', 'disconnect'].map((event) => sessions.store.listenerCount(event))).to.deep.equal([2, 2]);
      sessions.store.emit('disconnect');
      for (const headers of [{}, bot])
        expect(await new RawVisitor(site).json('/asks/a', { headers })).to.deep.equal({ degraded: headers !== bot });
      sessions.store.emit('connect');
      expect(await new RawVisitor(site).json('/asks/a')).to.have.nested.property('report.totalPages', 1);
    });
  });

  describe('without Express', () => {
    it('is a page of plain node:http', async () => {
      const sessions = make();
      const server = createServer((req, res) =>
        sessions(req, res, (error) => {
          const { intelligence, session } = req as IntelligentRequest;
          const { visits = 0 } = session as { visits?: number };
          Object.assign(session, { visits: visits + 1 });
          if (error || req.url?.startsWith('/quiet')) res.end();
          else
            void Promise.all([intelligence.pageview(), intelligence.freshPages(['/quiet', '/b'])]).then(
              ([report, fresh]) =>
                res.end(JSON.stringify({ total: report?.totalPages, fresh, visits, degraded: intelligence.degraded })),
            );
        }),
      );
      const site = await Site.open(server.listeners('request')[0] as Express);
      open.push({ sessions, site });
      const visitor = new RawVisitor(site);
      expect(await visitor.json('/a?x')).to.deep.equal({
        total: 1,
        fresh: ['/quiet', '/b'],
        visits: 0,
        degraded: false,
      });
      await visitor.send('/quiet');
      expect(await visitor.json('/a')).to.deep.equal({ total: 3, fresh: ['/b'], visits: 2, degraded: false });
    });
  });

  describe('for a path of any length', () => {
    it('is a view, under a name of 1,024 bytes at most', async () => {
      const sessions = make();
      const app = express();
      app.use(sessions);
      app.get('/quiet/{*any}', (_req, res) => void res.send('ok'));
      app.get('/{*any}', async ({ intelligence }, res) => {
        const report = await intelligence.pageview();
        res.json({ report, degraded: intelligence.degraded });
      });
      const site = await Site.open(app, { maxHeaderSize: 1_000_000 });
      open.push({ sessions, site });
      const visitor = new RawVisitor(site);
      const path = `/${'"'.repeat(100_000)}`;
      expect(await visitor.json(path))
        .to.deep.include({ degraded: false })
        .and.to.have.nested.property('report.totalPages', 1);
      expect(await visitor.send(`/quiet${path}`)).to.include({ body: 'ok' });
      const again = await visitor.json(path);
      expect(again.report).to.include({ totalPages: 3, uniquePages: 2, previouslyVisited: true });
    });
  });

  describe('for a session id that can’t be sent', () => {
    it('is nothing: the page is served, degraded, and the reason is told', async () => {
      const sessions = make({ session: { genid: () => 'x'.repeat(513) } });
      const app = express();
      app.use(sessions);
      app.get('/quiet', (_req, res) => void res.send('ok'));
      app.get('/', async ({ intelligence }, res) => {
        intelligence.send('my-command', 1);
        const report = await intelligence.pageview();
        const [fresh, marked] = [await intelligence.freshPages(['/a']), await intelligence.markNotificationSeen('1')];
        res.json({ report, fresh, marked, degraded: intelligence.degraded });
      });
      const site = await Site.open(app);
      open.push({ sessions, site });
      const reasons: string[] = [];
      sessions.serving.on('degraded', (command, reason) => reasons.push(`${command} ${reason}`));
      sessions.serving.on('fault', (error) => reasons.push(error.message.split(' (')[0] as string));
      expect(await new RawVisitor(site).json('/')).to.deep.equal({ fresh: ['/a'], degraded: true });
      expect(reasons.slice(0, 2)).to.deep.equal(['A session id has 1 to 512 characters', 'pageview session-id']);
      expect(reasons).to.include('my-command session-id');
      const quiet = once(sessions.serving, 'degraded');
      expect(await new RawVisitor(site).send('/quiet')).to.include({ status: 200 });
      expect(await quiet).to.deep.equal(['pageview', 'session-id']);
    });
  });
});
