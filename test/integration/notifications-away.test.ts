import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import express from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { intelligentSession } from '../../lib/index.js';
import { createNotifications } from '../../lib/notifications/index.js';
import {
  VisitorNotifications,
  type VisitorNotificationsOptions,
} from '../../lib/notifications/visitor-notifications.js';
import { newAnonymousSubject, userSubject } from '../../lib/intelligence/command/subject.js';
import type { RedisOption } from '../../lib/redis/client.js';
import { goneKey } from '../../lib/redis/keys.js';
import { startDistance } from '../support/delay.js';
import { MarkStream } from '../support/mark-stream.js';
import { FaultyProxy } from '../support/proxy.js';
import { startSentinelTrio } from '../support/sentinel.js';
import { Site, Visitor } from '../support/site.js';
import { stall } from '../support/stall.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';
import { Warnings } from '../support/warnings.js';

const GROUPS = ['everybody', 'news'];
const ann = { subject: userSubject('ann', undefined), ttlSeconds: 3600 };

/** A reader's side, what it told of faults, and what it left unanswered. */
function openReading(redis: RedisOption, options: Partial<VisitorNotificationsOptions> = {}) {
  const faults: Error[] = [];
  const unanswered: string[] = [];
  const reading = new VisitorNotifications(
    redis,
    {
      ...{ namespace: '', earlier: 'unread', timeoutMs: 250, maxWaitMs: 2000 },
      durable: undefined,
      ...options,
    },
    {
      fault: (error) => faults.push(error),
      unanswered: (method, why) => unanswered.push(`${method} ${why}`),
    },
  );
  const unread = async () => {
    const read = await reading.read('unread', GROUPS, ann);
    return read?.lists.reduce((sum, list) => sum + list.unread().length, 0);
  };
  const lists = async (source: 'cache' | 'redis') =>
    Number(new RegExp(`lists_total\\{source="${source}"\\} (\\d+)`).exec(await metricsOf(reading))?.[1] ?? 0);
  return { reading, faults, unanswered, unread, lists };
}

const metricsOf = ({ metrics }: VisitorNotifications): Promise<string> => metrics.registry.metrics();

const timed = async <T>(work: () => Promise<T>): Promise<[T, ms: number]> => {
  const begun = performance.now();
  const given = await work();
  return [given, performance.now() - begun];
};

describe('a site whose notifications are in a Redis that is away', () => {
  it('gives degraded answers and one line, and the right ones again when it is back, at the start and later', async function () {
    this.timeout(40_000);
    let redis = await startPrivateRedis();
    await redis.stop();
    const warnings = new Warnings();
    const sessions = intelligentSession({
      redis: redis.url,
      secret: 'a long random text of tests',
      store: new session.MemoryStore(),
      worker: 'embedded',
      maxWaitMs: 300,
      session: { saveUninitialized: true },
      notifications: { groups: () => GROUPS },
    });
    const degraded: string[] = [];
    sessions.serving.on('degraded', (method) => degraded.push(method));
    const app = express().use(sessions);
    app.get('/unread', async (req, res) => {
      const unread = await req.intelligence.unread();
      res.json({ count: unread?.count ?? null, degraded: req.intelligence.degraded });
    });
    app.post('/mark', async (req, res) => {
      res.json({ was: (await req.intelligence.markNotificationSeen('a')) ?? null });
    });
    const site = await Site.open(app);
    const visitor = new Visitor(site.url);
    const unread = () => visitor.json('/unread');
    const mark = async () =>
      ((await (await visitor.fetch('/mark', { method: 'POST' })).json()) as { was: unknown }).was;
    try {
      for (const when of ['at the start', 'later']) {
        const [answer, ms] = await timed(unread);
        expect(answer, when).to.deep.equal({ count: null, degraded: true });
        expect(ms).to.be.below(1500);
        expect(await mark(), when).to.equal(null);
        expect(degraded.splice(0)).to.include.members(['unread', 'markNotificationSeen']);
        await unread();
        redis = await startPrivateRedis({ port: redis.port });
        await until('it is back', async () => (await unread()).count === 0, 15_000);
        const notifications = createNotifications({ redis: redis.url });
        await notifications.publish({ group: 'news' }, { id: 'a', title: 'A' });
        await notifications.close();
        await until('it is heard of', async () => (await unread()).count === 1);
        expect(await mark()).to.equal(true);
        await until('all is answered', async () => {
          const { count, degraded: isDegraded } = await unread();
          expect(count).to.equal(0);
          return !isDegraded;
        });
        await redis.stop();
        await until('it is away', async () => (await unread()).degraded);
        degraded.splice(0);
      }
      const counted = await sessions.serving.metrics.metrics();
      expect(counted).to.match(/notification_requests_total\{method="unread",result="redis"\} [1-9]/);
      expect(counted).to.match(/notification_lists_total\{source="redis"\} [1-9]/);
      const lines = warnings.codes.filter((code) => !/REDIS_BACK$/.test(code));
      expect(lines.filter((code) => code !== 'INTELLIGENT_SESSION_REDIS_AWAY')).to.deep.equal([]);
      expect(lines.length).to.be.at.least(1);
      expect(lines.length, 'a line each time that it went').to.be.at.most(3);
    } finally {
      warnings.close();
      await sessions.close();
      await site.close();
      await redis.stop();
    }
  });
});

