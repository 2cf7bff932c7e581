import { connect } from 'node:net';
import { expect } from 'chai';
import express from 'express';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type IntelligentSessionOptions, intelligentSession, OptionError } from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

const itemSecret = 'a long secret of the site';
const pages = ['/clinic/oncology', '/clinic/dentist', '/clinic/never'];
const notes = ['biopsy-result', 'invoice-77'];
const combos = [{ name: 'clinic', pages: pages.slice(0, 2), suggest: 'a leaflet' }];

describe('itemSecret: who has a copy of Redis, or hears its messages', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  const siteOf = async (options: IntelligentSessionOptions) => {
    const given = { redis: redis.url, secret: 'test', timeout: 5000, combos, ...options };
    const sessions = intelligentSession(given as IntelligentSessionOptions);
    const app = express().use(sessions);
    app.get('/ask', async (req, res) => {
      const { intelligence } = req;
      await intelligence.markNotificationSeen(notes[0] as string);
      res.json({
        id: req.sessionID,
        fresh: await intelligence.freshPages(pages),
        notes: await intelligence.notifications(notes),
        suggestions: await intelligence.suggestions(),
        combo: await intelligence.combo('clinic'),
        named: await intelligence.combo('of the worker'),
        degraded: intelligence.degraded,
      });
    });
    app.get(/.*/, async (req, res) => void res.json(await req.intelligence.pageview()));
    const site = await Site.open(app);
    opened.push(
      () => sessions.close(),
      () => site.close(),
    );
    return site;
  };
  const work = async (options: Parameters<typeof createWorker>[0]) => {
    const named = [{ name: 'of the worker', pages: pages.slice(0, 2) }];
    const worker = await createWorker({ redis: redis.url, combos: named, ...options });
    opened.push(() => worker.close());
  };

  for (const way of ['pubsub', 'stream', 'embedded'] as const)
    it(`sees no address and no notification's id in any command or answer (${way})`, async () => {
      if (way !== 'embedded') await work({ transport: way, itemSecret });
      const named = [{ name: 'of the worker', pages: pages.slice(0, 2), suggest: 'a sticker' }];
      const embedded = { worker: 'embedded', combos: [...combos, ...named] } as const;
      const site = await siteOf({ itemSecret, ...(way === 'embedded' ? embedded : { transport: way }) });
      // a connection of its own: ioredis 6 loses its place where commands are told while MONITOR is answered
      const monitor = connect(redis.port, '127.0.0.1').setEncoding('utf8');
      opened.push(() => monitor.destroy());
      let text = '';
      monitor.on('data', (chunk: string) => {
        text += chunk;
      });
      monitor.write('MONITOR\r\n');
      await until('it monitors', () => text.startsWith('+OK'));
      const visitor = new Visitor(site.url);
      expect(await visitor.json(pages[0] as string)).to.include({ totalPages: 1, newToSite: true });
      expect(await visitor.json(pages[1] as string)).to.include({ totalPages: 2, previouslyVisited: false });
      const { id, ...answers } = await visitor.json('/ask');
      expect(answers).to.deep.equal({
        fresh: ['/clinic/never'],
        notes: [
          { id: 'biopsy-result', seen: true },
          { id: 'invoice-77', seen: false },
        ],
        suggestions: way === 'embedded' ? ['a leaflet', 'a sticker'] : ['a leaflet'],
        combo: true,
        named: true,
        degraded: false,
      });
      expect(await visitor.json(pages[1] as string)).to.include({ previouslyVisited: true });
      await client.echo('the end');
      await until('all was seen', () => text.includes('the end'));
      const seen = text.split('\r\n');
      expect(
        seen.filter((line) => line.includes(id)),
        'it did look',
      ).to.have.length.above(3);
      expect(seen.filter((line) => /clinic|biopsy|invoice/.test(line))).to.deep.equal([]);
    });

  for (const [who, ofSite, ofWorker] of [
    ['the site keys', { itemSecret }, {}],
    ['the worker keys', {}, { itemSecret }],
  ] as const)
    it(`can't ask one visitor's filter about another's pages (${who})`, async () => {
      await work(ofWorker);
      const site = await siteOf(ofSite);
      const kept = await Promise.all(
        [1, 2].map(async () => {
          const visitor = new Visitor(site.url);
          await visitor.json(pages[0] as string);
          const { id, fresh } = await visitor.json('/ask');
          expect(fresh).to.deep.equal(pages.slice(1));
          const { visited, notified, pages: log } = intelligenceKeys('', id);
          return Promise.all([visited, notified, log].map((key) => client.getBuffer(key)));
        }),
      );
      const [one, other] = kept as [Buffer[], Buffer[]];
      for (const [i, bytes] of one.entries()) expect(bytes.equals(other[i] as Buffer), `filter ${i}`).to.equal(false);
    });

  it('answers the same whether the site or the worker keys, so that it can be switched on in either order', async () => {
    await work({ itemSecret });
    const before = await siteOf({});
    const after = await siteOf({ itemSecret });
    const visitor = new Visitor(before.url);
    await visitor.json(pages[0] as string);
    const same = new Visitor(after.url);
    same.cookie = visitor.cookie;
    expect(await same.json(pages[0] as string)).to.include({ totalPages: 2, previouslyVisited: true, uniquePages: 1 });
  });

  it('takes a list of 10,000 pages', async () => {
    await work({});
    const sessions = intelligentSession({ redis: redis.url, secret: 'test', itemSecret });
    opened.push(() => sessions.close());
    const list = Array.from({ length: 10_000 }, (_, i) => `/${i}`);
    await sessions.serving.ask('pageview', 'sid', '/7', { ttlSeconds: 60, timeoutMs: 5000 });
    const answer = await sessions.serving.ask('featuredpages', 'sid', list, { ttlSeconds: 60, timeoutMs: 10_000 });
    expect(answer.answered && (answer.data as string[]).length).to.be.within(9_999 - 150, 9_999);
  });

  it('hears at start of a secret that is too short', () => {
    expect(() => intelligentSession({ redis: redis.url, secret: 'test', itemSecret: 'short' }))
      .to.throw(OptionError, 'itemSecret')
      .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
  });
});
