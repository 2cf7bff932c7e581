import { expect } from 'chai';
import { Cluster, Redis } from 'ioredis';
import { createClient } from 'redis';
import sinon from 'sinon';
import { commandStats } from '../../bench/support/figures.js';
import { IntelligentSessionError, OptionError } from '../../lib/index.js';
import { ItemKey, itemKeyOf } from '../../lib/intelligence/item-key.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import {
  createNotifications,
  type NewNotification,
  type Notifications,
  type NotificationsOptions,
} from '../../lib/notifications/index.js';
import { inboxListKey, itemKeyKey, notificationsKey, shapeKey } from '../../lib/redis/keys.js';
import { type Change, changesChannel, parseChange } from '../../lib/transport/protocol.js';
import { startCluster } from '../support/cluster.js';
import { rejected } from '../support/rejected.js';
import { flavours, startServer } from '../support/servers.js';
import { until } from '../support/until.js';

const GROUP = { group: 'customers' };
const KEY = notificationsKey('', 'customers');
const SECRET = 'an item secret of the tests';
const DAY_MS = 86_400_000;
const later = (ms: number) => new Date(Date.now() + ms);
const titles = async (notifications: Notifications, to: typeof GROUP = GROUP) =>
  (await notifications.list(to)).map(({ title }) => title);

