import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { intelligentSession } from '../../lib/index.js';
import { userSubject } from '../../lib/intelligence/command/subject.js';
import { itemKeyOf } from '../../lib/intelligence/item-key.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { useRedis } from '../support/use-redis.js';

describe('the HyperLogLogs of several visitors', () => {
  let redis: PrivateRedis;
  let client: Redis;
  const opened = useRedis((started) => ({ redis, client } = started));

  for (const [what, itemSecret, together] of [
    ['are united by PFCOUNT and PFMERGE: a page counts once, whoever has seen it', undefined, 4],
    [
      'count a page once a visitor with itemSecret, by which it is another item of each',
      'a secret of more than sixteen',
      6,
    ],
  ] as const)
    it(what, async () => {
      const sessions = intelligentSession({
        redis: redis.url,
        secret: 'test',
        worker: 'embedded',
        user: 'identify',
        timeout: 5000,
        ...(itemSecret && { itemSecret }),
      });
      opened.push(() => sessions.close());
      for (const [user, pages] of Object.entries({ ann: ['/a', '/b', '/c'], bob: ['/b', '/c', '/d'] }))
        for (const page of pages) await sessions.of({ user }).pageview(page);
      const keys = ['ann', 'bob'].map((user) => intelligenceKeys('', userSubject(user, itemKeyOf(itemSecret))).pages);
      expect(await client.pfcount(...keys)).to.equal(together);
      await client.pfmerge('all', ...keys);
      expect(await client.pfcount('all')).to.equal(together);
    });
});
