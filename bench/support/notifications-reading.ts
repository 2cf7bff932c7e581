/** What a visitor's question for unread notifications costs Redis, beside one row for each user and notification. */
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { VisitorNotifications } from '../../lib/notifications/visitor-notifications.js';
import { cached } from '../../test/support/servers.js';
import { until } from '../../test/support/until.js';
import { commandStats, median, quantile, quick, round } from './figures.js';

const GROUPS = Array.from({ length: 5 }, (_, i) => `group-${i}`);
const IN_GROUP = 100;
const ASKED = quick ? 200 : 5_000;
const FIRST = 5;
const content = {
  title: 'Spring sale: 20 % off until Sunday',
  body: 'Everything for the garden, in all shops and here.',
  link: '/sale?from=notification',
};
const servers = {
  'Redis with RedisBloom': ['--loadmodule', process.env.REDIS_BLOOM_MODULE ?? cached('redisbloom.so')],
  'plain Redis': [],
};

export function openReader(redis: string, more: { durable?: { replicas: number; timeoutMs: number } } = {}) {
  const limits = { timeoutMs: 5_000, maxWaitMs: 10_000, durable: more.durable };
  const options = { namespace: '', earlier: 'unread', ...limits } as const;
  return new VisitorNotifications(redis, options, { fault: () => {}, unanswered: () => {} });
}

export const readerOf = (user: string) => ({ subject: userSubject(user, undefined), ttlSeconds: 7_776_000 });

export async function readingNotifications() {
  const rows: object[] = [];
  for (const [server, args] of Object.entries(servers)) {
    const redis = await startPrivateRedis({ args });
    const client = new Redis(redis.url);
    try {
      rows.push(...(await measure(server, redis.url, client)));
    } finally {
      client.disconnect();
      await redis.stop();
    }
  }
  return { [`reading: unread, of ${GROUPS.length} groups with ${IN_GROUP} notifications each`]: rows };
}

async function measure(server: string, url: string, client: Redis): Promise<object[]> {
  const notifications = createNotifications({ redis: url });
  for (const group of GROUPS)
    for (let i = 0; i < IN_GROUP; i++) await notifications.publish({ group }, { id: `${group} ${i}`, ...content });
  await notifications.close();
  const reading = openReader(url);
  const ann = readerOf('ann');
  // some were read one by one, as people do
  for (const group of GROUPS) for (let i = 0; i < IN_GROUP; i += 10) await reading.mark(`${group} ${i}`, GROUPS, ann);
  const fromRedis = async () =>
    Number(/source="redis"\} (\d+)/.exec(await reading.metrics.registry.metrics())?.[1] ?? 0);
  await until('lists are kept', async () => {
    const before = await fromRedis();
    await reading.read('unread', GROUPS, ann);
    return (await fromRedis()) === before;
  });
  const unreadOfOurs = async () => {
    const read = await reading.read('unread', GROUPS, ann);
    return read?.lists.reduce((sum, list) => sum + list.unread().length, 0);
  };
  const ours = await cost(client, unreadOfOurs);
  await reading.close(1_000);

  // what people build: a hash for each user, a field for each notification
  const ids = GROUPS.flatMap((group) => Array.from({ length: IN_GROUP }, (_, i) => `${group} ${i}`));
  const isRead = (i: number) => i % 10 === 0;
  await client.hset(
    'rows',
    Object.fromEntries(ids.map((id, i) => [id, JSON.stringify({ ...content, read: isRead(i) })])),
  );
  await client.hset('flags', Object.fromEntries(ids.map((id, i) => [id, isRead(i) ? '1' : '0'])));
  await client.hset('texts', Object.fromEntries(ids.map((id) => [id, JSON.stringify(content)])));
  const own = client.duplicate();
  const withTexts = await cost(client, async () => {
    const all = await own.hgetall('rows');
    return Object.values(all).filter((text) => !JSON.parse(text).read).length;
  });
  const withFlags = await cost(client, async () => {
    const unread = Object.entries(await own.hgetall('flags')).filter(([, flag]) => flag === '0');
    await own.hmget('texts', ...unread.slice(-FIRST).map(([id]) => id));
    return unread.length;
  });
  own.disconnect();
  return [
    { server, side: 'ours', ...ours },
    { server, side: 'a row with the text for each user', ...withTexts },
    { server, side: 'a row for each user that refers to one text', ...withFlags },
  ];
}

/** What so many questions cost, one after the other. */
async function cost(client: Redis, ask: () => Promise<number | undefined>) {
  for (let i = 0; i < 100; i++) await ask();
  await client.config('RESETSTAT');
  const ms: number[] = [];
  let unread: number | undefined;
  for (let i = 0; i < ASKED; i++) {
    const begun = performance.now();
    unread = await ask();
    ms.push(performance.now() - begun);
  }
  const stats = Object.entries(await commandStats(client)).filter(([name]) => !/^(config|info|ping|client)/.test(name));
  const sent = stats.filter(([name]) => /^(eval|evalsha)$/.test(name));
  const asked = sent.length > 0 ? sent : stats;
  const sum = (of: typeof stats, field: 'calls' | 'usec') => of.reduce((total, [, stat]) => total + stat[field], 0);
  return {
    unread,
    'round trips': round(sum(asked, 'calls') / ASKED),
    'commands in a script': sent.length > 0 ? round((sum(stats, 'calls') - sum(sent, 'calls')) / ASKED) : 0,
    'Redis’ own time, µs': round(sum(asked, 'usec') / ASKED, 1),
    'ms a question, median': round(median(ms), 3),
    'ms, p99': round(quantile(ms, 0.99), 3),
  };
}
