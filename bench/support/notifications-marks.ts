/** Read marks: are they right, how much memory they take after years, and whether they last. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { VisitorNotifications } from '../../lib/notifications/visitor-notifications.js';
import { seenKey } from '../../lib/redis/keys.js';
import { MarkStream } from '../../test/support/mark-stream.js';
import { startSentinelTrio } from '../../test/support/sentinel.js';
import { until } from '../../test/support/until.js';
import { quick, round } from './figures.js';
import { openReader, readerOf } from './notifications-reading.js';

const UNREAD = quick ? 5_000 : 100_000;
const PUBLICATIONS = quick ? 500 : 10_950;
const MARKS = quick ? 500 : 10_000;
const IN_LIST = 500;
const AT_ONCE = 64;
const WITHIN_MS = 300_000;

export async function markedNotifications() {
  return {
    [`marks: wrong “seen” among unread ones, lists of ${IN_LIST}`]: [await wrong()],
    [`marks: memory of one user’s after ${PUBLICATIONS} publications, MEMORY USAGE`]: await memory(),
    'marks: acknowledged, then Redis killed (SIGKILL)': [await killed(), await failedOver()],
  };
}

/** Each visitor reads every second one, in no order; the others have to be unread. */
async function wrong() {
  const redis = await startPrivateRedis();
  const notifications = createNotifications({ redis: redis.url, maxPerGroup: IN_LIST });
  for (let i = 0; i < IN_LIST; i++) await notifications.publish({ group: 'all' }, { id: `${i}`, title: 'x' });
  const reading = openReader(redis.url);
  const visitors = UNREAD / (IN_LIST / 2);
  const counts = { unread: 0, 'wrong “seen”': 0, 'wrong “unread”': 0 };
  let next = 0;
  const visit = async () => {
    for (let n = next++; n < visitors; n = next++) {
      const ann = readerOf(`visitor ${n}`);
      for (let i = 0; i < IN_LIST / 2; i++) await reading.mark(`${((i * 7) % (IN_LIST / 2)) * 2}`, ['all'], ann);
      const read = await reading.read('notifications', ['all'], ann);
      const [list] = read?.lists ?? [];
      for (const item of list?.items ?? []) {
        const isMarked = Number(item.id) % 2 === 0;
        if (!isMarked) counts.unread++;
        if (!isMarked && list?.isSeen(item) !== false) counts['wrong “seen”']++;
        if (isMarked && list?.isSeen(item) !== true) counts['wrong “unread”']++;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, visit));
  await reading.close(1_000);
  await notifications.close();
  await redis.stop();
  return counts;
}

type Reads = (
  reading: VisitorNotifications,
  groups: readonly string[],
  ann: ReturnType<typeof readerOf>,
  id: string,
  n: number,
) => Promise<unknown>;
const oneByOne: Reads = async (reading, groups, ann, id) =>
  until(`${id} is marked`, async () => (await reading.mark(id, groups, ann)) === true);
const habits: Readonly<Record<string, { groups: number; read: Reads }>> = {
  'each read, one by one': { groups: 1, read: oneByOne },
  'each read, one by one, in five groups': { groups: 5, read: oneByOne },
  'each read by markAllSeen()': { groups: 1, read: (reading, groups, ann) => reading.markAll(groups, ann) },
  'one in a hundred stays unread': {
    groups: 1,
    read: async (reading, groups, ann, id, n) => n % 100 !== 0 && oneByOne(reading, groups, ann, id, n),
  },
  'every second one stays unread': {
    groups: 1,
    read: async (reading, groups, ann, id, n) => n % 2 !== 0 && oneByOne(reading, groups, ann, id, n),
  },
};

async function memory(): Promise<object[]> {
  const redis = await startPrivateRedis();
  const client = new Redis(redis.url);
  const notifications = createNotifications({ redis: redis.url });
  const rows: object[] = [];
  for (const [habit, { groups: count, read }] of Object.entries(habits)) {
    const groups = Array.from({ length: count }, (_, i) => `${habit} ${i}`);
    const reading = openReader(redis.url);
    const ann = readerOf(habit);
    let most = 0;
    for (let n = 0; n < PUBLICATIONS; n++) {
      await notifications.publish({ group: groups[n % count] as string }, { id: `${n}`, title: 'x' });
      await read(reading, groups, ann, `${n}`, n);
      if (n % 10 === 9)
        most = Math.max(most, Number(await client.memory('USAGE', seenKey('', ann.subject), 'SAMPLES', 0)));
    }
    const bytes = Number(await client.memory('USAGE', seenKey('', ann.subject), 'SAMPLES', 0));
    rows.push({ habit, 'bytes at the end': bytes, 'bytes at most': most });
    await reading.close(1_000);
  }
  await notifications.close();
  client.disconnect();
  await redis.stop();
  return rows;
}

async function killed() {
  const folder = mkdtempSync(join(tmpdir(), 'marks-'));
  const args = ['--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always'];
  let redis = await startPrivateRedis({ args });
  const reading = openReader(redis.url);
  try {
    return await lostAfter('kill -9 of one Redis, appendfsync always', reading, redis.url, {}, async () => {
      process.kill(redis.pid, 'SIGKILL');
      redis = await startPrivateRedis({ args, port: redis.port });
    });
  } finally {
    await reading.close(0);
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function failedOver() {
  const trio = await startSentinelTrio();
  const redis = { sentinels: [...trio.sentinels], name: 'main' };
  let isNotDurable = false;
  const limits = { timeoutMs: 5_000, maxWaitMs: 10_000, durable: { replicas: 1, timeoutMs: 1_000 } };
  const reading = new VisitorNotifications(
    redis,
    { namespace: '', earlier: 'unread', ...limits },
    {
      fault: (error) => (isNotDurable ||= /NOT_DURABLE/.test((error as { code?: string }).code ?? '')),
      unanswered: () => {},
    },
  );
  try {
    return await lostAfter('Sentinel failover, durable: one replica', reading, redis, { durable: {} }, async () => {
      process.kill(trio.master.pid, 'SIGKILL');
      await until('the new master takes marks', () => isNotDurable, WITHIN_MS);
    });
  } finally {
    await reading.close(0);
    await trio.stop();
  }
}

async function lostAfter(
  what: string,
  reading: VisitorNotifications,
  redis: NonNullable<Parameters<typeof createNotifications>[0]>['redis'],
  more: { durable?: object },
  kill: () => Promise<void>,
) {
  const notifications = createNotifications({ ...(redis !== undefined && { redis }), ...more });
  await MarkStream.publish(notifications);
  await notifications.close();
  const stream = new MarkStream(reading);
  const begun = performance.now();
  stream.start(AT_ONCE);
  await stream.marks(MARKS, WITHIN_MS);
  const seconds = (performance.now() - begun) / 1000;
  await kill();
  await stream.stop();
  await until(
    'Redis is back',
    async () => (await reading.read('unread', [], readerOf('somebody'))) !== undefined,
    30_000,
  );
  return {
    what,
    acknowledged: stream.acknowledged.length,
    lost: (await stream.lost()).length,
    'told as unknown or not durable': stream.unanswered,
    [`acknowledged a second, ${AT_ONCE} at once`]: round(MARKS / seconds, 0),
  };
}
