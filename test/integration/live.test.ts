import { once } from 'node:events';
import { createServer as createHttp2Server, connect as connectHttp2 } from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGzip } from 'node:zlib';
import { expect } from 'chai';
import type { RequestHandler } from 'express';
import session, { type SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
} from '../../lib/index.js';
import { createNotifications, type Notifications } from '../../lib/notifications/index.js';
import type { LiveOptions } from '../../middleware/live-options.js';
import { OpenedStream } from '../support/event-source.js';
import { LiveVisitor, liveApp } from '../support/live-site.js';
import { FaultyProxy } from '../support/proxy.js';
import { BROWSER, Site } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { Warnings } from '../support/warnings.js';

const user = (data: SessionData) => (data as { user?: string } & SessionData).user;

describe('live notifications', () => {
  let redis: PrivateRedis;
  let client: Redis;
  let publisher: Notifications;
  const opened = useRedis((started) => ({ redis, client } = started));

  beforeEach(() => {
    publisher = createNotifications({ redis: redis.url });
    opened.push(() => publisher.close());
  });

  function open(options: IntelligentSessionOptions = {}): IntelligentSession {
    const sessions = intelligentSession({
      redis: redis.url,
      secret: 'a secret of the tests',
      worker: 'embedded',
      user,
      notifications: { groups: () => ['everyone', 'customers'] },
      ...options,
    });
    opened.push(() => sessions.close({ timeout: 0 }));
    return sessions;
  }

  async function serve(
    sessions: IntelligentSession,
    options?: LiveOptions,
    ...before: RequestHandler[]
  ): Promise<Site> {
    const site = await Site.open(liveApp(sessions, options, ...before));
    opened.push(() => site.close());
    return site;
  }

  async function site(options?: IntelligentSessionOptions, live?: LiveOptions): Promise<Site> {
    return serve(open(options), live);
  }

  const publish = (group = 'everyone') => publisher.publish({ group }, { title: 'News' });

  for (const worker of ['embedded', 'external'] as const)
    describe(`with ${worker} commands`, () => {
      const options = { worker };
      beforeEach(async () => {
        if (worker === 'embedded') return;
        const external = await createWorker({ redis: redis.url });
        opened.push(() => external.close());
      });

      it('say the count at opening, and one more with each publication', async () => {
        await publish();
        const visitor = await LiveVisitor.at(await site(options));
        const stream = await visitor.open();
        await stream.says(1);
        await publish('customers');
        await stream.says(2);
        await publish('others');
        await publish();
        await stream.says(3);
        expect(stream.events.map(({ data }) => data)).to.deep.equal([{ count: 1 }, { count: 2 }, { count: 3 }]);
      });

      it('say what was read in another tab, and in another process', async () => {
        const [one, other] = [await site(options), await site(options)];
        const [first, second] = [await publish(), await publish()];
        const visitor = await LiveVisitor.at(one, '/login/ann');
        const [here, there] = [await visitor.open(), await visitor.elsewhere(other).open()];
        await Promise.all([here.says(2), there.says(2)]);
        await visitor.json(`/read/${first}`);
        await Promise.all([here.says(1), there.says(1)]);
        await visitor.elsewhere(other).json(`/read/${second}`);
        await Promise.all([here.says(0), there.says(0)]);
      });

      it('end at once when the visitor logs out, in this process and in another one', async () => {
        const [one, other] = [await site(options), await site(options)];
        const visitor = await LiveVisitor.at(one, '/login/ann');
        const [here, there] = [await visitor.open(), await visitor.elsewhere(other).open()];
        const others = await (await LiveVisitor.at(one, '/login/ben')).open();
        await Promise.all([here.says(0), there.says(0), others.says(0)]);
        await visitor.json('/logout');
        await Promise.all([here.ended(), there.ended()]);
        expect([here.wasCut, there.wasCut, others.hasEnded]).to.deep.equal([false, false, false]);
      });
    });

  it('say what is published to one user, on each of their devices', async () => {
    const shop = await site();
    const [phone, laptop, other] = [
      await LiveVisitor.at(shop, '/login/ann'),
      await LiveVisitor.at(shop, '/login/ann'),
      await LiveVisitor.at(shop, '/login/ben'),
    ];
    const streams = [await phone.open(), await laptop.open(), await other.open()] as const;
    await Promise.all(streams.map((stream) => stream.says(0)));
    await publisher.publish({ user: 'ann' }, { title: 'Your parcel' });
    await Promise.all([streams[0].says(1), streams[1].says(1)]);
    expect(streams[2].last).to.deep.equal({ count: 0 });
    await laptop.json('/read-all');
    await Promise.all([streams[0].says(0), streams[1].says(0)]);
  });

  it('say what is edited, removed, planned and expired', async () => {
    const stream = await (await LiveVisitor.at(await site())).open();
    const everyone = { group: 'everyone' };
    const first = await publish();
    await publish();
    await stream.says(2);
    await publisher.remove(everyone, first);
    await stream.says(1);
    await publisher.publish(everyone, { title: 'Soon', publishAt: new Date(Date.now() + 400) });
    const planned = await publisher.publish(everyone, { title: 'Never', publishAt: new Date(Date.now() + 700) });
    await publisher.remove(everyone, planned);
    await publisher.publish(everyone, { title: 'Brief', expires: new Date(Date.now() + 600) });
    await stream.says(2);
    await stream.says(3);
    await stream.says(2);
    const counts = stream.events.map(({ data }) => (data as { count: number }).count);
    expect(Math.max(...counts)).to.equal(3);
  });

  it('say all that is planned for the same time, at which another expires, to each of several visitors', async () => {
    const shop = await site();
    const everyone = { group: 'everyone' };
    await publish();
    const then = new Date(Date.now() + 2_000);
    await publisher.publish(everyone, { title: 'Until then', expires: then });
    for (const title of ['From then on', 'This, too', 'And this'])
      await publisher.publish(everyone, { title, publishAt: then });
    const visitors = await Promise.all(Array.from({ length: 4 }, () => LiveVisitor.at(shop)));
    const streams = await Promise.all(visitors.map((visitor) => visitor.open()));
    await Promise.all(streams.map((stream) => stream.says(4)));
  });

  it('say that something is unread again', async () => {
    const visitor = await LiveVisitor.at(await site());
    const stream = await visitor.open();
    const id = await publish();
    await stream.says(1);
    await visitor.json(`/read/${id}`);
    await stream.says(0);
    await publisher.edit({ group: 'everyone' }, id, { title: 'Read this' }, { again: true });
    await stream.says(1);
  });

  it('of a full list count no more than it has', async () => {
    const small = createNotifications({ redis: redis.url, maxPerGroup: 3 });
    opened.push(() => small.close());
    for (let i = 0; i < 3; i++) await small.publish({ group: 'everyone' }, { title: `${i}` });
    const shop = await site();
    const streams = [await (await LiveVisitor.at(shop)).open(), await (await LiveVisitor.at(shop)).open()];
    await Promise.all(streams.map((stream) => stream.says(3)));
    await small.publish({ group: 'everyone' }, { title: 'One more' });
    await Promise.all(streams.map((stream) => until('it said four', () => stream.events.length >= 2)));
    await Promise.all(streams.map((stream) => stream.says(3)));
  });

  it('take one connection that listens, whatever the number of streams', async () => {
    const shop = await site();
    const listening = async () => (String(await client.client('LIST')).match(/ sub=[1-9]/g) ?? []).length;
    const before = await listening();
    const streams = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => (await LiveVisitor.at(shop, `/login/visitor-${i}`)).open()),
    );
    await Promise.all(streams.map((stream) => stream.says(0)));
    expect((await listening()) - before).to.equal(1);
    const channels = async () => (await client.pubsub('CHANNELS', 'ss:changes:*')) as string[];
    expect(await channels()).to.have.length(22);
    for (const stream of streams) stream.close();
    await until('channels are left', async () => (await channels()).every((name) => name.includes(':g.')));
  });

  describe('end with their session', () => {
    it('that gets a new id at a login', async () => {
      const visitor = await LiveVisitor.at(await site());
      const stream = await visitor.open();
      await stream.says(0);
      await visitor.json('/login/ann');
      await stream.ended();
    });

    it('that becomes a user’s, another’s, and nobody’s, under its id, in each process', async () => {
      const [one, other] = [await site(), await site()];
      const visitor = await LiveVisitor.at(one);
      for (const path of ['/become/ann', '/become/ben', '/become']) {
        const streams = [await visitor.open(), await visitor.elsewhere(other).open()];
        await Promise.all(streams.map((stream) => stream.says(0)));
        await visitor.json(path);
        await Promise.all(streams.map((stream) => stream.ended()));
      }
    });

    it('whose anonymous visitor is forgotten, and goes on as a new one, in each process', async () => {
      const [one, other] = [await site(), await site()];
      const id = await publish();
      const visitor = await LiveVisitor.at(one);
      await visitor.json(`/read/${id}`);
      const [here, there] = [await visitor.open(), await visitor.elsewhere(other).open()];
      await Promise.all([here.says(0), there.says(0)]);
      expect(await visitor.json('/forget')).to.equal(true);
      await Promise.all([here.ended(), there.ended()]);
      const again = await visitor.open();
      await again.says(1);
      await visitor.json(`/read/${id}`);
      await again.says(0);
    });

    it('that another device ends', async () => {
      const sessions = open();
      const shop = await serve(sessions);
      const stream = await (await LiveVisitor.at(shop, '/login/ann')).open();
      await stream.says(0);
      await (sessions.store as unknown as { destroyAllOf(user: string): Promise<number> }).destroyAllOf('ann');
      await stream.ended();
    });

    it('that has expired, within a heartbeat', async () => {
      const visitor = await LiveVisitor.at(await site({}, { heartbeatSeconds: 1 }));
      const stream = await visitor.open();
      await stream.says(0);
      for (const key of await client.keys('sess:*')) await client.del(key);
      await stream.ended();
      expect(stream.comments).to.be.at.most(2);
    });

    it('of a store of the application’s, destroyed or expired', async () => {
      const store = new session.MemoryStore();
      const shop = await site(
        { store, user: undefined, session: { cookie: { maxAge: 1_500 } } },
        { heartbeatSeconds: 1 },
      );
      const [leaving, staying] = [await LiveVisitor.at(shop), await LiveVisitor.at(shop)];
      const [left, stayed] = [await leaving.open(), await staying.open()];
      await Promise.all([left.says(0), stayed.says(0)]);
      await leaving.json('/logout');
      await left.ended(500);
      await stayed.ended();
    });

    it('and are stored by no one at their end: what was logged out stays so', async () => {
      const touching: RequestHandler = (req, _res, next) => {
        Object.assign(req.session ?? {}, { seenAt: Math.random() });
        next();
      };
      const sessions = open();
      const app = liveApp(sessions);
      // what a site has between its sessions and its routes
      const live: RequestHandler = sessions.live();
      app.get('/touching', touching, live);
      const shop = await Site.open(app);
      opened.push(() => shop.close());
      const visitor = await LiveVisitor.at(shop, '/login/ann');
      const stream = await OpenedStream.open(`${shop.url}/touching`, { cookie: visitor.cookie });
      await stream.says(0);
      await visitor.json('/logout');
      await stream.ended();
      expect(await client.keys('sess:*')).to.deep.equal([]);
    });

    for (const unset of ['keep', 'destroy'] as const)
      describe(`and leave the session as it is in the store (unset: '${unset}')`, () => {
        const touching: RequestHandler = (req, _res, next) => {
          Object.assign(req.session, { seenAt: 'the opening' });
          next();
        };

        /** A site whose streams change their session when they open. `between` stands between that and the stream. */
        async function touched(...between: RequestHandler[]): Promise<{ sessions: IntelligentSession; shop: Site }> {
          const sessions = open({ session: { unset } });
          const app = liveApp(sessions);
          app.get('/touching', touching, ...between, sessions.live());
          const shop = await Site.open(app);
          opened.push(() => shop.close());
          return { sessions, shop };
        }

        async function stored(): Promise<string[]> {
          const keys = await client.keys('sess:*');
          return Promise.all(keys.map(async (key) => (await client.get(key)) ?? ''));
        }

        const openAt = async (shop: Site, { cookie }: LiveVisitor) => {
          const stream = await OpenedStream.open(`${shop.url}/touching`, { cookie });
          await stream.says(0);
          return stream;
        };

        it('when the sessions are closed', async () => {
          const { sessions, shop } = await touched();
          const stream = await openAt(shop, await LiveVisitor.at(shop));
          const before = await stored();
          await sessions.close();
          await stream.ended();
          expect(before).to.have.length(1);
          expect(await stored()).to.deep.equal(before);
        });

        it('after a HEAD', async () => {
          const { shop } = await touched();
          const visitor = await LiveVisitor.at(shop);
          const before = await stored();
          expect((await visitor.fetch('/touching', { method: 'HEAD' })).status).to.equal(200);
          expect(before).to.have.length(1);
          expect(await stored()).to.deep.equal(before);
        });

        it('at a login that keeps the session’s id', async () => {
          const { shop } = await touched();
          const visitor = await LiveVisitor.at(shop);
          const stream = await openAt(shop, visitor);
          await visitor.json('/become/ann');
          await stream.ended();
          const [session = '', ...others] = await stored();
          expect(others).to.deep.equal([]);
          expect(JSON.parse(session)).to.include({ user: 'ann' }).and.not.have.property('seenAt');
        });

        it('where a middleware that compresses ends the response later', async () => {
          const compressing: RequestHandler = (_req, res, next) => {
            const gzip = createGzip();
            const [write, end] = [res.write.bind(res) as (chunk: Buffer) => boolean, res.end.bind(res) as () => void];
            gzip.on('data', write).on('end', end);
            res.write = ((chunk: string) => gzip.write(chunk)) as typeof res.write;
            res.end = (() => (gzip.end(), res)) as typeof res.end;
            next();
          };
          const { sessions, shop } = await touched(compressing);
          const visitor = await LiveVisitor.at(shop);
          const stream = await OpenedStream.open(`${shop.url}/touching`, { cookie: visitor.cookie });
          const before = await stored();
          await sessions.close();
          await stream.ended();
          expect(before).to.have.length(1);
          expect(await stored()).to.deep.equal(before);
        });
      });
  });

  it('renew no session, neither at opening nor by what they send', async () => {
    const visitor = await LiveVisitor.at(await site({ store: { touchAfter: 0 } as never }));
    const [key] = await client.keys('sess:*');
    await client.pexpire(key as string, 100_000);
    const stream = await visitor.open();
    await stream.says(0);
    await publish();
    await stream.says(1);
    stream.close();
    expect(await client.pttl(key as string)).to.be.at.most(100_000);
  });

  it('are no page views', async () => {
    const sessions = open();
    const visitor = await LiveVisitor.at(await serve(sessions, undefined));
    const metric = async (name: string) =>
      new RegExp(`^${name} (\\d+)`, 'm').exec(await sessions.serving.metrics.metrics())?.[1];
    const views = () => metric('intelligent_session_requests_total\\{command="pageview",result="sent"\\}');
    await until('the page has counted', async () => (await views()) === '1');
    const stream = await visitor.open();
    await stream.says(0);
    stream.close();
    await until('it has ended', async () => (await metric('intelligent_session_live_streams')) === '0');
    expect(await views()).to.equal('1');
  });

  describe('are refused', () => {
    it('with 204 for bots, without consent, without a session', async () => {
      const shop = await site({ consent: (req) => req.headers['x-consent'] !== 'no' });
      const visitor = await LiveVisitor.at(shop);
      const none = new LiveVisitor(shop.url);
      for (const stream of [
        await visitor.open({ 'user-agent': 'Googlebot/2.1' }),
        await visitor.open({ 'x-consent': 'no' }),
        await none.open(),
      ]) {
        expect(stream.status).to.equal(204);
        expect(stream.response.headers['cache-control']).to.equal('no-store');
      }
    });

    it('beyond maxOpen gets 503 with Retry-After, and a warning, until one has gone', async () => {
      const warnings = new Warnings();
      opened.push(() => warnings.close());
      const sessions = open();
      const visitor = await LiveVisitor.at(await serve(sessions, { maxOpen: 2 }));
      const streams = [await visitor.open(), await visitor.open()];
      for (let i = 0; i < 2; i++) {
        const refused = await visitor.open();
        expect(refused.status).to.equal(503);
        expect(refused.response.headers['retry-after']).to.equal('30');
      }
      await until('it was warned', () => warnings.of('LIVE_FULL').length === 1);
      streams[0]?.close();
      await until('there is room', async () => (await visitor.open()).status === 200);
    });

    it('and ended when the sessions are closed', async () => {
      const sessions = open();
      const visitor = await LiveVisitor.at(await serve(sessions));
      const stream = await visitor.open();
      await stream.says(0);
      const began = performance.now();
      await sessions.close();
      await stream.ended();
      expect(stream.wasCut).to.equal(false);
      expect(performance.now() - began).to.be.below(2_000);
    });

    it('with the headers alone for HEAD', async () => {
      const visitor = await LiveVisitor.at(await site());
      const response = await visitor.fetch('/notifications/live', { method: 'HEAD' });
      expect(response.status).to.equal(200);
      expect(response.headers.get('content-type')).to.equal('text/event-stream; charset=utf-8');
    });

    it('by an error where groups() throws, and where live() stands before the sessions', async () => {
      const sessions = open({
        notifications: {
          groups: () => {
            throw new Error('no groups');
          },
        },
      });
      const app = liveApp(sessions, undefined, (req, res, next) => {
        if (req.path === '/too-early') sessions.live()(req, res, next);
        else next();
      });
      const errors: string[] = [];
      app.use(((error: Error, _req, res, _next) => {
        errors.push(error.message);
        res.sendStatus(500);
      }) as import('express').ErrorRequestHandler);
      const shop = await Site.open(app);
      opened.push(() => shop.close());
      const visitor = await LiveVisitor.at(shop);
      expect((await visitor.open()).status).to.equal(500);
      expect((await visitor.fetch('/too-early')).status).to.equal(500);
      expect(errors[0]).to.equal('no groups');
      expect(errors[1]).to.match(/ERR_INTELLIGENT_SESSION_ORDER/);
    });

    it('by an OptionError for wrong options', () => {
      const sessions = open();
      for (const options of [{ heartbeatSeconds: 0 }, { maxOpen: 1.5 }, { maxOpen: '5' }, { other: 1 }, []])
        expect(() => sessions.live(options as never), JSON.stringify(options)).to.throw(/^live\(\): /);
      const without = intelligentSession({ redis: redis.url, secret: 'a secret of the tests', worker: 'embedded' });
      opened.push(() => without.close());
      expect(() => without.live()).to.throw(/option `notifications: \{ groups \}`/);
    });
  });

  it('go through a middleware that compresses all, by its flush()', async () => {
    const compressing: RequestHandler = (req, res, next) => {
      if (req.path !== '/notifications/live') return next();
      const gzip = createGzip();
      const [write, end] = [res.write.bind(res) as (chunk: Buffer) => boolean, res.end.bind(res) as () => void];
      res.setHeader('Content-Encoding', 'gzip');
      gzip.on('data', write).on('end', end);
      res.write = ((chunk: string) => gzip.write(chunk)) as typeof res.write;
      res.end = (() => (gzip.end(), res)) as typeof res.end;
      Object.assign(res, { flush: () => gzip.flush() });
      next();
    };
    const shop = await serve(open(), undefined, compressing);
    const visitor = await LiveVisitor.at(shop);
    const response = await visitor.fetch('/notifications/live');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    const reading = async (wanted: string) => {
      while (!text.includes(wanted)) text += Buffer.from((await reader.read()).value ?? []).toString();
    };
    await reading('{"count":0}');
    await publish();
    await reading('{"count":1}');
    await reader.cancel();
  });

  // express-session's own res.end() can't answer a page over HTTP/2 without a proxy, so the page comes by HTTP/1.1
  it('go over HTTP/2, without Express', async () => {
    const sessions = open();
    const visitor = await LiveVisitor.at(await serve(sessions));
    const live = sessions.live();
    const server = createHttp2Server((request, response) => {
      const [req, res] = [request as never as IncomingMessage, response as never as ServerResponse];
      sessions(req, res, () => live(req, res));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push(() => server.close());
    const connection = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    opened.push(() => connection.destroy());
    const { cookie } = visitor;
    const stream = connection.request({ ':path': '/live', cookie, 'user-agent': BROWSER });
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const [answer] = await once(stream, 'response');
    expect(answer[':status']).to.equal(200);
    await until('the count came', () => text.includes('{"count":0}'));
    await publish();
    await until('the next one came', () => text.includes('{"count":1}'));
    const ended = once(stream, 'end');
    await visitor.json('/logout');
    await ended;
  });

  it('have the truth when Redis is back that was away', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    opened.push(() => proxy.close());
    const sessions = open({ redis: proxy.url });
    sessions.serving.on('fault', () => {}).on('away', () => {});
    sessions.store.on('fault', () => {}).on('away', () => {});
    const visitor = await LiveVisitor.at(await serve(sessions));
    const stream = await visitor.open();
    await stream.says(0);
    proxy.refuses = true;
    proxy.cut();
    await publish();
    await publish();
    proxy.refuses = false;
    await stream.says(2);
    await publish();
    await stream.says(3);
    expect(stream.hasEnded).to.equal(false);
  });

  it('are counted', async () => {
    const sessions = open();
    const visitor = await LiveVisitor.at(await serve(sessions));
    const [stream, bot] = [await visitor.open(), await visitor.open({ 'user-agent': 'Googlebot/2.1' })];
    await stream.says(0);
    expect(bot.status).to.equal(204);
    const text = await sessions.serving.metrics.metrics();
    expect(text).to.match(/intelligent_session_live_streams 1/);
    expect(text).to.match(/intelligent_session_live_events_total 1/);
    expect(text).to.match(/intelligent_session_live_total\{event="opened"\} 1/);
    expect(text).to.match(/intelligent_session_live_total\{event="nothing"\} 1/);
  });
});
