/** Publications that were acknowledged, and what of them is there after Redis was killed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { createNotifications, type Notifications, UnconfirmedError } from '../../lib/notifications/index.js';
import { PublicationStream } from '../../test/support/publication-stream.js';
import { startSentinelTrio } from '../../test/support/sentinel.js';
import { until } from '../../test/support/until.js';
import { quick, round } from './figures.js';

const PUBLICATIONS = quick ? 500 : 10_000;
const AT_ONCE = 64;
const WITHIN_MS = 120_000;

export async function keptNotifications() {
  return { 'kept: acknowledged, then Redis killed (SIGKILL)': [await killed(), await failedOver()] };
}

async function killed() {
  const folder = mkdtempSync(join(tmpdir(), 'kept-'));
  const args = ['--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always'];
  let redis = await startPrivateRedis({ args });
  const notifications = open({ redis: redis.url });
  try {
    return await lostAfter('kill -9 of one Redis, appendfsync always', notifications, async () => {
      process.kill(redis.pid, 'SIGKILL');
      redis = await startPrivateRedis({ args, port: redis.port });
    });
  } finally {
    await notifications.close();
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function failedOver() {
  const trio = await startSentinelTrio();
  const redis = { sentinels: [...trio.sentinels], name: 'main' };
  const notifications = open({ redis, durable: {}, maxWaitMs: 10_000 });
  try {
    return await lostAfter('Sentinel failover, durable: one replica', notifications, async ({ errors }) => {
      process.kill(trio.master.pid, 'SIGKILL');
      const byNewMaster = (error: Error) => error instanceof UnconfirmedError && /NOT_DURABLE/.test(error.code);
      await until('the new master takes publications', () => errors.some(byNewMaster), WITHIN_MS);
    });
  } finally {
    await notifications.close();
    await trio.stop();
  }
}

function open(options: Parameters<typeof createNotifications>[0]): Notifications {
  const notifications = createNotifications({ maxPerGroup: 1000, ...options });
  return notifications.on('away', () => {}).on('fault', () => {});
}

async function lostAfter(
  what: string,
  notifications: Notifications,
  kill: (stream: PublicationStream) => Promise<void>,
) {
  const begun = performance.now();
  const stream = new PublicationStream(notifications, AT_ONCE);
  await stream.publishes(PUBLICATIONS, WITHIN_MS);
  const seconds = (performance.now() - begun) / 1000;
  await kill(stream);
  await stream.stop();
  return {
    what,
    acknowledged: stream.acknowledged.length,
    lost: (await stream.lost()).length,
    'told as unknown or not durable': stream.errors.length,
    [`acknowledged a second, ${AT_ONCE} at once`]: round(PUBLICATIONS / seconds, 0),
  };
}
