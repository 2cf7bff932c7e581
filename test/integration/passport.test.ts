import { expect } from 'chai';
import express from 'express';
import type { Redis } from 'ioredis';
import { Passport, Strategy } from 'passport';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { intelligentSession } from '../../lib/index.js';
import { Site, Visitor } from '../support/site.js';
import { useRedis } from '../support/use-redis.js';
import { startWorkerOf, type Way, ways } from '../support/ways.js';

interface Account {
  readonly id: string;
}

/** Whoever names a user is that user. */
class ByName extends Strategy {
  override readonly name = 'by-name';
  override authenticate(req: express.Request): void {
    const { user } = req.params;
    if (user === 'stranger') return this.fail(401);
    this.success({ id: String(user) });
  }
}

for (const [way, options] of Object.entries<Way>(ways))
  describe(`Passport (${way})`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    const opened = useRedis((started) => ({ redis, client } = started));

    const open = async () => {
      const worker = await startWorkerOf({ ...options, redis: redis.url });
      opened.push(() => worker?.close());
      const sessions = intelligentSession({
        ...{ redis: redis.url, secret: 'test', timeout: 5000, ...options },
        user: (session) => (session as { passport?: { user?: string } }).passport?.user,
      });
      const passport = new Passport();
      passport.use(new ByName());
      passport.serializeUser((account, done) => done(null, (account as Account).id));
      passport.deserializeUser((id: string, done) => done(null, { id }));
      const app = express();
      app.use(sessions);
      app.use(passport.session());
      app.post('/login/:user', passport.authenticate('by-name'), (_req, res) => res.redirect('/home'));
      // on the session that keeps what it has
      app.post('/stay/:user', passport.authenticate('by-name', { keepSessionInfo: true }), (_req, res) =>
        res.redirect('/home'),
      );
      app.post('/logout', (req, res, next) => {
        req.logout((error) => (error ? next(error) : res.redirect('/home')));
      });
      app.get('/cart/:item', (req, res) => {
        Object.assign(req.session, { cart: req.params.item });
        res.json(null);
      });
      app.post('/read/:id', async (req, res) => {
        res.json((await req.intelligence.markNotificationSeen(String(req.params.id))) ?? null);
      });
      app.get('/knows', async (req, res) => {
        const { intelligence } = req;
        const fresh = await intelligence.freshPages(['/a', '/b', '/c', '/d']);
        const notes = await intelligence.notifications(['n1', 'n2']);
        const { totalPages } = (await intelligence.pageview()) ?? {};
        const { cart } = req.session as { cart?: string };
        res.json({
          user: (req.user as Account | undefined)?.id ?? null,
          fresh: fresh.join(' '),
          read: notes.filter(({ seen }) => seen).map(({ id }) => id).join(' '), // prettier-ignore
          totalPages,
          ...(cart !== undefined && { cart }),
        });
      });
      app.get(/.*/, async (req, res) => void res.json((await req.intelligence.pageview()) ?? null));
      const site = await Site.open(app);
      opened.push(
        () => sessions.close(),
        () => site.close(),
      );
      return site;
    };
    const post = (visitor: Visitor, path: string) => visitor.fetch(path, { method: 'POST' });
    const sidOf = ({ cookie }: Visitor) => decodeURIComponent(cookie).split('=s:')[1]?.split('.')[0] as string;

    it('a login keeps what the visitor knew, and makes a new session id', async () => {
      const visitor = new Visitor((await open()).url);
      await visitor.json('/a');
      await visitor.json('/b');
      await post(visitor, '/read/n1');
      const before = sidOf(visitor);
      const login = await post(visitor, '/login/ann');
      expect([login.status, login.headers.get('location')]).to.deep.equal([302, '/home']);
      expect(sidOf(visitor)).to.be.a('string').and.not.equal(before);
      expect(await client.exists(`sess:${before}`)).to.equal(0);
      expect(await visitor.json('/knows')).to.deep.equal({
        ...{ user: 'ann', fresh: '/c /d', read: 'n1', totalPages: 3 },
      });
    });

    it('who is refused stays who they were', async () => {
      const visitor = new Visitor((await open()).url);
      await visitor.json('/a');
      expect(await post(visitor, '/login/stranger')).to.have.property('status', 401);
      expect(await visitor.json('/knows')).to.include({ user: null, fresh: '/b /c /d', totalPages: 2 });
    });

    it('a logout leaves nothing of the user to who comes next, and the user finds it again', async () => {
      const visitor = new Visitor((await open()).url);
      await visitor.json('/a');
      await post(visitor, '/login/ann');
      await visitor.json('/b');
      await post(visitor, '/read/n2');
      const during = sidOf(visitor);
      expect(await post(visitor, '/logout')).to.have.property('status', 302);
      expect(sidOf(visitor)).to.not.equal(during);
      expect(await visitor.json('/knows')).to.deep.equal({
        ...{ user: null, fresh: '/a /b /c /d', read: '', totalPages: 1 },
      });
      await post(visitor, '/login/ann');
      expect(await visitor.json('/knows')).to.include({ user: 'ann', fresh: '/c /d', read: 'n2', totalPages: 4 });
    });

    it('a second device of the user knows what the first does, and adds what it has seen', async () => {
      const site = await open();
      const laptop = new Visitor(site.url);
      const phone = new Visitor(site.url);
      await laptop.json('/a');
      await post(laptop, '/login/ann');
      await phone.json('/b');
      await post(phone, '/login/ann');
      expect(await phone.json('/knows')).to.include({ user: 'ann', fresh: '/c /d', totalPages: 3 });
      expect(await laptop.json('/knows')).to.include({ user: 'ann', fresh: '/c /d', totalPages: 4 });
      await post(laptop, '/logout');
      expect(await phone.json('/knows'), 'a logout is one device’s').to.include({ user: 'ann', fresh: '/c /d' });
    });

    for (const [how, leave] of [
      ['after a logout', '/logout'],
      ['without a logout', undefined],
    ] as const)
      it(`a second user on the same browser gets nothing of the first, ${how}`, async () => {
        const visitor = new Visitor((await open()).url);
        await visitor.json('/a');
        await post(visitor, '/login/ann');
        await visitor.json('/b');
        await post(visitor, '/read/n1');
        if (leave) await post(visitor, leave);
        await post(visitor, '/login/bob');
        expect(await visitor.json('/knows')).to.deep.equal({
          ...{ user: 'bob', fresh: '/a /b /c /d', read: '', totalPages: 1 },
        });
        await visitor.json('/c');
        const ann = new Visitor(visitor.url);
        await post(ann, '/login/ann');
        expect(await ann.json('/knows')).to.include({ user: 'ann', fresh: '/c /d', read: 'n1' });
      });

    it("Passport's own promises hold: a login drops what the session held, or keeps it with keepSessionInfo", async () => {
      const site = await open();
      const dropped = new Visitor(site.url);
      await dropped.json('/cart/lamp');
      await post(dropped, '/login/ann');
      expect(await dropped.json('/knows'))
        .to.have.property('user', 'ann')
        .and.not.have.property('cart');
      const kept = new Visitor(site.url);
      await kept.json('/a');
      await kept.json('/cart/lamp');
      await post(kept, '/stay/bob');
      expect(await kept.json('/knows')).to.include({ user: 'bob', cart: 'lamp', fresh: '/b /c /d' });
    });
  });
