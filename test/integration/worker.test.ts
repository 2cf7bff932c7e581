import { once } from 'node:events';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createBloomFilter, createWorker, type Worker } from '../../lib/index.js';
import { keyItem } from '../../lib/intelligence/command/stored-item.js';
import { itemKeyOf } from '../../lib/intelligence/item-key.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { shapeKey } from '../../lib/redis/keys.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { flavours, startServer } from '../support/servers.js';

for (const flavour of flavours.filter(({ server }) => server === 'redis-7.0'))
  describe(`the worker’s options on ${flavour.name}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    let serving: RemoteExecutor;
    let worker: Worker | undefined;

    before(async function () {
      redis = await startServer(this, flavour);
      client = new Redis(redis.url);
      serving = new RemoteExecutor(redis.url, { namespace: 'w:' });
    });
    beforeEach(() => client.del(shapeKey('w:')));
    afterEach(() => worker?.close());
    after(async () => {
      await serving?.close();
      client?.disconnect();
      await redis?.stop();
    });
    const ask = (command: string, sid: string, payload: string) =>
      serving.ask(command, sid, payload, { ttlSeconds: 60, timeoutMs: 2000 });

    it('itemSecret: who has the keys and not the secret can’t ask them about a page', async () => {
      const itemSecret = 'a secret of the site';
      worker = await createWorker({ redis: redis.url, namespace: 'w:', itemSecret });
      const pages = Array.from({ length: 30 }, (_, i) => `/page/${i}`);
      for (const page of pages) await ask('pageview', 'keyed', page);
      const again = await ask('pageview', 'keyed', '/page/0');
      expect(again).to.have.nested.property('data.previouslyVisited', true);
      expect(again).to.have.nested.property('data.uniquePages').within(29, 31);
      expect(await ask('featuredpages', 'keyed', '["/page/1","/other"]')).to.deep.include({ data: ['/other'] });
      await ask('mark-notification-seen', 'keyed', 'n1');

      const keys = intelligenceKeys('w:', 'keyed');
      const thief = await createBloomFilter(client);
      expect((await thief.existsMany(keys.visited, pages)).filter(Boolean)).to.have.lengthOf.below(3);
      expect(await thief.exists(keys.notified, 'n1')).to.equal(false);
      const owned = pages.map((page) => keyItem(itemKeyOf(itemSecret) as string, 'keyed', page));
      expect(await thief.existsMany(keys.visited, owned)).to.not.include(false);
      let changed = 0;
      for (const page of pages) changed += await client.pfadd(keys.pages, page);
      expect(changed, 'the HyperLogLog knows none of the plain pages').to.be.greaterThan(25);
    });

    it('errorRate, capacity and expansion are those of new filters', async () => {
      worker = await createWorker({ redis: redis.url, namespace: 'w:', capacity: 10, expansion: 4, errorRate: 0.05 });
      for (let i = 0; i < 30; i++) await ask('pageview', 'shape', `/page/${i}`);
      const info = await (await createBloomFilter(client)).info(intelligenceKeys('w:', 'shape').visited);
      expect(info).to.deep.include({ capacity: 50, layers: 2, expansion: 4 });
    });

    it('a list of more than 10,000 items fails alone; 10,000 are answered', async () => {
      worker = await createWorker({ redis: redis.url, namespace: 'w:' });
      const pages = (count: number) => JSON.stringify(Array.from({ length: count }, (_, i) => `/${i}`));
      expect(await ask('featuredpages', 'big', pages(30_000))).to.include({ answered: false });
      const answer = (await ask('featuredpages', 'big', pages(10_000))) as { data: string[] };
      expect(answer.data).to.have.lengthOf(10_000);
      expect(await ask('pageview', 'big', '/a')).to.have.nested.property('data.totalPages', 1);
    });

    it('where the clock of Redis is put back, a view of a day that the ring has left behind writes into no other day', async () => {
      worker = await createWorker({ redis: redis.url, namespace: 'w:' });
      const { activity } = intelligenceKeys('w:', 'clock');
      const [seconds] = await client.time();
      const today = Math.floor(Number(seconds) / 86_400);
      // as of a clock that was ahead: eight days, of which the last one is 15 days away
      const stored = Buffer.alloc(208 + 8 * 180);
      stored[0] = 1;
      [today - 5, today + 15, 3, 1, Number(seconds) + 600].forEach((value, i) =>
        stored.writeUInt32LE(value, 1 + 4 * i),
      );
      await client.set(activity, stored);
      const { data } = (await ask('pageview', 'clock', '/a')) as { data: object };
      expect(data).to.include({ totalPages: 4, activityThisMinute: false });
      expect((await client.getBuffer(activity))?.subarray(208).some((byte) => byte !== 0)).to.equal(false);
    });

    it('activityDays may change, where the stored shape is deleted: counts stay, and the ring begins anew', async () => {
      const { activity } = intelligenceKeys('w:', 'days');
      for (const [made, then] of [
        [7, 30],
        [30, 7],
        [1, 7],
      ] as const) {
        await client.del(activity, shapeKey('w:'));
        worker = await createWorker({ redis: redis.url, namespace: 'w:', activityDays: made });
        await ask('pageview', 'days', '/a');
        // twenty days ago, as far as its ring goes
        const today = (await client.getrangeBuffer(activity, 1, 4)).readUInt32LE(0);
        const days = Buffer.alloc(8);
        days.writeUInt32LE(today - 20, 0);
        days.writeUInt32LE(today, 4);
        await client.setrange(activity, 1, days);
        const slots = Math.min(21, made + 1);
        await client.setrange(activity, 208 + slots * 180 - 1, '\0');
        await worker.close();
        await client.del(shapeKey('w:'));
        worker = await createWorker({ redis: redis.url, namespace: 'w:', activityDays: then });
        for (const views of [2, 3])
          expect(await ask('pageview', 'days', '/a')).to.have.nested.property('data.totalPages', views);
        expect(await client.strlen(activity)).to.equal(208 + 180);
        await worker.close();
      }
    });

    if (flavour.bloom === 'module')
      it('bloom: a filter of the other implementation is a fault that says how to move it', async () => {
        for (const [made, met] of [
          ['module', 'fallback'],
          ['fallback', 'module'],
        ] as const) {
          const { visited } = intelligenceKeys('w:', `made-by-${made}`);
          await (await createBloomFilter(client, made)).add(visited, '/a');
          worker = await createWorker({ redis: redis.url, namespace: 'w:', bloom: met });
          const fault = once(worker, 'fault') as Promise<[Error, string]>;
          expect(await ask('pageview', `made-by-${made}`, '/a')).to.include({ answered: false });
          const [error] = await fault;
          expect(error.message).to.match(/move it with copyFilter/);
          expect(await client.exists(intelligenceKeys('w:', `made-by-${made}`).activity)).to.equal(0);
          await worker.close();
        }
      });
  });
