import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import express from 'express';
import express4 from 'express4';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { type IntelligentSession, intelligentSession } from '../../lib/index.js';
import { encodeId, intelligenceKeys } from '../../lib/keys.js';
import { flavours, startServer } from '../support/servers.js';
import { Site, Visitor } from '../support/site.js';

const NAMESPACE = 'test:';
const items = Array.from({ length: 10 }, (_, i) => `note-${i}`);

for (const flavour of flavours)
  describe(`the intelligent session on ${flavour.name}, over a worker process`, () => {
    let redis: PrivateRedis;
    let worker: WorkerProcess;
    let client: Redis;
    let sessions: IntelligentSession;
    let site: Site;

    before(async function () {
      redis = await startServer(this, flavour);
      client = new Redis(redis.url);
      worker = new WorkerProcess(['--redis', redis.url, '--namespace', NAMESPACE], 'ignore');
      await worker.start();
      sessions = intelligentSession({
        redis: redis.url,
        namespace: NAMESPACE,
        secret: 'test',
        timeout: 2000,
        combos: [{ name: 'wall', pages: ['/added/tv', '/added/tv-mount'], suggest: 'cable' }],
      });
      const app = flavour.server === 'redis-6.2' ? express4() : express();
      app.use(sessions);
      app.get('/quiet/:x', (_req, res) => void res.send('ok'));
      app.get('/fresh', async (req, res) => void res.json(await req.intelligence.freshPages(['/a', '/b', '/fresh'])));
      app.get('/notes', async (req, res) => void res.json(await req.intelligence.notifications(items)));
      app.get('/mark/:id', async (req, res) => {
        res.json(await req.intelligence.markNotificationSeen(req.params.id as string));
      });
      app.get('/rules', async (req, res) => {
        const [suggestions, combo] = [await req.intelligence.suggestions(), await req.intelligence.combo('wall')];
        res.json({ suggestions, combo });
      });
      app.get('/activity', async (req, res) => void res.json(await req.intelligence.activity({ minutes: 7 * 1440 })));
      app.get('/logout', (req, res) => req.session.destroy(() => void res.json({ id: req.sessionID })));
      app.get('/*splat'.replace('*splat', flavour.server === 'redis-6.2' ? '*' : '*splat'), async (req, res) => {
        const report = await req.intelligence.pageview();
        res.json({
          report,
          again: await req.intelligence.pageview(),
          id: req.sessionID,
          degraded: req.intelligence.degraded,
        });
      });
      site = await Site.open(app);
    });

    after(async () => {
      await site?.close();
      await sessions?.close();
      await worker?.stop();
      client?.disconnect();
      await redis?.stop();
    });

    it('says at start which Bloom filter it uses', () => {
      expect(worker.banner).to.contain(`Bloom filters: ${flavour.bloom}`);
    });

    it('tells a new visitor from one who comes back, and counts each view once', async () => {
      const visitor = new Visitor(site.url);
      const first = await visitor.json('/a');
      expect(first.degraded).to.equal(false);
      expect(first.again).to.deep.equal(first.report);
      expect(first.report).to.deep.equal({
        totalPages: 1,
        uniquePages: 1,
        previouslyVisited: false,
        activityThisMinute: false,
        activity: [0, 0, 0, 0, 0],
        newToSite: true,
        inactive: true,
      });
      const second = await visitor.json('/a');
      expect(second.report).to.include({ totalPages: 2, uniquePages: 1, previouslyVisited: true, newToSite: false });
      const third = await visitor.json('/b');
      expect(third.report).to.include({ totalPages: 3, uniquePages: 2, previouslyVisited: false });
    });

    it('counts a page that asks nothing, and no asset', async () => {
      const visitor = new Visitor(site.url);
      await visitor.fetch('/quiet/page');
      await visitor.fetch('/quiet/style.css');
      expect((await visitor.json('/a')).report.totalPages).to.equal(2);
    });

    it('keeps fresh pages in their order, this page counted', async () => {
      const visitor = new Visitor(site.url);
      await visitor.json('/b');
      expect(await visitor.json('/fresh')).to.deep.equal(['/a']);
    });

    it('knows which notifications were seen', async () => {
      const visitor = new Visitor(site.url);
      await visitor.json('/a');
      expect(await visitor.json('/mark/note-3')).to.equal(true);
      const notes = (await visitor.json('/notes')) as { id: string; seen: boolean }[];
      expect(notes.map(({ id }) => id)).to.deep.equal(items);
      expect(notes.filter(({ seen }) => seen).map(({ id }) => id)).to.deep.equal(['note-3']);
    });

    it('suggests what a matched combo suggests', async () => {
      const visitor = new Visitor(site.url);
      await visitor.json('/added/tv');
      expect(await visitor.json('/rules')).to.deep.equal({ suggestions: [], combo: false });
      await visitor.json('/added/tv-mount');
      expect(await visitor.json('/rules')).to.deep.equal({ suggestions: ['cable'], combo: true });
    });

    it('counts a request that is sent twice once, and answers in the paper’s form', async () => {
      const sid = 'paper';
      const ask = async (rid: string) => {
        await client.publish(`${NAMESPACE}ss:pageview:${sid}:${rid}`, '/a');
        const reply = await client.blpop(`${NAMESPACE}async:pageview:${sid}:${rid}`, 1);
        return reply && JSON.parse(reply[1]);
      };
      expect(await ask('1')).to.include({ totalPages: 1 });
      await client.publish(`${NAMESPACE}ss:pageview:${sid}:1`, '/a');
      expect(await ask('2')).to.include({ totalPages: 2, previouslyVisited: true });
      expect(await client.exists(`${NAMESPACE}async:pageview:${sid}:1`)).to.equal(0);
    });

    it('removes a session’s intelligence with the session', async () => {
      const visitor = new Visitor(site.url);
      const { id } = await visitor.json('/a');
      expect(await client.exists(...Object.values(intelligenceKeys(NAMESPACE, id)))).to.be.greaterThan(2);
      await visitor.json('/logout');
      // one more answer on the worker's side: whatever came before it is done
      await visitor.json('/a');
      expect(await client.exists(...Object.values(intelligenceKeys(NAMESPACE, id)))).to.equal(0);
      expect(await client.exists(`sess:${id}`)).to.equal(0);
    });

    it('keeps a visitor without a cookie for ten minutes, one who came back for the session’s time', async () => {
      const visitor = new Visitor(site.url);
      const { id } = await visitor.json('/a');
      const { activity } = intelligenceKeys(NAMESPACE, id);
      expect(await client.ttl(activity)).to.be.within(590, 600);
      expect(await client.ttl(`sess:${id}`)).to.be.within(590, 600);
      await visitor.json('/a');
      expect(await client.ttl(activity)).to.be.within(86_000, 86_400);
      expect(await client.ttl(`sess:${id}`)).to.be.within(86_000, 86_400);
    });

    it('takes session ids with anything in them', async () => {
      for (const id of ['a:b', '*', '%', '}x', '\n', '\ud800', 'ä 😀']) {
        const answer = await sessions.serving.ask('pageview', id, '/a', 60, 2000);
        expect(answer, JSON.stringify(id)).to.have.nested.property('data.totalPages', 1);
        expect(await client.exists(`${NAMESPACE}ss:{${encodeId(id)}}:activity`)).to.equal(1);
      }
    });

    it('survives malformed payloads, a path of 100 kB and unknown commands', async () => {
      const raw = (command: string, payload: string) => sessions.serving.ask(command, 'bad', payload, 60, 2000);
      for (const command of ['featuredpages', 'notifications'])
        for (const payload of ['{', '[1]', '"x"', ''])
          expect(await raw(command, payload)).to.deep.equal({ answered: false });
      expect(await raw('combo', 'no-such-combo')).to.deep.equal({ answered: false });
      expect(await raw('activity', '-1')).to.deep.equal({ answered: false });
      expect(await raw('no-such-command', 'x')).to.deep.equal({ answered: false });
      expect(await raw('featuredpages', '[]')).to.deep.equal({ answered: true, data: [] });
      expect(await raw('pageview', `/${'x'.repeat(100_000)}`)).to.have.nested.property('data.totalPages', 1);
    });

    it('changes nothing where a key of another type stands in our place', async () => {
      const names = ['pages', 'visited', 'activity'] as const;
      for (const name of names) {
        const sid = `foreign-${name}`;
        const keys = intelligenceKeys(NAMESPACE, sid);
        await client.rpush(keys[name], 'foreign');
        expect(await sessions.serving.ask('pageview', sid, '/a', 60, 2000)).to.deep.equal({ answered: false });
        expect(await client.exists(...Object.values(keys)), name).to.equal(1);
        expect(await client.lrange(keys[name], 0, -1)).to.deep.equal(['foreign']);
      }
      const { visited, notified } = intelligenceKeys(NAMESPACE, 'foreign-string');
      await client.mset(visited, 'text', notified, 'text');
      for (const [command, payload] of [
        ['featuredpages', '["/a"]'],
        ['notifications', '["n"]'],
        ['mark-notification-seen', 'n'],
      ] as const)
        expect(await sessions.serving.ask(command, 'foreign-string', payload, 60, 2000), command).to.deep.equal({
          answered: false,
        });
      expect(await client.mget(visited, notified)).to.deep.equal(['text', 'text']);
    });

    it('spends at most 3 kB on 100 views of 20 pages and 10 notifications on 7 days, and every key expires', async () => {
      const sid = randomBytes(24).toString('base64url');
      const keys = intelligenceKeys(NAMESPACE, sid);
      const ask = (command: string, payload: string) => sessions.serving.ask(command, sid, payload, 3600, 2000);
      await ask('pageview', '/page-0');
      for (let day = 1; day < 7; day++) {
        // Yesterday's view was a day ago: the first and last day in the header, moved back by one.
        const days = await client.getrangeBuffer(keys.activity, 0, 7);
        days.writeUInt32LE(days.readUInt32LE(0) - 1, 0);
        days.writeUInt32LE(days.readUInt32LE(4) - 1, 4);
        await client.setrange(keys.activity, 0, days);
        await ask('pageview', `/page-${day}`);
      }
      for (let view = 7; view < 100; view++) await ask('pageview', `/page-${view % 20}`);
      for (const item of items) await ask('mark-notification-seen', item);
      expect(await ask('pageview', '/page-0')).to.have.nested.property('data.totalPages', 101);
      const all = Object.values(keys);
      const bytes = await Promise.all(all.map((key) => client.memory('USAGE', key, 'SAMPLES', 0)));
      const sum = bytes.reduce<number>((total, n) => total + Number(n), 0);
      if (process.env.SHOW_FIGURES)
        process.stdout.write(
          `      ${sum} bytes: ${all.map((k, i) => `${k.split(':').at(-1)} ${bytes[i]}`).join(', ')}\n`,
        );
      expect(sum).to.be.at.most(3000);
      for (const key of all) expect(await client.ttl(key), key).to.be.within(3000, 3600);
      const activity = (await sessions.serving.ask('activity', sid, '8640', 60, 2000)) as unknown as { data: number[] };
      expect(
        activity.data.reduce((total, bit) => total + bit, 0),
        'six earlier days',
      ).to.be.within(5, 6);
    });
  });
