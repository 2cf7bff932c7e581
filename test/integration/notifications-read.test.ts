import { expect } from 'chai';
import express from 'express';
import { Cluster, Redis } from 'ioredis';
import { commandStats } from '../../bench/support/figures.js';
import {
  createWorker,
  type IntelligentSession,
  type IntelligentSessionOptions,
  intelligentSession,
  OptionError,
} from '../../lib/index.js';
import { createNotifications, type Notifications, type NotificationsOptions } from '../../lib/notifications/index.js';
import { newAnonymousSubject, userSubject } from '../../lib/intelligence/command/subject.js';
import { itemKeyOf } from '../../lib/intelligence/item-key.js';
import { seenKey } from '../../lib/redis/keys.js';
import { startCluster } from '../support/cluster.js';
import { rejected } from '../support/rejected.js';
import { flavours, startServer } from '../support/servers.js';
import { Site, Visitor } from '../support/site.js';
import { until } from '../support/until.js';

const EVERYBODY = { group: 'everybody' };

interface Started {
  readonly redis: NonNullable<IntelligentSessionOptions['redis']>;
  /** All masters: keys are each one's own. */
  readonly masters: readonly Redis[];
  /** Takes commands on one key. */
  readonly client: Redis | Cluster;
  stop(): Promise<unknown>;
}
interface Servers {
  readonly name: string;
  start(test: Mocha.Context): Promise<Started>;
}

const single = flavours.map((flavour): Servers => ({
  name: flavour.name,
  async start(test) {
    const server = await startServer(test, flavour);
    const client = new Redis(server.url);
    const stop = async () => {
      client.disconnect();
      await server.stop();
    };
    return { redis: server.url, masters: [client], client, stop };
  },
}));
const inCluster: Servers = {
  name: 'a Cluster',
  async start() {
    const started = await startCluster();
    const [redis, client] = [0, 1].map(() => new Cluster([...started.nodes])) as [Cluster, Cluster];
    await Promise.all([redis, client].map((each) => each.ping()));
    const stop = async () => {
      redis.disconnect();
      client.disconnect();
      await started.stop();
    };
    return { redis, masters: client.nodes('master'), client, stop };
  },
};

