/** Publishing to a group, beside one row for each user and notification, which is what people build. */
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { commandStats, median, quantile, quick, round } from './figures.js';

/** So many users have rows; what they cost is given for the whole group, too. */
const USERS = quick ? 1_000 : 10_000;
const MEMBERS = 1_000_000;
const NOTIFICATIONS = quick ? 5 : 30;
const PUBLICATIONS = quick ? 100 : 1_000;
const WRITES = ['hset', 'hdel', 'pexpire', 'zadd', 'set', 'del', 'unlink'];
/** Commands of one pipeline. */
const PIPELINE = 1_000;

const content = {
  title: 'Spring sale: 20 % off until Sunday',
  body: 'Everything for the garden, in all shops and here.',
  link: '/sale?from=notification',
};

type Build = (pipeline: ReturnType<Redis['pipeline']>, user: number, id: string) => void;
const builds: Readonly<Record<string, Build>> = {
  'a row with the text for each user': (pipeline, user, id) =>
    pipeline.hset(`inbox:${user}`, id, JSON.stringify({ ...content, read: false })),
  'a row for each user that refers to one text': (pipeline, user, id) => pipeline.hset(`inbox:${user}`, id, '0'),
};

export async function publishingNotifications() {
  const redis = await startPrivateRedis();
  const client = new Redis(redis.url);
  const memory = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
  const writes = async () => {
    const stats = await commandStats(client);
    return WRITES.reduce((sum, name) => sum + (stats[name]?.calls ?? 0), 0);
  };

  // 1. ours: nothing is written for a member, so it is the same for any number of them
  const notifications = createNotifications({ redis: redis.url });
  const publish = async (group: string, count: number) => {
    const ms: number[] = [];
    for (let i = 0; i < count; i++) {
      const begun = performance.now();
      await notifications.publish({ group }, content);
      ms.push(performance.now() - begun);
    }
    return ms;
  };
  await publish('warm', 100);
  const lists = [];
  for (const [list, before] of [
    ['of 50', 50],
    ['full, of 100: the oldest goes', 100],
  ] as const) {
    const ms: number[] = [];
    let [written, scripts, usec] = [0, 0, 0];
    // a group of its own each round, so that the list is as long as it says
    const each = 10;
    for (let done = 0; done < PUBLICATIONS; done += each) {
      await publish(`${list}${done}`, before);
      await client.config('RESETSTAT');
      ms.push(...(await publish(`${list}${done}`, each)));
      const stats = await commandStats(client);
      written += await writes();
      scripts += (stats.evalsha?.calls ?? 0) + (stats.eval?.calls ?? 0);
      usec += stats.evalsha?.usec ?? 0;
    }
    lists.push({
      'to a list': list,
      'calls a publication': round(scripts / ms.length),
      'write commands a publication': round(written / ms.length),
      'ms, median': round(median(ms), 3),
      'ms, p99': round(quantile(ms, 0.99), 3),
      'Redis’ own time, µs': round(usec / scripts, 1),
    });
  }
  const before = await memory();
  await publish('one group', NOTIFICATIONS);
  const ours = {
    side: 'ours',
    'writes to publish to 1,000,000': 1,
    's to publish to 1,000,000': round((lists[0]?.['ms, median'] ?? 0) / 1000, 5),
    [`bytes a user of ${NOTIFICATIONS}`]: round(((await memory()) - before) / MEMBERS, 4),
  };
  await notifications.close();

  // 2. rows: measured at some users, and given for all
  const rows: object[] = [ours];
  for (const [side, build] of Object.entries(builds)) {
    await client.flushall();
    const start = await memory();
    const seconds: number[] = [];
    let written = 0;
    for (let n = 0; n < NOTIFICATIONS; n++) {
      await client.config('RESETSTAT');
      const begun = performance.now();
      for (let user = 0; user < USERS; user += PIPELINE) {
        const pipeline = client.pipeline();
        for (let i = user; i < user + PIPELINE; i++) build(pipeline, i, `notification-${n}`);
        await pipeline.exec();
      }
      seconds.push((performance.now() - begun) / 1000);
      written = await writes();
    }
    const scale = MEMBERS / USERS;
    rows.push({
      side,
      'writes to publish to 1,000,000': written * scale,
      's to publish to 1,000,000': round(median(seconds) * scale),
      [`bytes a user of ${NOTIFICATIONS}`]: round(((await memory()) - start) / USERS, 0),
    });
  }
  client.disconnect();
  await redis.stop();
  return {
    'publishing: to a group of any size, one publisher': lists,
    [`publishing: beside rows, measured at ${USERS} users in pipelines of ${PIPELINE}, and scaled to 1,000,000`]: rows,
  };
}