describe('notifications of a visitor', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));
  const open = (at: RedisOption, options?: Partial<VisitorNotificationsOptions>) => {
    const one = openReading(at, options);
    opened.push(() => one.reading.close(0));
    return one;
  };
  const publish = async (id: string, group = 'news') => {
    const notifications = createNotifications({ redis: redis.url });
    await notifications.publish({ group }, { id, title: id });
    await notifications.close();
  };

  it('are degraded after timeoutMs while Redis is busy, and a mark waits until it goes on', async () => {
    await publish('a');
    const { reading, unread, unanswered } = open(redis.url);
    await until('lists are kept', async () => (await unread()) === 1);
    process.kill(redis.pid, 'SIGSTOP');
    try {
      const marked = reading.mark('a', GROUPS, ann);
      const [count, ms] = await timed(unread);
      expect(count).to.equal(undefined);
      expect(ms).to.be.within(240, 1000);
      expect(unanswered).to.deep.equal(['unread timeout']);
      process.kill(redis.pid, 'SIGCONT');
      expect(await marked).to.equal(true);
      expect(await unread()).to.equal(0);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
    }
  });

  it('count a mark once that came too late, and then found that the reader’s data have ended', async () => {
    await publish('a');
    const { reading, unread, unanswered } = open(redis.url, { maxWaitMs: 600 });
    await until('lists are kept', async () => (await unread()) === 1);
    const client = new Redis(redis.url);
    await client.set(goneKey('', ann.subject), '');
    client.disconnect();
    process.kill(redis.pid, 'SIGSTOP');
    try {
      expect(await reading.mark('a', GROUPS, ann)).to.equal(undefined);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
    }
    await reading.close(5000); // waits for what goes on
    // whichever is noticed first: the time is up, or Redis is away
    expect(unanswered).to.have.lengthOf(1);
    expect(unanswered[0]).to.match(/^markNotificationSeen (timeout|redis)$/);
  });

  it('answer undefined to a mark for which Redis had no time within maxWaitMs', async () => {
    await publish('a');
    const { reading, unread } = open(redis.url, { maxWaitMs: 600 });
    await until('lists are kept', async () => (await unread()) === 1);
    process.kill(redis.pid, 'SIGSTOP');
    try {
      const [was, ms] = await timed(() => reading.mark('a', GROUPS, ann));
      expect(was).to.equal(undefined);
      expect(ms).to.be.within(550, 1500);
      expect(await metricsOf(reading)).to.match(/method="markNotificationSeen",result="(timeout|redis)"\} 1/);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
    }
    await until('it goes on', async () => (await unread()) !== undefined);
    expect(await reading.mark('a', GROUPS, ann)).to.be.a('boolean');
  });

  it('are not degraded because the event loop was blocked', async () => {
    await publish('a');
    const { reading, unread, unanswered } = open(redis.url);
    await unread();
    const asked = unread();
    stall(1000);
    expect(await asked).to.equal(1);
    const marked = reading.mark('a', GROUPS, ann);
    stall(1000);
    expect(await marked).to.equal(true);
    expect(unanswered).to.deep.equal([]);
  });

  it('are read from Redis while changes are not heard, and never old', async () => {
    const proxy = await FaultyProxy.open(redis.port);
    opened.push(() => proxy.close());
    const { reading, unread, lists, faults } = open(proxy.url);
    const isKept = async () => {
      const before = await lists('redis');
      await unread();
      return (await lists('redis')) === before;
    };
    await until('lists are kept', isKept);
    proxy.refuses = true;
    const lost = once(reading.changes, 'lost');
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await lost;
    const before = await lists('redis');
    for (let i = 1; i <= 5; i++) {
      await publish(`n${i}`);
      expect(await unread()).to.equal(i);
    }
    expect((await lists('redis')) - before).to.equal(10);
    proxy.refuses = false;
    await until('they are kept again', isKept, 15_000);
    await publish('n6');
    await until('the next one is heard of', async () => (await unread()) === 6);
    expect(faults).to.deep.equal([]);
  });

  it('cost one round trip from a Redis that is 130 ms away, and are not degraded', async () => {
    await publish('a');
    const far = await startDistance(redis.port, 130);
    opened.push(() => far.stop());
    const { reading, unread, unanswered } = open(far.url);
    await until('the first answer is there', async () => (await unread()) === 1);
    unanswered.splice(0);
    const [count, ms] = await timed(unread);
    expect(count).to.equal(1);
    expect(ms).to.be.within(255, 500);
    expect(await reading.mark('a', GROUPS, ann)).to.equal(true);
    expect(unanswered).to.deep.equal([]);
  });

  it('have at once what a login carries, and wait for no login, with a Redis that is 130 ms away', async () => {
    await publish('a');
    const far = await startDistance(redis.port, 130);
    opened.push(() => far.stop());
    const { reading, unread, unanswered } = open(far.url);
    await until('the first answer is there', async () => (await unread()) === 1);
    const visitor = { subject: newAnonymousSubject(), ttlSeconds: 60 };
    expect(await reading.mark('a', GROUPS, visitor)).to.equal(true);
    unanswered.splice(0);
    const carrying = reading.carry(visitor.subject, ann);
    const [count, ms] = await timed(unread);
    expect(count).to.equal(0);
    expect(ms).to.be.below(500);
    expect(await carrying).to.equal(true);
    expect(unanswered).to.deep.equal([]);
  });
});