// what the filters are makes no difference here: one server has the module
for (const servers of [...single.filter(({ name }) => /7\.0|fallback/.test(name)), inCluster])
  describe(`a visitor's notifications, ${servers.name}`, () => {
    let redis: Started['redis'];
    let masters: Started['masters'];
    let client: Started['client'];
    let stop: Started['stop'];
    let notifications: Notifications;
    const opened: (() => unknown)[] = [];

    before(async function () {
      this.timeout(60_000);
      ({ redis, masters, client, stop } = await servers.start(this));
    });
    beforeEach(async () => {
      await Promise.all(masters.map((master) => master.flushall()));
      notifications = publisher();
    });
    afterEach(async () => {
      for (const close of opened.splice(0).reverse()) await close();
    });
    after(() => stop?.());

    const publisher = (options: NotificationsOptions = {}): Notifications => {
      const made = createNotifications({ redis, ...options });
      opened.push(() => made.close());
      return made;
    };

    const site = async (options: Partial<IntelligentSessionOptions> = {}) => {
      const sessions = intelligentSession({
        redis,
        secret: 'a long random text of tests',
        worker: 'embedded',
        timeout: 2_000,
        user: (session) => (session as { user?: string }).user,
        notifications: { groups: () => ['everybody', 'news'] },
        ...options,
      });
      const app = express();
      app.use(sessions);
      app.get('/all', async (req, res) => {
        const { limit, before } = req.query;
        const page = { ...(limit && { limit: Number(limit) }), ...(before && { before: Number(before) }) };
        res.json(await req.intelligence.notifications(page));
      });
      app.get('/unread', async (req, res) => {
        const unread = await req.intelligence.unread();
        res.json({ unread: unread ?? null, degraded: req.intelligence.degraded });
      });
      app.post('/mark/:id', async (req, res) => {
        res.json({ was: (await req.intelligence.markNotificationSeen(req.params.id)) ?? null });
      });
      app.post(
        '/mark-all',
        async (req, res) => void res.json({ done: (await req.intelligence.markAllSeen()) ?? null }),
      );
      app.get('/old', async (req, res) => void res.json(await req.intelligence.notifications(['a', 'b'])));
      app.post('/login/:user', async (req, res) => {
        await req.session.regenerate();
        Object.assign(req.session, { user: req.params.user });
        res.json({});
      });
      app.post('/logout', async (req, res) => {
        await req.session.destroy();
        res.json({});
      });
      app.post('/forget', async (req, res) => void res.json({ erased: await req.intelligence.forget() }));
      app.get('/explain', async (req, res) => void res.json((await req.intelligence.explain()) ?? null));
      const names = options.notifications === undefined ? (['pageview', 'unread'] as const) : [];
      app.get('/loaded', sessions.load(...names), (_req, res) => void res.json(res.locals));
      const opening = await Site.open(app);
      opened.push(
        () => sessions.close(),
        () => opening.close(),
      );
      return { sessions, url: opening.url, visitor: () => new Visitor(opening.url) };
    };
    const post = async (visitor: Visitor, path: string) =>
      (await visitor.fetch(path, { method: 'POST' })).json() as any;
    const unread = async (visitor: Visitor): Promise<number> => (await visitor.json('/unread')).unread.count;

    it('are those of all groups and the user’s own, newest first, each with seen', async () => {
      await notifications.publish(EVERYBODY, { id: 'a', title: 'A' });
      await notifications.publish({ group: 'news' }, { id: 'b', title: 'B', body: 'more', link: '/b', data: { n: 1 } });
      await notifications.publish({ user: 'ann' }, { id: 'c', title: 'C' });
      await notifications.publish({ group: 'others' }, { id: 'd', title: 'D' });
      const { visitor } = await site();
      const ann = visitor();
      await post(ann, '/login/ann');
      const all = await ann.json('/all');
      expect(all.map(({ id, seen, group }: any) => [id, seen, group])).to.deep.equal([
        ['c', false, undefined],
        ['b', false, 'news'],
        ['a', false, 'everybody'],
      ]);
      expect(all[1])
        .to.include({ title: 'B', body: 'more', link: '/b' })
        .and.deep.include({ data: { n: 1 } });
      const other = visitor();
      expect((await other.json('/all')).map(({ id }: any) => id)).to.deep.equal(['b', 'a']);
    });

    it('come by pages, of which each begins where the one before ended', async () => {
      for (let i = 0; i < 25; i++)
        await notifications.publish(i % 2 ? EVERYBODY : { group: 'news' }, { id: `n${i}`, title: `${i}` });
      const ann = (await site()).visitor();
      const first = await ann.json('/all');
      expect(first.map(({ title }: any) => Number(title))).to.deep.equal(Array.from({ length: 20 }, (_, i) => 24 - i));
      const second = await ann.json(`/all?limit=3&before=${first.at(-1).position}`);
      expect(second.map(({ title }: any) => Number(title))).to.deep.equal([4, 3, 2]);
    });

    it('come by pages that leave out none of those planned for one time in several groups', async () => {
      const publishAt = new Date(Date.now() + 300);
      for (const group of ['everybody', 'news'])
        for (const id of ['a', 'b'])
          await notifications.publish({ group }, { id: `${id} of ${group}`, title: id, publishAt });
      const ann = (await site()).visitor();
      await until('all are there', async () => (await ann.json('/all')).length === 4);
      for (const limit of [1, 2, 3]) {
        const ids: string[] = [];
        for (let page = await ann.json(`/all?limit=${limit}`); page.length > 0;) {
          ids.push(...page.map(({ id }: any) => id));
          page = await ann.json(`/all?limit=${limit}&before=${page.at(-1).position}`);
        }
        expect(ids, `${limit} a page`).to.have.members(['a of everybody', 'b of everybody', 'a of news', 'b of news']);
      }
    });

    it('are unread until they are marked: true, it was unread; false, it had been read', async () => {
      for (const id of ['a', 'b', 'c']) await notifications.publish(EVERYBODY, { id, title: id });
      const { visitor } = await site();
      const [ann, bob] = [visitor(), visitor()];
      expect((await ann.json('/unread')).unread).to.deep.include({ count: 3 });
      expect(await post(ann, '/mark/b')).to.deep.equal({ was: true });
      expect(await post(ann, '/mark/b')).to.deep.equal({ was: false });
      const { count, items } = (await ann.json('/unread')).unread;
      expect([count, items.map(({ id }: any) => id)]).to.deep.equal([2, ['c', 'a']]);
      expect(await unread(bob), 'another visitor').to.equal(3);
      expect(await post(ann, '/mark-all')).to.deep.equal({ done: true });
      expect(await unread(ann)).to.equal(0);
      expect(await post(ann, '/mark/a')).to.deep.equal({ was: false });
      await notifications.publish(EVERYBODY, { id: 'd', title: 'd' });
      await until('the new one is heard of', async () => (await unread(ann)) === 1);
      await notifications.edit(EVERYBODY, 'a', { title: 'changed' });
      expect(await unread(ann), 'an edit leaves it read').to.equal(1);
      await notifications.edit(EVERYBODY, 'a', { title: 'again' }, { again: true });
      await until('it is unread again', async () => (await unread(ann)) === 2);
      await notifications.remove(EVERYBODY, 'd');
      await until('the removed one is gone', async () => (await unread(ann)) === 1);
    });

    it('stay as they are for lists of an application’s own, of which no group has the ids', async () => {
      await notifications.publish(EVERYBODY, { id: 'p', title: 'P' });
      const ann = (await site()).visitor();
      expect(await ann.json('/old')).to.deep.equal([
        { id: 'a', seen: false },
        { id: 'b', seen: false },
      ]);
      expect(await post(ann, '/mark/a')).to.deep.equal({ was: true });
      expect(await post(ann, '/mark/a')).to.deep.equal({ was: false });
      expect(await ann.json('/old')).to.deep.equal([
        { id: 'a', seen: true },
        { id: 'b', seen: false },
      ]);
    });

    it('are carried at a login, to a second device too, and nothing of them stays after the logout', async () => {
      for (const id of ['a', 'b', 'c', 'd']) await notifications.publish(EVERYBODY, { id, title: id });
      const { visitor } = await site();
      const [first, second, bob] = [visitor(), visitor(), visitor()];
      await post(first, '/mark/a');
      await post(first, '/login/ann');
      expect(await unread(first)).to.equal(3);
      await post(second, '/mark/b');
      await post(second, '/login/ann');
      expect(await unread(second)).to.equal(2);
      expect(await unread(first)).to.equal(2);
      await post(second, '/mark-all');
      expect(await unread(first)).to.equal(0);
      await post(first, '/logout');
      expect(await unread(first)).to.equal(4);
      await post(bob, '/login/bob');
      expect(await unread(bob)).to.equal(4);
    });

    it('are erased by forget() with the user’s own, and told by explain()', async () => {
      await notifications.publish(EVERYBODY, { id: 'a', title: 'A' });
      await notifications.publish({ user: 'ann' }, { id: 'own', title: 'Only for Ann' });
      const { visitor } = await site();
      const ann = visitor();
      await ann.json('/unread');
      await post(ann, '/login/ann');
      await post(ann, '/mark-all');
      const { notifications: told, text } = await ann.json('/explain');
      expect(told.own.map(({ title }: any) => title)).to.deep.equal(['Only for Ann']);
      expect(told.read.map(({ group, others }: any) => [group, others])).to.deep.equal([['everybody', 0]]);
      expect(text).to.contain('1 notification for you alone').and.contain('everybody');
      expect(await post(ann, '/forget')).to.deep.equal({ erased: true });
      const all = (await Promise.all(masters.map((master) => master.keys('*')))).flat();
      const keys = all.filter((key) => key.includes(userSubject('ann', undefined)));
      expect(keys.map((key) => key.replace(/.*:/, ''))).to.have.members(['gone', userSubject('ann', undefined)]);
      expect((await ann.json('/all')).map(({ id, seen }: any) => [id, seen])).to.deep.equal([['a', false]]);
      expect(await post(ann, '/mark/a'), 'what a user reads afterwards is kept').to.deep.equal({ was: true });
      expect(await unread(ann)).to.equal(0);
    });

    it('were read before a visitor came, where the option says so; their own are not', async () => {
      await notifications.publish(EVERYBODY, { id: 'old', title: 'old' });
      await notifications.publish({ user: 'ann' }, { id: 'own', title: 'own' });
      const { visitor } = await site({ notifications: { groups: () => ['everybody'], earlier: 'read' } });
      const ann = visitor();
      expect(await unread(ann)).to.equal(0);
      await notifications.publish(EVERYBODY, { id: 'new', title: 'new' });
      await until('the new one is there', async () => (await unread(ann)) === 1);
      await post(ann, '/login/ann');
      expect(await unread(ann), 'the first visit counts, and not the login').to.equal(2);
      const later = visitor();
      expect(await unread(later)).to.equal(0);
    });

    it('that were there before a visitor came had been read, says a mark; so they had after forget()', async () => {
      await notifications.publish(EVERYBODY, { id: 'old', title: 'old' });
      // without users, a visitor's data are the session's, and nothing is kept of it for a minute after forget()
      const { visitor } = await site({
        user: undefined,
        session: { saveUninitialized: true },
        notifications: { groups: () => ['everybody'], earlier: 'read' },
      });
      const ann = visitor();
      expect(await unread(ann)).to.equal(0);
      expect(await post(ann, '/mark/old')).to.deep.equal({ was: false });
      expect(await post(ann, '/forget')).to.deep.equal({ erased: true });
      expect(await unread(ann)).to.equal(0);
    });

    it('say nothing of what is unread where nobody is tracked, also where there are no groups', async () => {
      const { visitor } = await site({ consent: () => false, notifications: { groups: () => [] } });
      expect((await visitor().json('/unread')).unread).to.equal(null);
    });

    it('are there from their time on, and gone from the time at which they expire', async () => {
      const soon = new Date(Date.now() + 4_000);
      await notifications.publish(EVERYBODY, { id: 'later', title: 'later', publishAt: soon });
      await notifications.publish(EVERYBODY, { id: 'short', title: 'short', expires: new Date(Date.now() + 3_000) });
      const ann = (await site()).visitor();
      const ids = async () => (await ann.json('/all')).map(({ id }: any) => id).join();
      expect(await ids()).to.equal('short');
      await until('one has expired, and the other is there', async () => (await ids()) === 'later');
      expect(Date.now()).to.be.at.least(soon.getTime() - 5);
    });

    it('cost one script a question once the lists are kept, which a change drops at once', async () => {
      for (let i = 0; i < 10; i++) await notifications.publish(EVERYBODY, { title: `${i}` });
      const ann = (await site({ track: false, session: { saveUninitialized: true } })).visitor();
      await ann.json('/unread');
      await until('both lists are kept', async () => {
        const stats = () => Promise.all(masters.map(commandStats));
        const sum = (all: Awaited<ReturnType<typeof stats>>, name: string) =>
          all.reduce((total, one) => total + (one[name]?.calls ?? 0), 0);
        const before = await stats();
        await ann.json('/unread');
        const after = await stats();
        const calls = (name: string) => sum(after, name) - sum(before, name);
        return calls('evalsha') === 1 && calls('hgetall') === 2;
      });
      await notifications.publish(EVERYBODY, { title: 'one more' });
      await until('it is seen', async () => (await unread(ann)) === 11);
    });

    it('name no group in what is kept of a visitor, with an itemSecret', async () => {
      const itemSecret = 'a secret for items';
      const { visitor } = await site({ itemSecret, notifications: { groups: () => ['diabetics'] } });
      const named = publisher({ itemSecret });
      await named.publish({ group: 'diabetics' }, { id: 'a', title: 'A' });
      const ann = visitor();
      await post(ann, '/login/ann');
      expect(await post(ann, '/mark/a')).to.deep.equal({ was: true });
      expect(await unread(ann)).to.equal(0);
      const fields = await client.hgetall(seenKey('', userSubject('ann', itemKeyOf(itemSecret))));
      expect(Object.keys(fields)).to.have.length(1);
      expect(JSON.stringify(fields)).to.not.contain('diabetics');
    });

    it('are the same for jobs: sessions.of() takes the groups', async () => {
      await notifications.publish(EVERYBODY, { id: 'a', title: 'A' });
      await notifications.publish({ user: 'ann' }, { id: 'own', title: 'own' });
      const { sessions, visitor } = await site();
      const ann = sessions.of({ user: 'ann' }, { groups: ['everybody'] });
      expect(await ann.unread()).to.have.property('count', 2);
      expect(await ann.markNotificationSeen('own')).to.equal(true);
      const page = visitor();
      await post(page, '/login/ann');
      expect(await unread(page)).to.equal(1);
      expect(await sessions.of({ user: 'ann' }).notifications()).to.have.length(1);
    });

    it('are those of the groups at the time of the question, whatever becomes of the application’s list of names', async () => {
      for (const group of ['everybody', 'news']) await notifications.publish({ group }, { title: group });
      const { sessions } = await site();
      const groups = ['everybody'];
      const asked = sessions.of({ user: 'ann' }, { groups }).unread();
      groups.push('news');
      expect(await asked).to.have.property('count', 1);
    });

    it('are each reader’s own: what a page changes in them, no other page gets', async () => {
      await notifications.publish(EVERYBODY, { title: 'A', data: { link: '/a', more: ['x'] } });
      const { sessions } = await site();
      const ann = sessions.of({ user: 'ann' }, { groups: ['everybody'] });
      const kept = async () =>
        Number(/lists_total\{source="cache"\} (\d+)/.exec(await sessions.serving.metrics.metrics())?.[1]);
      await until('the list is kept', async () => {
        const [one] = await ann.notifications();
        expect(one?.data).to.deep.equal({ link: '/a', more: ['x'] });
        const data = one?.data as { link: string; more: string[] };
        data.link += '?token=ann';
        data.more.push('y');
        return (await kept()) > 1;
      });
    });

    it('are loaded into `res.locals` where there is no Express that makes them, too', async () => {
      const { sessions } = await site();
      const res = {} as { locals?: Record<string, unknown> };
      const intelligence = sessions.of({ user: 'ann' });
      await new Promise<void>((resolve, reject) =>
        sessions.load('unread')({ intelligence } as never, res as never, (error) =>
          error ? reject(error) : resolve(),
        ),
      );
      expect(res.locals).to.have.nested.property('unread.count', 0);
    });

    it('are loaded for a template with what else it needs', async () => {
      await notifications.publish(EVERYBODY, { id: 'a', title: 'A' });
      const { visitor, sessions } = await site();
      const loaded = await visitor().json('/loaded');
      expect(loaded).to.have.nested.property('unread.count', 1);
      expect(loaded).to.have.nested.property('pageview.totalPages', 1);
      for (const names of [['pageviews'], [undefined], ['__proto__']])
        expect(() => sessions.load(...(names as never[]))).to.throw(OptionError, 'load(): expected pageview');
    });

    it('go on without a worker, in a process that a worker serves', async () => {
      await notifications.publish(EVERYBODY, { id: 'a', title: 'A' });
      const worker = await createWorker({ redis });
      const { visitor } = await site({ worker: 'external' });
      const ann = visitor();
      expect(await unread(ann)).to.equal(1);
      await worker.close();
      expect(await post(ann, '/mark/a')).to.deep.equal({ was: true });
      expect(await unread(ann)).to.equal(0);
    });

    it('refuse what is wrong, with a coded error', async () => {
      const { sessions } = await site();
      const ann = sessions.of({ user: 'ann' });
      for (const call of [
        () => ann.notifications({ limit: 0 }),
        () => ann.notifications({ limit: 1.5 }),
        () => ann.notifications({ before: Number.NaN }),
        () => ann.notifications('a' as never),
        () => ann.markNotificationSeen(''),
      ]) {
        const error = await rejected(call());
        expect(error).to.be.instanceOf(OptionError).with.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
      }
      for (const groups of ['everybody', [''], [1], ['\ud83d'], Array.from({ length: 101 }, (_, i) => `g${i}`)])
        expect(() => sessions.of({ user: 'ann' }, { groups: groups as never })).to.throw(OptionError);
      const plain: IntelligentSession = intelligentSession({
        redis,
        secret: 'a long random text of tests',
        worker: 'embedded',
      });
      opened.push(() => plain.close());
      expect(await rejected(plain.of({ sid: newAnonymousSubject() }).unread())).to.have.property(
        'code',
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
      expect(() => plain.load('unread')).to.throw(OptionError, 'notifications: { groups }');
    });
  });
