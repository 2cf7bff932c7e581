import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { DurableWrites } from '../../lib/notifications/durable-writes.js';
import { whenReady } from '../../lib/redis/connect.js';
import { endConnection } from '../../lib/redis/end-connection.js';
import { loopNowMs } from '../../lib/redis/loop-clock.js';
import { openTarget } from '../../lib/redis/open-target.js';
import { Script } from '../../lib/redis/run-script.js';
import { rejected } from '../support/rejected.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

const MAX_WAIT_MS = 6_000;

describe('durable writes while their connection can’t be made', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  it('wait for maxWaitMs each, also where another one has waited before', async () => {
    const target = openTarget(redis.url);
    target.client.on('error', () => {});
    await whenReady(target.client, 5_000);
    const writes = new DurableWrites(target, { replicas: 1, timeoutMs: 50 }, MAX_WAIT_MS);
    opened.push(() => {
      writes.close();
      endConnection(target.client);
    });
    const script = new Script<number>('return 1');
    const write = () => writes.run(script, ['key'], () => 'nothing');
    // no more clients than these
    await client.config('SET', 'maxclients', 1);
    try {
      const begunMs = loopNowMs(); // the clock of the limits, which does not count time in which this process stood still
      const first = rejected(write());
      await until('the first has waited for long', () => loopNowMs() - begunMs > MAX_WAIT_MS / 2);
      const second = write();
      second.catch(() => {});
      expect(await first).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
      await client.config('SET', 'maxclients', 1_000);
      expect(await second).to.equal(1);
    } finally {
      await client.config('SET', 'maxclients', 1_000);
    }
  });
});
