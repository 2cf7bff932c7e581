import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createNotifications, type Notifications, type NotificationsOptions } from '../../lib/notifications/index.js';
import { notificationsKey } from '../../lib/redis/keys.js';
import { changesChannel, parseChange } from '../../lib/transport/protocol.js';
import { commandStats } from '../../bench/support/figures.js';
import { useRedis } from '../support/use-redis.js';
import { until } from '../support/until.js';

const GROUP = { group: 'customers' };

describe('createNotifications()', () => {
  let url: string;
  let client: Redis;
  const opened = useRedis((started) => {
    ({ client } = started);
    ({ url } = started.redis);
  });
  const open = (options: NotificationsOptions = {}): Notifications => {
    const notifications = createNotifications({ redis: url, ...options });
    opened.push(() => notifications.close());
    return notifications;
  };

  it('publishes to a group, and lists it newest first', async () => {
    const notifications = open();
    const first = await notifications.publish(GROUP, { title: 'Spring sale' });
    const before = Date.now();
    const second = await notifications.publish(GROUP, {
      ...{ id: 'hours', title: 'We open at 8', body: '<b>', link: '/hours?day=1', data: { a: [], b: null } },
    });
    expect(second).to.equal('hours');
    const [latest, earlier] = await notifications.list(GROUP);
    expect(earlier).to.include({ id: first, title: 'Spring sale', group: 'customers' });
    expect(latest).to.deep.include({
      ...{ id: 'hours', title: 'We open at 8', body: '<b>', link: '/hours?day=1', data: { a: [], b: null } },
    });
    expect(latest?.publishedAt.getTime()).to.be.within(before - 5, Date.now() + 5);
    expect(latest?.expires.getTime()).to.equal((latest?.publishedAt.getTime() ?? 0) + 90 * 86_400_000);
  });

  it('takes the same id again for the same notification', async () => {
    const notifications = open();
    expect(await notifications.publish(GROUP, { id: 'one', title: 'First' })).to.equal('one');
    const [first] = await notifications.list(GROUP);
    expect(await notifications.publish(GROUP, { id: 'one', title: 'Second' })).to.equal('one');
    expect(await notifications.list(GROUP)).to.deep.equal([first]);
  });

  it('is one write, whatever else the list has', async () => {
    const notifications = open();
    for (let i = 0; i < 50; i++) await notifications.publish(GROUP, { title: `Number ${i}` });
    await client.config('RESETSTAT');
    await notifications.publish(GROUP, { title: 'One more' });
    const stats = await commandStats(client);
    expect([stats.evalsha?.calls, stats.hset?.calls]).to.deep.equal([1, 1]);
    expect(stats).to.not.have.any.keys('pexpire', 'hdel', 'eval');
  });

  it('tells who listens to the list’s channel', async () => {
    const subscriber = new Redis(url);
    opened.push(() => subscriber.disconnect());
    const told: unknown[] = [];
    await subscriber.subscribe(changesChannel('', GROUP));
    subscriber.on('message', (_channel, text) => told.push(parseChange(text)));
    const notifications = open();
    await notifications.publish(GROUP, { id: 'a "quoted" one', title: 'Told' });
    await until('the change is told', () => told.length > 0);
    const [position] =
      /^\d+/.exec((await client.hget(notificationsKey('', 'customers'), 'a "quoted" one')) ?? '') ?? [];
    expect(told).to.deep.equal([{ type: 'published', id: 'a "quoted" one', position: Number(position) }]);
  });
});
