import { once } from 'node:events';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createBloomFilter, createWorker, type Worker } from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/keys.js';
import { ServingLayer } from '../../lib/serving/serving-layer.js';
import { flavours, startServer } from '../support/servers.js';

for (const flavour of flavours.filter(({ server }) => server === 'redis-7.0'))
  describe(`the worker’s options on ${flavour.name}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    let serving: ServingLayer;
    let worker: Worker | undefined;

    before(async function () {
      redis = await startServer(this, flavour);
      client = new Redis(redis.url);
      serving = new ServingLayer(redis.url, { namespace: 'w:' });
    });
    afterEach(() => worker?.close());
    after(async () => {
      await serving?.close();
      client?.disconnect();
      await redis?.stop();
    });
    const ask = (command: string, sid: string, payload: string) => serving.ask(command, sid, payload, 60, 2000);

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
      const owner = await createBloomFilter(client, 'auto', { itemSecret });
      expect(await owner.existsMany(keys.visited, pages)).to.not.include(false);
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
          expect(await ask('pageview', `made-by-${made}`, '/a')).to.deep.equal({ answered: false });
          const [error] = await fault;
          expect(error.message).to.match(/move it with copyFilter/);
          expect(await client.exists(intelligenceKeys('w:', `made-by-${made}`).activity)).to.equal(0);
          await worker.close();
        }
      });
  });