for (const flavour of flavours.filter(({ bloom }) => bloom === 'fallback'))
  describe(`createNotifications() on ${flavour.server}`, () => {
    let url: string;
    let client: Redis;
    let stop: () => Promise<void>;
    const opened: (() => unknown)[] = [];
    before(async function () {
      const redis = await startServer(this, flavour);
      ({ url } = redis);
      client = new Redis(url);
      stop = async () => {
        client.disconnect();
        await redis.stop();
      };
    });
    beforeEach(() => client.flushall());
    afterEach(async () => {
      for (const close of opened.splice(0).reverse()) await close();
    });
    after(() => stop?.());

    const open = (options: NotificationsOptions = {}): Notifications => {
      const notifications = createNotifications({ redis: url, ...options });
      opened.push(() => notifications.close());
      return notifications;
    };
    /** What is told on a list's channel from now on. */
    const hear = async (to: Parameters<typeof changesChannel>[1] = GROUP): Promise<Change[]> => {
      const subscriber = new Redis(url);
      opened.push(() => subscriber.disconnect());
      const told: Change[] = [];
      await subscriber.subscribe(changesChannel('', to));
      subscriber.on('message', (_channel, text) => told.push(parseChange(text) as Change));
      return told;
    };
    const positionOf = async (id: string, key = KEY): Promise<number> =>
      Number(/^\d+/.exec((await client.hget(key, id)) ?? '')?.[0]);

    describe('publish()', () => {
      it('adds to a group’s list, which is newest first', async () => {
        const notifications = open();
        const first = await notifications.publish(GROUP, { title: 'Spring sale' });
        expect(first).to.match(/^[\w-]{16}$/);
        const before = Date.now();
        const content = { title: 'We open at 8', body: '<b>', link: '/hours?day=1', data: { a: [], b: null, c: 0.1 } };
        await notifications.publish(GROUP, { id: 'hours', ...content });
        const [latest, earlier] = await notifications.list(GROUP);
        expect(earlier).to.include({ id: first, title: 'Spring sale', group: 'customers' });
        const { publishedAt, expires, ...rest } = latest!;
        expect(rest).to.deep.equal({ id: 'hours', group: 'customers', ...content });
        expect(publishedAt.getTime()).to.be.within(before - 1, Date.now() + 1);
        expect(expires.getTime() - publishedAt.getTime()).to.equal(90 * DAY_MS);
      });

      it('takes the same id again for the same notification', async () => {
        const notifications = open();
        expect(await notifications.publish(GROUP, { id: 'one', title: 'First' })).to.equal('one');
        const [first] = await notifications.list(GROUP);
        const told = await hear();
        expect(await notifications.publish(GROUP, { id: 'one', title: 'Second' })).to.equal('one');
        await notifications.publish(GROUP, { id: 'two', title: 'Other' });
        await until('another is told', () => told.length > 0);
        expect((await notifications.list(GROUP))[1]).to.deep.equal(first);
        expect(told).to.have.lengthOf(1);
      });

      it('is one write, whatever else the list has', async () => {
        const notifications = open();
        for (let i = 0; i < 50; i++) await notifications.publish(GROUP, { title: `Number ${i}` });
        await client.config('RESETSTAT');
        await notifications.publish(GROUP, { title: 'One more' });
        const stats = await commandStats(client);
        expect([stats.evalsha?.calls, stats.hset?.calls]).to.deep.equal([1, 1]);
        expect(stats).to.not.have.any.keys('pexpire', 'hdel', 'eval');
      });

      it('gives each a position of its own, later than those before, though many come at once or the clock is behind', async () => {
        const notifications = open({ maxPerGroup: 1000 });
        const ids = await Promise.all(
          Array.from({ length: 300 }, (_, i) => notifications.publish(GROUP, { title: `Number ${i}` })),
        );
        const positions = await Promise.all(ids.map((id) => positionOf(id)));
        expect(new Set(positions).size).to.equal(300);
        const ahead = (Date.now() + DAY_MS) * 1000;
        await client.hset(KEY, ':', `1 ${ahead}`);
        const id = await notifications.publish(GROUP, { title: 'By a slow clock' });
        expect(await positionOf(id)).to.equal(ahead + 1);
        expect((await titles(notifications))[0]).to.equal('By a slow clock');
      });

      it('tells who listens to the list’s channel', async () => {
        const told = await hear();
        const notifications = open();
        const id = 'a "quoted" one, é';
        await notifications.publish(GROUP, { id, title: 'Told' });
        await until('it is told', () => told.length > 0);
        expect(told).to.deep.equal([{ type: 'published', id, position: await positionOf(id) }]);
      });

      it('lets the oldest go, and those that have expired', async () => {
        const notifications = open({ maxPerGroup: 3 });
        await notifications.publish(GROUP, { title: 'Short', expires: later(150) });
        for (const title of ['one', 'two', 'three', 'four']) await notifications.publish(GROUP, { title });
        expect(await titles(notifications)).to.deep.equal(['four', 'three', 'two']);
        await notifications.publish(GROUP, { id: 'short', title: 'Short', expires: later(100) });
        await until('it has expired', async () => !(await titles(notifications)).includes('Short'));
        expect(await client.hexists(KEY, 'short')).to.equal(1);
        await notifications.publish(GROUP, { title: 'five' });
        expect(await client.hexists(KEY, 'short')).to.equal(0);
        expect(await client.hlen(KEY)).to.equal(3 + 1);
      });

      it('tells nobody of one that has expired by Redis’ clock, for which no other goes', async () => {
        const notifications = open({ maxPerGroup: 2 });
        for (const title of ['one', 'two']) await notifications.publish(GROUP, { title });
        const told = await hear();
        // the clock of this machine is behind
        const clock = sinon.useFakeTimers({ now: Date.now() - 60_000, toFake: ['Date'] });
        try {
          await notifications.publish(GROUP, { id: 'over', title: 'over', expires: later(1_000) });
        } finally {
          clock.restore();
        }
        expect(await titles(notifications)).to.deep.equal(['two', 'one']);
        await notifications.publish(GROUP, { id: 'three', title: 'three' });
        await until('the next one is told', () => told.length > 0);
        expect(told).to.deep.equal([{ type: 'published', id: 'three', position: await positionOf('three') }]);
      });

      it('takes the id of one that has expired for a new one', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { id: 'x', title: 'First', expires: later(50) });
        await until('it has expired', async () => (await titles(notifications)).length === 0);
        await notifications.publish(GROUP, { id: 'x', title: 'Second' });
        expect(await titles(notifications)).to.deep.equal(['Second']);
      });

      it('keeps no list for longer than what is in it, and shows nothing for longer than it is kept', async () => {
        const notifications = open({ keepForDays: 2 });
        await notifications.publish(GROUP, { title: 'x', expires: later(30 * DAY_MS) });
        const [{ expires } = { expires: new Date(0) }] = await notifications.list(GROUP);
        expect(expires.getTime()).to.be.within(Date.now() + 2 * DAY_MS - 10_000, Date.now() + 2 * DAY_MS + 1000);
        expect(await client.pttl(KEY)).to.be.within(2 * DAY_MS - 1000, (2 * DAY_MS * 17) / 16 + 1);
      });

      it('refuses what is wrong before anything is sent', async () => {
        const notifications = open();
        await notifications.list(GROUP);
        await client.config('RESETSTAT');
        const wrong = [
          [{}, { title: 'x' }],
          [{ group: 'x', user: 'y' }, { title: 'x' }],
          [{ role: 'x' }, { title: 'x' }],
          [undefined, { title: 'x' }],
          [{ group: '' }, { title: 'x' }],
          [{ group: 'x'.repeat(513) }, { title: 'x' }],
          [{ group: 'half a character \ud83d' }, { title: 'x' }],
          [{ user: {} }, { title: 'x' }],
          [{ user: '' }, { title: 'x' }],
          [GROUP, { title: 'x', link: 'javascript:alert(1)' }],
          [GROUP, { title: 'x'.repeat(5000) }],
        ];
        for (const [to, notification] of wrong) {
          const error = await rejected(notifications.publish(to as never, notification as NewNotification));
          expect(error, JSON.stringify(to)).to.be.instanceOf(OptionError);
          expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
        }
        expect(await commandStats(client)).to.not.have.any.keys('eval', 'evalsha');
      });

      it('leaves a list of a later version as it is', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { id: 'x', title: 'x' });
        await client.hset(KEY, ':', '2 17 and more');
        const before = await client.hgetall(KEY);
        for (const act of [
          () => notifications.publish(GROUP, { title: 'y' }),
          () => notifications.list(GROUP),
          () => notifications.edit(GROUP, 'x', { title: 'y' }),
          () => notifications.remove(GROUP, 'x'),
        ])
          expect(await rejected(act())).to.have.property('code', 'ERR_INTELLIGENT_SESSION_VERSION');
        expect(await client.hgetall(KEY)).to.deep.equal(before);
      });
    });

    describe('publishAt', () => {
      it('shows a notification from then on, and tells when that is', async () => {
        const told = await hear();
        const notifications = open();
        const publishAt = later(400);
        await notifications.publish(GROUP, { id: 'later', title: 'Later', publishAt });
        await notifications.publish(GROUP, { title: 'Now' });
        expect(await titles(notifications)).to.deep.equal(['Now']);
        const [planned] = await notifications.list(GROUP, { scheduled: true });
        expect(planned).to.deep.include({ id: 'later', title: 'Later', publishedAt: publishAt });
        await until('it is told', () => told.length === 2);
        expect(told[0]).to.deep.equal({ type: 'scheduled', id: 'later', position: publishAt.getTime() * 1000 });
        await until('it is shown', async () => (await titles(notifications)).length === 2);
        expect(Date.now()).to.be.at.least(publishAt.getTime());
        expect(await titles(notifications)).to.deep.equal(['Later', 'Now']);
        expect(await notifications.list(GROUP, { scheduled: true })).to.deep.equal([]);
      });

      it('is taken back by remove() before its time', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { id: 'later', title: 'Later', publishAt: later(DAY_MS) });
        expect(await notifications.remove(GROUP, 'later')).to.equal(true);
        expect(await notifications.list(GROUP, { scheduled: true })).to.deep.equal([]);
        expect(await client.hexists(KEY, 'later')).to.equal(0);
      });

      it('that is past means at once', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { title: 'x', publishAt: later(-DAY_MS) });
        const [{ publishedAt } = { publishedAt: new Date(0) }] = await notifications.list(GROUP);
        expect(publishedAt.getTime()).to.be.within(Date.now() - 10_000, Date.now() + 1);
      });

      it('of several at one time gives each a position of its own; no more are planned than a list may have', async () => {
        const notifications = open({ maxPerGroup: 3 });
        const publishAt = later(DAY_MS);
        for (const id of ['a', 'b', 'c']) await notifications.publish(GROUP, { id, title: id, publishAt });
        const positions = await Promise.all(['a', 'b', 'c'].map((id) => positionOf(id)));
        expect(positions).to.deep.equal([0, 1, 2].map((i) => publishAt.getTime() * 1000 + i));
        const error = await rejected(notifications.publish(GROUP, { title: 'd', publishAt }));
        expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_TOO_MANY');
        // those that are planned push out nobody, and nobody them
        for (const title of ['one', 'two', 'three', 'four']) await notifications.publish(GROUP, { title });
        expect(await titles(notifications)).to.deep.equal(['four', 'three', 'two']);
        expect(await notifications.list(GROUP, { scheduled: true })).to.have.lengthOf(3);
      });
    });

    describe('edit()', () => {
      it('changes fields, takes away those that are null, and leaves position and the rest', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { id: 'x', title: 'a', body: 'b', link: '/c', data: [1] });
        const position = await positionOf('x');
        const told = await hear();
        expect(await notifications.edit(GROUP, 'x', { title: 'A', body: null })).to.equal(true);
        const [edited] = await notifications.list(GROUP);
        expect(edited)
          .to.deep.include({ id: 'x', title: 'A', link: '/c', data: [1] })
          .and.not.have.property('body');
        expect(await positionOf('x')).to.equal(position);
        await until('it is told', () => told.length > 0);
        expect(told).to.deep.equal([{ type: 'changed' }]);
      });

      it('gives a new position where it is to be unread again, which is first in the list', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { id: 'x', title: 'x' });
        await notifications.publish(GROUP, { id: 'y', title: 'y' });
        expect(await notifications.edit(GROUP, 'x', {}, { again: true })).to.equal(true);
        expect(await titles(notifications)).to.deep.equal(['x', 'y']);
        expect(await positionOf('x')).to.be.greaterThan(await positionOf('y'));
      });

      it('leaves the time of one that is planned, also again', async () => {
        const notifications = open();
        const publishAt = later(DAY_MS);
        await notifications.publish(GROUP, { id: 'x', title: 'x', publishAt });
        await notifications.edit(GROUP, 'x', { title: 'X' }, { again: true });
        expect(await positionOf('x')).to.equal(publishAt.getTime() * 1000);
        expect(await titles(notifications)).to.deep.equal([]);
      });

      it('gives an expiry and takes it away', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { id: 'x', title: 'x' });
        const expires = later(60_000);
        const shown = async () => (await notifications.list(GROUP))[0]?.expires.getTime() ?? 0;
        await notifications.edit(GROUP, 'x', { expires });
        expect(await shown()).to.equal(expires.getTime());
        await notifications.edit(GROUP, 'x', { title: 'y' });
        expect(await shown()).to.equal(expires.getTime());
        await notifications.edit(GROUP, 'x', { expires: null });
        expect(await shown()).to.be.greaterThan(Date.now() + 89 * DAY_MS);
      });

      it('says that there is none, and refuses what is wrong', async () => {
        const notifications = open();
        expect(await notifications.edit(GROUP, 'none', { title: 'x' })).to.equal(false);
        await notifications.publish(GROUP, { id: 'x', title: 'x', expires: later(50) });
        await until('it has expired', async () => (await titles(notifications)).length === 0);
        expect(await notifications.edit(GROUP, 'x', { title: 'y' })).to.equal(false);
        await notifications.publish(GROUP, { id: 'later', title: 'Later', publishAt: later(60_000) });
        for (const act of [
          () => notifications.edit(GROUP, 'later', { expires: later(30_000) }),
          () => notifications.edit(GROUP, 'x', { id: 'y' } as never),
          () => notifications.edit(GROUP, ':', { title: 'y' }),
          () => notifications.edit(GROUP, 'x', { title: 'y' }, { unread: true } as never),
          () => notifications.list(GROUP, { limit: 0 }),
          () => notifications.list(GROUP, { before: 1 } as never),
          () => notifications.remove(GROUP, ''),
        ])
          expect(await rejected(act())).to.have.property('code', 'ERR_INTELLIGENT_SESSION_ARGUMENT');
      });

      it('loses no edit of two fields at once', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { id: 'x', title: 'x' });
        const edits = Array.from({ length: 10 }, (_, i) =>
          notifications.edit(GROUP, 'x', i % 2 === 0 ? { body: 'b' } : { link: '/l' }),
        );
        await Promise.all([...edits, notifications.edit(GROUP, 'x', { data: 1 })]);
        const [edited] = await notifications.list(GROUP);
        expect(edited).to.deep.include({ body: 'b', link: '/l', data: 1 });
      });
    });

    describe('remove()', () => {
      it('removes, tells, and says whether it was there', async () => {
        const notifications = open();
        await notifications.publish(GROUP, { id: 'x', title: 'x' });
        await notifications.publish(GROUP, { id: 'y', title: 'y' });
        const told = await hear();
        expect(await notifications.remove(GROUP, 'y')).to.equal(true);
        expect(await notifications.remove(GROUP, 'y')).to.equal(false);
        expect(await titles(notifications)).to.deep.equal(['x']);
        await until('it is told', () => told.length > 0);
        expect(told).to.deep.equal([{ type: 'changed' }]);
      });
    });

    describe('a user’s own list', () => {
      const user = { user: 'ann' };

      it('is beside what else is kept of the user, and named by the secret', async () => {
        const notifications = open({ itemSecret: SECRET });
        const told = await hear({ subject: userSubject('ann', itemKeyOf(SECRET)) });
        await notifications.publish(user, { id: 'x', title: 'Yours' });
        expect(await client.keys('*')).to.deep.equal([inboxListKey('', userSubject('ann', itemKeyOf(SECRET)))]);
        const [own] = await notifications.list(user);
        expect(own).to.include({ title: 'Yours' }).and.not.have.property('group');
        await until('it is told', () => told.length > 0);
        expect(await notifications.list({ user: 17 })).to.deep.equal([]);
      });

      const shape = { version: '1', activityDays: '7', errorRate: '0.01', capacity: '100', expansion: '2' };
      /** As a process of the site stores it that carries out commands. */
      const siteWith = async (secret: string | undefined) => {
        if (secret !== undefined) await new ItemKey({ client }, '', secret).load();
        await client.hset(shapeKey(''), shape);
      };
      for (const [sites, ours] of [
        [SECRET, undefined],
        [SECRET, 'another secret than that'],
        [undefined, SECRET],
      ])
        it(`is refused where the site has ${sites ? 'a secret' : 'none'} and the publisher ${ours ? 'another' : 'none'}, and nothing is stored`, async () => {
          await siteWith(sites);
          const before = await client.keys('*');
          const notifications = open({ ...(ours && { itemSecret: ours }) });
          const error = await rejected(notifications.publish(user, { title: 'x' }));
          expect(error).to.be.instanceOf(OptionError).with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
          expect(error.message).to.match(/"itemSecret" is (missing|another|given)/);
          expect(await client.keys('*')).to.have.members(before);
          await notifications.publish(GROUP, { title: 'To a group it is all the same' });
        });

      it('is published to where the secret is the site’s, and under another one that the site gets', async () => {
        await siteWith(SECRET);
        const notifications = open({ itemSecret: ['a secret that comes after it', SECRET] });
        await notifications.publish(user, { title: 'x' });
        await open({ itemSecret: 'a secret that comes after it' }).publish(user, { title: 'y' });
        expect(await client.keys('*:inbox')).to.have.lengthOf(1);
        expect(await notifications.list(user)).to.have.lengthOf(2);
      });

      it('is refused where the site has begun anew with another secret meanwhile', async function () {
        this.timeout(60_000);
        await siteWith(SECRET);
        const notifications = open({ itemSecret: SECRET });
        await notifications.publish(user, { title: 'x' });
        await client.del(itemKeyKey(''));
        await siteWith('quite another secret');
        await until(
          'it is found out',
          async () => {
            const error = await notifications.publish(user, { id: 'y', title: 'y' }).catch((cause: unknown) => cause);
            return error instanceof OptionError && /another than this namespace/.test(error.message);
          },
          20_000,
        );
      });
    });

    describe('where Redis is', () => {
      it('is said by a URL, ioredis’ options, a client of ioredis or one of node-redis, with a keyPrefix and a database', async () => {
        const { port } = new URL(url);
        const own = new Redis({ port: Number(port), keyPrefix: 'app:', db: 3 });
        const nodeRedis = createClient({ url: `${url}/2` });
        nodeRedis.on('error', () => {});
        opened.push(() => own.disconnect());
        const places: [NotificationsOptions, db: number, key: string][] = [
          [{ url }, 0, KEY],
          [{ redis: { port: Number(port), db: 1 } }, 1, KEY],
          [{ client: own, namespace: 'shop:' }, 3, `app:shop:${KEY}`],
          [{ client: nodeRedis }, 2, KEY],
        ];
        for (const [options, db, key] of places) {
          const notifications = createNotifications(options);
          await notifications.publish(GROUP, { title: 'x' });
          await notifications.close();
          await client.select(db);
          expect(await client.exists(key), String(db)).to.equal(1);
        }
        await client.select(0);
      });

      it('what becomes of notifications is counted', async () => {
        const notifications = open({ maxPerGroup: 1 });
        for (const id of ['a', 'a', 'b']) await notifications.publish(GROUP, { id, title: id });
        await notifications.publish(GROUP, { id: 'later', title: 'x', publishAt: later(DAY_MS) });
        await rejected(notifications.publish(GROUP, { title: 'x', publishAt: later(DAY_MS) }));
        await notifications.edit(GROUP, 'b', { title: 'B' });
        await notifications.remove(GROUP, 'b');
        await notifications.remove(GROUP, 'b');
        const text = await notifications.metrics.metrics();
        const counted = Array.from(text.matchAll(/_total\{event="(\w+)"\} (\d+)/g), ([, event, n]) => `${event} ${n}`);
        expect(counted).to.have.members([
          'published 2',
          'repeated 1',
          'scheduled 1',
          'refused 1',
          'edited 1',
          'removed 1',
        ]);
      });

      it('wrong options are coded errors at once', () => {
        for (const options of [
          { nonsense: 1 },
          { maxPerGroup: 0 },
          { maxPerGroup: 1001 },
          { maxBytes: 1 },
          { maxBytes: 65_537 },
          { keepForDays: 0 },
          { keepForDays: 367 },
          { itemSecret: 'short' },
          { durable: true },
          { durable: { replicas: 0 } },
          { durable: { replica: 1 } },
          { groups: () => [] },
          { redis: url, url },
        ])
          expect(() => createNotifications(options as never))
            .to.throw(OptionError)
            .with.property('code', 'ERR_INTELLIGENT_SESSION_OPTION');
      });

      it('a close() waits for what is under way, and what begins later fails at once', async () => {
        const notifications = open();
        const published = notifications.publish(GROUP, { title: 'x' });
        await notifications.close();
        expect(await published).to.be.a('string');
        await notifications.close();
        const error = await rejected(notifications.publish(GROUP, { title: 'y' }));
        expect(error).to.be.instanceOf(IntelligentSessionError);
        expect(error).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
      });

      it('what an ACL does not let anybody hear is published all the same, and told by an event', async () => {
        await client.call('ACL', 'SETUSER', 'mute', 'on', '>mute', '~*', 'resetchannels', '+@all');
        const notifications = open({ redis: url.replace('//', '//mute:mute@') });
        const faults: Error[] = [];
        notifications.on('fault', (error) => faults.push(error));
        await notifications.publish(GROUP, { title: 'x' });
        expect(await titles(notifications)).to.deep.equal(['x']);
        expect(faults.map(({ message }) => message).join()).to.match(/can't be told/);
      });
    });
  });

describe('createNotifications() on a Cluster', () => {
  it('publishes to groups and users on every node', async function () {
    this.timeout(60_000);
    const cluster = await startCluster(3);
    const client = new Cluster([...cluster.nodes]);
    const notifications = createNotifications({ client });
    try {
      const masters = new Set<number>();
      for (let i = 0; i < 12; i++) {
        const to = i % 2 === 0 ? { group: `group ${i}` } : { user: i };
        const id = await notifications.publish(to, { title: `Number ${i}` });
        await notifications.publish(to, { id, title: 'the same' });
        expect(await notifications.edit(to, id, { body: 'edited' }, { again: true })).to.equal(true);
        const [one, ...more] = await notifications.list(to);
        expect(one).to.include({ id, title: `Number ${i}`, body: 'edited' });
        expect(more).to.deep.equal([]);
        if (to.group) masters.add((await cluster.masterOf(notificationsKey('', to.group))).port);
        expect(await notifications.remove(to, id)).to.equal(true);
      }
      expect(masters.size).to.be.greaterThan(1);
    } finally {
      await notifications.close();
      client.disconnect();
      await cluster.stop();
    }
  });
});
