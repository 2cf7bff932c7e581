import { expect } from 'chai';
import type { Express } from 'express';
import type { Cluster, Redis } from 'ioredis';
import type { IntelligentSession } from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { encodeId, goneKey } from '../../lib/redis/keys.js';
import { type Site, Visitor } from '../support/site.js';

/** Where it is tried: a site of `shopOf()`, a worker that hears it, and a client to look at the keys. */
export interface Ground {
  readonly client: Redis | Cluster;
  readonly sessions: IntelligentSession;
  readonly site: Site;
}

export const items = Array.from({ length: 10 }, (_, i) => `note-${i}`);
export const combos = [{ name: 'wall', pages: ['/added/tv', '/added/tv-mount'], suggest: 'cable' }];

/** A page for each thing that can be asked. */
export function shopOf(sessions: IntelligentSession, app: Express): Express {
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
  app.get(/.*/, async (req, res) => {
    const report = await req.intelligence.pageview();
    res.json({
      report,
      again: await req.intelligence.pageview(),
      id: req.sessionID,
      degraded: req.intelligence.degraded,
    });
  });
  return app;
}

/** What holds wherever Redis is and however messages travel. */
export function itKnowsItsVisitors(namespace: string, ground: () => Ground): void {
  it('tells a new visitor from one who comes back, and counts each view once', async () => {
    const { site } = ground();
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
    const { site } = ground();
    const visitor = new Visitor(site.url);
    await visitor.fetch('/quiet/page');
    await visitor.fetch('/quiet/style.css');
    expect((await visitor.json('/a')).report.totalPages).to.equal(2);
  });

  it('keeps fresh pages in their order, this page counted', async () => {
    const { site } = ground();
    const visitor = new Visitor(site.url);
    await visitor.json('/b');
    expect(await visitor.json('/fresh')).to.deep.equal(['/a']);
  });

  it('knows which notifications were seen', async () => {
    const { site } = ground();
    const visitor = new Visitor(site.url);
    await visitor.json('/a');
    expect(await visitor.json('/mark/note-3'), 'it was unread').to.equal(true);
    expect(await visitor.json('/mark/note-3'), 'it had been read').to.equal(false);
    const notes = (await visitor.json('/notes')) as { id: string; seen: boolean }[];
    expect(notes.map(({ id }) => id)).to.deep.equal(items);
    expect(notes.filter(({ seen }) => seen).map(({ id }) => id)).to.deep.equal(['note-3']);
  });

  it('suggests what a matched combo suggests', async () => {
    const { site } = ground();
    const visitor = new Visitor(site.url);
    await visitor.json('/added/tv');
    expect(await visitor.json('/rules')).to.deep.equal({ suggestions: [], combo: false });
    await visitor.json('/added/tv-mount');
    expect(await visitor.json('/rules')).to.deep.equal({ suggestions: ['cable'], combo: true });
  });

  it('removes a session’s intelligence with the session', async () => {
    const { client, site } = ground();
    const visitor = new Visitor(site.url);
    const { id } = await visitor.json('/a');
    expect(await client.exists(...Object.values(intelligenceKeys(namespace, id)))).to.be.greaterThan(2);
    await visitor.json('/logout');
    // one more answer on the worker's side: whatever came before it is done
    await visitor.json('/a');
    expect(await client.exists(...Object.values(intelligenceKeys(namespace, id)))).to.equal(0);
    expect(await client.exists(`sess:${id}`)).to.equal(0);
  });

  it('keeps a visitor without a cookie for ten minutes, one who came back for the session’s time', async () => {
    const { client, site } = ground();
    const visitor = new Visitor(site.url);
    const { id } = await visitor.json('/a');
    const { activity } = intelligenceKeys(namespace, id);
    expect(await client.ttl(activity)).to.be.within(600, 638);
    expect(await client.ttl(`sess:${id}`)).to.be.within(590, 600);
    await visitor.json('/a');
    expect(await client.ttl(activity)).to.be.within(86_400, 91_800);
    expect(await client.ttl(`sess:${id}`)).to.be.within(86_000, 86_400);
  });

  it('counts nothing for a session that was destroyed, however late it comes', async () => {
    const { client, sessions, site } = ground();
    const visitor = new Visitor(site.url);
    const { id } = await visitor.json('/a');
    await visitor.json('/logout');
    const late = (command: string) => sessions.serving.ask(command, id, 'late', { ttlSeconds: 60, timeoutMs: 2000 });
    for (const command of ['pageview', 'mark-notification-seen'])
      expect(await late(command), command).to.deep.equal({ answered: true, data: null });
    expect(await client.exists(...Object.values(intelligenceKeys(namespace, id)))).to.equal(0);
    // for as long as something may be on its way
    expect(await client.ttl(goneKey(namespace, id))).to.be.within(50, 86_400);
  });

  it('takes session ids with anything in them', async () => {
    const { client, sessions } = ground();
    for (const id of ['a:b', '*', '%', '}x', '\n', '\ud800', 'ä 😀']) {
      const answer = await sessions.serving.ask('pageview', id, '/a', { ttlSeconds: 60, timeoutMs: 2000 });
      expect(answer, JSON.stringify(id)).to.have.nested.property('data.totalPages', 1);
      expect(await client.exists(`${namespace}ss:{${encodeId(id)}}:activity`)).to.equal(1);
    }
  });

  it('survives malformed payloads, a path of 100 kB and unknown commands', async () => {
    const { sessions } = ground();
    const raw = (command: string, payload: string) =>
      sessions.serving.ask(command, 'bad', payload, { ttlSeconds: 60, timeoutMs: 2000 });
    for (const command of ['featuredpages', 'notifications'])
      for (const payload of ['{', '[1]', '"x"', ''])
        expect(await raw(command, payload)).to.include({ answered: false, reason: 'failed' });
    expect(await raw('combo', 'no-such-combo')).to.include({ answered: false, reason: 'failed' });
    expect(await raw('activity', '-1')).to.include({ answered: false, reason: 'failed' });
    expect(await raw('no-such-command', 'x')).to.include({ answered: false });
    expect(await raw('featuredpages', '[]')).to.deep.equal({ answered: true, data: [] });
    expect(await raw('pageview', `/${'x'.repeat(100_000)}`)).to.have.nested.property('data.totalPages', 1);
  });

  it('changes nothing where a key of another type stands in our place', async () => {
    const { client, sessions } = ground();
    const names = ['pages', 'visited', 'activity'] as const;
    for (const name of names) {
      const sid = `foreign-${name}`;
      const keys = intelligenceKeys(namespace, sid);
      await client.rpush(keys[name], 'foreign');
      expect(await sessions.serving.ask('pageview', sid, '/a', { ttlSeconds: 60, timeoutMs: 2000 })).to.include({
        answered: false,
      });
      expect(await client.exists(...Object.values(keys)), name).to.equal(1);
      expect(await client.lrange(keys[name], 0, -1)).to.deep.equal(['foreign']);
    }
    const { visited, notified } = intelligenceKeys(namespace, 'foreign-string');
    await client.mset(visited, 'text', notified, 'text');
    for (const [command, payload] of [
      ['featuredpages', '["/a"]'],
      ['notifications', '["n"]'],
      ['mark-notification-seen', 'n'],
    ] as const)
      expect(
        await sessions.serving.ask(command, 'foreign-string', payload, { ttlSeconds: 60, timeoutMs: 2000 }),
        command,
      ).to.include({ answered: false, reason: 'failed' });
    expect(await client.mget(visited, notified)).to.deep.equal(['text', 'text']);
  });
}
