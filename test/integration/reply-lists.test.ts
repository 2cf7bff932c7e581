import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker } from '../../lib/index.js';
import { loopNowMs, onLoopTick } from '../../lib/redis/loop-clock.js';
import { targetOf } from '../../lib/redis/open-target.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { ReplyLists } from '../../lib/transport/replies/lists.js';
import { FaultyProxy } from '../support/proxy.js';
import { rejected } from '../support/rejected.js';
import { stall } from '../support/stall.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('the wait for a free connection, with a list for each request', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  /** Lists with one connection, which is taken. */
  const taken = async () => {
    const lists = new ReplyLists(targetOf(client), 1);
    opened.push(() => lists.close());
    return { lists, only: await lists.take(5_000) };
  };
  const connections = async () =>
    String(await client.client('LIST'))
      .trim()
      .split('\n').length;
  /** A worker that never answers the command `never`. */
  const work = async () => {
    const worker = await createWorker({ redis: redis.url, commands: { never: () => new Promise(() => {}) } });
    opened.push(() => worker.close({ timeout: 0 }));
  };
  const waits = async () => String(await client.client('LIST')).includes('cmd=blpop');

  it('ends when all is closed, and no connection is made for it', async () => {
    const { lists, only } = await taken();
    const waiting = rejected(lists.take(60_000));
    const answered = rejected(lists.wait(only, 'list', loopNowMs() + 60_000));
    await until('it waits', waits);
    lists.close();
    await Promise.all([waiting, answered, rejected(lists.take(60_000))]);
    await until('its connection has ended', async () => (await connections()) === 1);
  });

  it('ends with the reason "closed", and close() leaves no connection', async () => {
    await work();
    const ofWorker = await connections();
    const serving = new RemoteExecutor(redis.url, { replies: 'list', replyConnections: 1 });
    opened.push(() => serving.close({ timeout: 0 }));
    const asks = [1, 2, 3].map((n) => serving.ask('never', `sid-${n}`, '', { ttlSeconds: 60, timeoutMs: 60_000 }));
    await until('one waits for its answer', waits);
    await serving.close({ timeout: 0 });
    for (const answer of await Promise.all(asks)) expect(answer).to.include({ reason: 'closed' });
    await until('its connections have ended', async () => (await connections()) === ofWorker);
  });

  it('does not count time in which this process could not read', async () => {
    const { lists, only } = await taken();
    opened.push(onLoopTick(() => {}));
    const answered = lists.wait(only, 'list', loopNowMs() + 60_000);
    const next = lists.take(1_000);
    await until('it waits', waits);
    void client.rpush('list', 'the answer');
    await new Promise((resolve) => setImmediate(resolve));
    stall(1_200);
    expect(await answered).to.equal('the answer');
    await next;
  });

  it('ends with the reason "redis" where no connection can be made any more', async () => {
    await work();
    const proxy = await FaultyProxy.open(redis.port);
    opened.push(() => proxy.close());
    const serving = new RemoteExecutor(proxy.url, { replies: 'list', replyConnections: 1 });
    opened.push(() => serving.close({ timeout: 0 }));
    const asks = [1, 2].map((n) => serving.ask('never', `sid-${n}`, '', { ttlSeconds: 60, timeoutMs: 86_400_000 }));
    await until('one waits for its answer', waits);
    proxy.refuses = true;
    proxy.cut();
    for (const answer of await Promise.all(asks)) expect(answer).to.include({ reason: 'redis' });
  });

  it('lasts as long as the caller says', async () => {
    const { lists, only } = await taken();
    const next = lists.take(10_000);
    expect(await lists.wait(only, 'list', loopNowMs() + 1_500)).to.equal(null);
    await next;
  });
});
