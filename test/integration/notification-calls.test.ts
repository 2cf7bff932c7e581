import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { startPrivateRedis } from '../../demo/private-redis.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { NotificationCalls } from '../../lib/notifications/notification-calls.js';
import { Availability } from '../../lib/redis/availability.js';
import { endConnection } from '../../lib/redis/end-connection.js';
import { openTarget } from '../../lib/redis/open-target.js';
import { rejected } from '../support/rejected.js';

describe('calls of createNotifications() while Redis is away', () => {
  let url: string;
  before(async () => {
    const redis = await startPrivateRedis();
    await redis.stop();
    ({ url } = redis);
  });

  it('leave nothing in memory once they were given up, however long Redis stays away', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const { client } = openTarget(url);
    client.on('error', () => {});
    try {
      const calls = new NotificationCalls(new Availability(client, 50), 50);
      const giveUp = async () => {
        const work = async () => 'never called';
        await rejected(calls.run(work));
        return new WeakRef(work);
      };
      await giveUp(); // waits for the first connection
      const works = [await giveUp(), await giveUp()];
      await turn();
      collectGarbage();
      expect(works.map((work) => work.deref())).to.deep.equal([undefined, undefined]);
    } finally {
      endConnection(client);
    }
  });

  it('end when it is closed, and not when their time is over', async () => {
    const notifications = createNotifications({ redis: url, maxWaitMs: 100 });
    notifications.on('away', () => {}).on('fault', () => {});
    await rejected(notifications.list({ group: 'news' }));
    const patient = createNotifications({ redis: url, maxWaitMs: 600_000 });
    patient.on('away', () => {}).on('fault', () => {});
    const waiting = rejected(patient.publish({ group: 'news' }, { title: 'x' }));
    await Promise.all([notifications.close(), patient.close()]);
    expect(await waiting).to.have.property('code', 'ERR_INTELLIGENT_SESSION_NOT_READY');
  });
});
