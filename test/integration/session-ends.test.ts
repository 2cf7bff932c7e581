import { once } from 'node:events';
import { expect } from 'chai';
import express from 'express';
import session from 'express-session';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  RedisSessionStore,
} from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { goneKey } from '../../lib/redis/keys.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('what is known of a session goes when the session ends', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => {
    ({ redis, client } = started);
  });
  before(() => client.config('SET', 'notify-keyspace-events', 'Ex'));

  const openSessions = (options: IntelligentSessionOptions = {}): IntelligentSession => {
    const sessions = intelligentSession({
      ...{ redis: redis.url, secret: 'test', worker: 'embedded', timeout: 5000 },
      ...options,
    });
    opened.push(() => sessions.close());
    return sessions;
  };
  const openSite = async (sessions: IntelligentSession): Promise<Site> => {
    const app = express().use(sessions);
    app.get('/page', async (req, res) => {
      res.json({ id: req.sessionID, views: (await req.intelligence.pageview())?.totalPages });
    });
    app.get('/logout', (req, res) => req.session.destroy(() => void res.json({ id: req.sessionID })));
    app.get('/end', (req, res) => {
      req.session.cookie.maxAge = 0;
      req.session.save(() => void res.json({ id: req.sessionID }));
    });
    app.get('/renew', (req, res) => {
      req.session.regenerate(() => void res.json({ id: req.sessionID }));
    });
    app.get('/login', (req, res) => {
      (req.session as { user?: string }).user = 'robin';
      req.session.save(() => void res.json({ id: req.sessionID }));
    });
    const site = await Site.open(app);
    opened.push(() => site.close());
    return site;
  };
  /** A visitor of whose session something is known. */
  const visit = async (site: Site): Promise<{ visitor: Visitor; id: string }> => {
    const visitor = new Visitor(site.url);
    await visitor.json('/page');
    const { id } = await visitor.json('/page');
    expect(await known(id)).to.be.above(0);
    return { visitor, id };
  };
  const known = (id: string) => client.exists(...Object.values(intelligenceKeys('', id)));
  const isForgotten = (id: string) => async () =>
    (await known(id)) === 0 && (await client.exists(goneKey('', id))) === 1;

  it('by destroy()', async () => {
    const { visitor, id } = await visit(await openSite(openSessions()));
    await visitor.json('/logout');
    await until('nothing is known of the session', isForgotten(id));
  });

  it('by a page that gives its cookie no time left', async () => {
    const { visitor, id } = await visit(await openSite(openSessions()));
    await visitor.json('/end');
    await until('nothing is known of the session', isForgotten(id));
  });

  it('but not what is known of a user, whose sessions have a limit', async () => {
    const user = (data: session.SessionData) => (data as { user?: string }).user;
    const site = await openSite(openSessions({ user, store: { maxSessionsPerUser: 1 } }));
    const { visitor, id } = await visit(site);
    await visitor.json('/login');
    const other = await visit(site);
    await other.visitor.json('/login');
    await until('the older session has ended', async () => (await client.exists(`sess:${id}`)) === 0);
    expect(await known(userSubject('robin', undefined))).to.be.above(0);
    expect(await client.exists(`sess:${other.id}`)).to.equal(1);
    await until('the visitor is the user', async () => (await known(id)) + (await known(other.id)) === 0);
  });

  it('by its expiry, where the store hears of it (expiredEvents)', async () => {
    const { id } = await visit(await openSite(openSessions({ store: { expiredEvents: true } })));
    expect(await client.pexpire(`sess:${id}`, 1)).to.equal(1);
    await until('nothing is known of the session', isForgotten(id));
  });

  it('but not, at its expiry, what began under an earlier id: that has an expiry of its own', async () => {
    const sessions = openSessions({ store: { expiredEvents: true }, user: () => undefined });
    const site = await openSite(sessions);
    const { visitor, id } = await visit(site);
    const { id: next } = await visitor.json('/renew');
    const expired = once(sessions.store, 'expired');
    await client.pexpire(`sess:${next}`, 1);
    expect(await expired).to.deep.equal([next]);
    await until('the session is known to be gone', isForgotten(next));
    expect(await known(id)).to.be.above(0);
    expect(await client.pttl(intelligenceKeys('', id).activity)).to.be.above(0);
  });

  it('in a store that the application made itself, and in one that is none of ours', async () => {
    const own = new RedisSessionStore({ url: redis.url, expiredEvents: true });
    opened.push(() => own.close());
    const { id } = await visit(await openSite(openSessions({ store: own })));
    await client.pexpire(`sess:${id}`, 1);
    await until('nothing is known of the expired session', isForgotten(id));

    const { visitor, id: other } = await visit(await openSite(openSessions({ store: new session.MemoryStore() })));
    await visitor.json('/logout');
    await until('nothing is known of the destroyed session', isForgotten(other));
  });

  it('and a store of the application’s is as it was when the middleware is closed', async () => {
    const own = new RedisSessionStore({ url: redis.url });
    opened.push(() => own.close());
    const withOwn = openSessions({ store: own });
    expect(own).to.not.have.own.property('destroy');
    expect(own.listenerCount('ended')).to.equal(1);
    await withOwn.close();
    expect(own.listenerCount('ended')).to.equal(0);

    const foreign = new session.MemoryStore();
    const { destroy } = foreign;
    const [first, second] = [openSessions({ store: foreign }), openSessions({ store: foreign })];
    await first.close();
    const { visitor, id } = await visit(await openSite(second));
    await visitor.json('/logout');
    await until('nothing is known of the session', isForgotten(id));
    await second.close();
    expect(foreign.destroy).to.equal(destroy);
    expect(foreign).to.not.have.own.property('destroy');
  });
});
