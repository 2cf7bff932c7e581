import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { ItemKey } from '../../lib/intelligence/item-key.js';
import { createNotifications } from '../../lib/notifications/index.js';
import { VisitorNotifications } from '../../lib/notifications/visitor-notifications.js';
import { seenKey } from '../../lib/redis/keys.js';
import type { Executor } from '../../lib/serving/executor.js';
import { Subjects } from '../../middleware/subjects.js';
import { until } from '../support/until.js';
import { useRedis } from '../support/use-redis.js';

describe('a mark that another request of a session makes while it logs in', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  it('is the user’s, also where it comes after what there was has been carried', async () => {
    const groups = ['news'];
    const publisher = createNotifications({ redis: redis.url });
    opened.push(() => publisher.close());
    for (const id of ['before', 'late']) await publisher.publish({ group: 'news' }, { id, title: id });
    const faults: unknown[] = [];
    const limits = { timeoutMs: 2_000, maxWaitMs: 2_000, durable: undefined };
    const reading = new VisitorNotifications(
      redis.url,
      { namespace: '', earlier: 'unread', ...limits },
      { fault: (error) => faults.push(error), unanswered: (method) => faults.push(method) },
    );
    opened.push(() => reading.close(0));
    const visitor = { subject: 'a-session', ttlSeconds: 60 };
    const user = { subject: userSubject('ann', undefined), ttlSeconds: 60 };
    await reading.mark('before', groups, visitor);

    // the worker's part of the login takes so long that the marks' part is over; until then the visitor's are the visitor's
    const ask = async () => {
      await until('the first mark is carried', async () => (await client.exists(seenKey('', user.subject))) === 1);
      await until(
        'it is the visitor’s no longer',
        async () => (await client.exists(seenKey('', visitor.subject))) === 0,
      );
      expect(await reading.mark('late', groups, visitor)).to.equal(true);
      return { answered: true };
    };
    const subjects = new Subjects(
      { ask, itemKey: new ItemKey({ client }, '', undefined) } as unknown as Executor,
      () => 'ann',
      90,
      (error) => faults.push(error),
    );
    subjects.alsoCarry = (from, to) => reading.carry(from, { subject: to, ttlSeconds: 60 });
    const request = { session: { id: visitor.subject } } as never;
    subjects.begin(request);
    expect(subjects.of(request)).to.deep.equal({ subject: user.subject, isAnonymous: false });

    await until('both are the user’s', async () => {
      const read = await reading.read('unread', groups, user);
      return read?.lists.every((list) => list.unread().length === 0) ?? false;
    });
    expect(faults).to.deep.equal([]);
  });
});
