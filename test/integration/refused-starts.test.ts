import { once } from 'node:events';
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { localExecutor } from '../support/local-executor.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('what Redis refuses before the first message', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  for (const way of ['a worker', 'a process of its own'] as const) {
    const serve = (options: { itemSecret?: string }) => {
      const given = { maxWaitMs: 200, ...options };
      const serving = way === 'a worker' ? new RemoteExecutor(redis.url, given) : localExecutor(redis.url, given);
      opened.push(() => serving.close());
      return serving;
    };
    /** Why a message is given up that is sent when Redis has refused what has to be known before the first message. */
    const whyOf = async (serving: ReturnType<typeof serve>) => {
      await once(serving, 'fault');
      const faults: string[] = [];
      serving.on('fault', ({ message }) => faults.push(message));
      const givenUp = once(serving, 'degraded');
      serving.send('pageview', 'sid', '/a', { ttlSeconds: 60 });
      expect(await givenUp).to.deep.equal(['pageview', 'redis']);
      await until('the fault is told', () => faults.length > 0);
      return faults;
    };

    it(`is told of a message that was held in vain: no secret opens the item key, by ${way}`, async () => {
      const first = serve({ itemSecret: 'the secret before this one' });
      await first.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 5_000 });
      const faults = await whyOf(serve({ itemSecret: 'another secret than that' }));
      for (const fault of faults) expect(fault).to.contain('option "itemSecret"');
    });

    it(`is not asked for more often after each connection, by ${way}`, async () => {
      await client.acl('SETUSER', 'default', '-eval');
      try {
        const serving = serve({ itemSecret: 'a secret of some length' });
        let refused = 0;
        serving.on('fault', ({ message }) => (refused += /NOPERM/.test(message) ? 1 : 0));
        for (let connection = 1; connection <= 5; connection++) {
          const before = refused;
          await until('it is refused', () => refused > before);
          if (connection < 5) await client.client('KILL', 'TYPE', 'NORMAL');
        }
        const [begunMs, before] = [performance.now(), refused];
        await until('it was tried some times more', () => refused > before + 2);
        expect(performance.now() - begunMs, 'two pauses of a second, at least').to.be.above(1_900);
      } finally {
        await client.acl('SETUSER', 'default', '+eval');
      }
    });

    it(`is told of a message that was held in vain: a right is missing, by ${way}`, async () => {
      await client.acl('SETUSER', 'default', '-eval');
      try {
        const faults = await whyOf(serve({ itemSecret: 'a secret of some length' }));
        for (const fault of faults) expect(fault).to.contain('NOPERM');
      } finally {
        await client.acl('SETUSER', 'default', '+eval');
      }
    });
  }
});