describe('a mark that was answered true or false', () => {
  it('is there after Redis was killed (appendfsync always) and started again', async function () {
    this.timeout(60_000);
    const folder = mkdtempSync(join(tmpdir(), 'marks-'));
    const args = ['--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always'];
    let redis = await startPrivateRedis({ args });
    const { reading } = openReading(redis.url);
    const stream = new MarkStream(reading);
    try {
      const notifications = createNotifications({ redis: redis.url });
      await MarkStream.publish(notifications);
      await notifications.close();
      stream.start(8);
      for (const more of [150, 150, 150]) {
        await stream.marks(more);
        process.kill(redis.pid, 'SIGKILL');
        redis = await startPrivateRedis({ args, port: redis.port });
      }
      await stream.marks(50);
      await stream.stop();
      expect(await stream.lost()).to.deep.equal([]);
      expect(stream.acknowledged.length).to.be.at.least(500);
    } finally {
      await stream.stop();
      await reading.close(0);
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('is there after a failover of Sentinels, with durable', async function () {
    this.timeout(60_000);
    const trio = await startSentinelTrio();
    const place = { sentinels: [...trio.sentinels], name: 'main' };
    const { reading, faults } = openReading(place, { durable: { replicas: 1, timeoutMs: 1000 }, maxWaitMs: 5000 });
    const stream = new MarkStream(reading);
    try {
      const notifications = createNotifications({ redis: place, durable: {} });
      await MarkStream.publish(notifications);
      await notifications.close();
      stream.start(8);
      await stream.marks(300);
      process.kill(trio.master.pid, 'SIGKILL');
      // the new master has no replica: what is marked now is written, and its visitor is told that nobody knows
      const isNotDurable = (error: Error) =>
        (error as { code?: string }).code === 'ERR_INTELLIGENT_SESSION_NOT_DURABLE';
      await until('a new master takes marks', () => faults.some(isNotDurable), 30_000);
      await stream.stop();
      expect(await stream.lost()).to.deep.equal([]);
    } finally {
      await stream.stop();
      await reading.close(0);
      await trio.stop();
    }
  });
});
