import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { targetOf } from '../../lib/redis/open-target.js';
import { Inbox } from '../../lib/transport/replies/inbox.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('an inbox', () => {
  let client: Redis;
  const opened = useRedis((started) => ({ client } = started));

  const open = () => {
    const lost: unknown[] = [];
    const inbox = new Inbox(
      targetOf(client),
      '',
      () => {},
      (cause) => lost.push(cause),
    );
    opened.push(() => inbox.close());
    return { inbox, lost };
  };
  const reads = async () => Number(/cmdstat_bl(?:m)?pop:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);

  it('whose wait Redis has refused, and whose connection ended with that, leaves the next connection alone', async () => {
    const { inbox, lost } = open();
    let connections = 0;
    inbox.client.on('connect', () => connections++);
    await until('it waits', async () => String(await client.client('LIST')).includes('cmd=blmpop'));
    const { name } = inbox;
    // The master is a replica for a moment, which ends whatever waits in it.
    await client.multi().replicaof('127.0.0.1', 1).replicaof('NO', 'ONE').exec();
    await until('its connection is lost', () => lost.length > 0);
    await until('it has another one', () => inbox.name !== undefined && inbox.name !== name);
    const before = await reads();
    const again = inbox.name;
    // Each of them takes longer than the pause after which it would connect anew.
    await until('some more reads have ended', async () => (await reads()) >= before + 3);
    expect(inbox.name).to.equal(again);
    expect(connections).to.equal(2);
  });
});
