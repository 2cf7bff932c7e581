import { expect } from 'chai';
import express from 'express';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type IntelligentSession, intelligentSession, type RedisSessionStore } from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { Site, Visitor } from '../support/site.js';
import { useRedis } from '../support/use-redis.js';

const [older, newer] = ['an older secret of the site', 'a newer secret of the site'] as const;

for (const worker of ['embedded', 'external'] as const)
  describe(`several item secrets, with the worker ${worker}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    const opened = useRedis((started) => {
      ({ redis, client } = started);
    });

    const open = async (itemSecret: string | readonly string[]) => {
      const sessions: IntelligentSession = intelligentSession({
        ...{ redis: redis.url, secret: 'test', worker, itemSecret, timeout: 5000 },
        user: (session) => (session as { user?: string }).user,
      });
      opened.push(() => sessions.close());
      const app = express().use(sessions);
      app.post('/login/:user', async (req, res) => {
        Object.assign(req.session, req.params);
        await req.session.save();
        res.json({});
      });
      app.get('/page', async (req, res) => void res.json({ views: (await req.intelligence.pageview())?.totalPages }));
      app.post('/forget', async (req, res) => void res.json({ erased: await req.intelligence.forget() }));
      const site = await Site.open(app);
      opened.push(() => site.close());
      return { sessions, site, store: sessions.store as RedisSessionStore };
    };
    const startWorker = async (itemSecret: string) => {
      if (worker === 'embedded') return;
      const started = await createWorker({ redis: redis.url, itemSecret });
      opened.push(() => started.close());
    };
    const post = async (visitor: Visitor, path: string) => (await visitor.fetch(path, { method: 'POST' })).json();
    /** How many keys there are with what is kept of a user under a secret. */
    const kept = (user: string, secret: string) =>
      client.exists(...Object.values(intelligenceKeys('', userSubject(user, secret))));

    /** A user with data under the older secret, then under the newer one. */
    const moved = async (user: string) => {
      await startWorker(older);
      const before = await open(older);
      const visitor = new Visitor(before.site.url);
      await post(visitor, `/login/${user}`);
      await visitor.json('/page');
      await visitor.json('/page');
      expect(await kept(user, older)).to.be.above(0);
      const after = await open([newer, older]);
      const phone = new Visitor(after.site.url);
      await post(phone, `/login/${user}`);
      await phone.json('/page');
      expect(await kept(user, newer)).to.be.above(0);
      return { before, after, phone };
    };

    it('the sessions of a user are found under each of them, and ended', async () => {
      const { after } = await moved('ann');
      expect(await after.store.sessionsOf('ann')).to.have.lengthOf(2);
      expect(await after.store.destroyAllOf('ann')).to.equal(2);
      expect(await client.keys('users:*')).to.deep.equal([]);
    });

    it('forget() on a request leaves nothing of the user under any, and all of another user', async () => {
      const { before, phone } = await moved('ann');
      const kim = new Visitor(before.site.url);
      await post(kim, '/login/kim');
      await kim.json('/page');
      const ofKim = await kept('kim', older);
      expect(ofKim).to.be.above(0);
      expect(await post(phone, '/forget')).to.deep.equal({ erased: true });
      expect([await kept('ann', older), await kept('ann', newer)]).to.deep.equal([0, 0]);
      expect(await kept('kim', older)).to.equal(ofKim);
    });

    it('forget() outside a request leaves nothing of the user under any', async () => {
      const { after } = await moved('ann');
      expect(await after.sessions.of({ user: 'ann' }).forget()).to.equal(true);
      expect([await kept('ann', older), await kept('ann', newer)]).to.deep.equal([0, 0]);
    });
  });
