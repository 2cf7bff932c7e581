import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import express from 'express';
import express4 from 'express4';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { type IntelligentSession, intelligentSession } from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { combos, items, itKnowsItsVisitors, shopOf } from '../contract/intelligence.js';
import { flavours, startServer } from '../support/servers.js';
import { Site } from '../support/site.js';

const NAMESPACE = 'test:';

for (const flavour of flavours)
  describe(`the intelligent session on ${flavour.name}, over a worker process`, () => {
    let redis: PrivateRedis;
    let worker: WorkerProcess;
    let client: Redis;
    let sessions: IntelligentSession;
    let site: Site;

    before(async function () {
      redis = await startServer(this, flavour);
      client = new Redis(redis.url);
      worker = new WorkerProcess(['--redis', redis.url, '--namespace', NAMESPACE], 'ignore');
      await worker.start();
      sessions = intelligentSession({
        redis: redis.url,
        namespace: NAMESPACE,
        secret: 'test',
        timeout: 2000,
        combos,
      });
      site = await Site.open(shopOf(sessions, flavour.server === 'redis-6.2' ? express4() : express()));
    });

    after(async () => {
      await site?.close();
      await sessions?.close();
      await worker?.stop();
      client?.disconnect();
      await redis?.stop();
    });

    it('says at start which Bloom filter it uses', () => {
      expect(worker.banner).to.contain(`Bloom filters: ${flavour.bloom}`);
    });

    itKnowsItsVisitors(NAMESPACE, () => ({ client, sessions, site }));

    it('counts a request that is sent twice once, and answers in the paper’s form', async () => {
      const sid = 'paper';
      const ask = async (rid: string) => {
        await client.publish(`${NAMESPACE}ss:pageview:${sid}:${rid}`, '/a');
        const reply = await client.blpop(`${NAMESPACE}async:pageview:${sid}:${rid}`, 1);
        return reply && JSON.parse(reply[1]);
      };
      expect(await ask('1')).to.include({ totalPages: 1 });
      await client.publish(`${NAMESPACE}ss:pageview:${sid}:1`, '/a');
      expect(await ask('2')).to.include({ totalPages: 2, previouslyVisited: true });
      expect(await client.exists(`${NAMESPACE}async:pageview:${sid}:1`)).to.equal(0);
    });

    it('spends at most 3 kB on 100 views of 20 pages and 10 notifications on 7 days, and every key expires', async () => {
      const sid = randomBytes(24).toString('base64url');
      const keys = intelligenceKeys(NAMESPACE, sid);
      const ask = (command: string, payload: string) =>
        sessions.serving.ask(command, sid, payload, { ttlSeconds: 3600, timeoutMs: 2000 });
      await ask('pageview', '/page-0');
      for (let day = 1; day < 7; day++) {
        // Yesterday's view was a day ago: the first and last day in the header, moved back by one.
        const days = await client.getrangeBuffer(keys.activity, 1, 8);
        days.writeUInt32LE(days.readUInt32LE(0) - 1, 0);
        days.writeUInt32LE(days.readUInt32LE(4) - 1, 4);
        await client.setrange(keys.activity, 1, days);
        await ask('pageview', `/page-${day}`);
      }
      for (let view = 7; view < 100; view++) await ask('pageview', `/page-${view % 20}`);
      for (const item of items) await ask('mark-notification-seen', item);
      expect(await ask('pageview', '/page-0')).to.have.nested.property('data.totalPages', 101);
      // Only who may become a user has lists beside the filters, and only published notifications leave `seen`.
      const all = Object.values(keys).filter((key) => !/-items$|:seen$/.test(key));
      const bytes = await Promise.all(all.map((key) => client.memory('USAGE', key, 'SAMPLES', 0)));
      const sum = bytes.reduce<number>((total, n) => total + Number(n), 0);
      if (process.env.SHOW_FIGURES)
        process.stdout.write(
          `      ${sum} bytes: ${all.map((k, i) => `${k.split(':').at(-1)} ${bytes[i]}`).join(', ')}\n`,
        );
      expect(sum).to.be.at.most(3000);
      for (const key of all) expect(await client.ttl(key), key).to.be.within(3600, 3825);
      const activity = (await sessions.serving.ask('activity', sid, '8640', {
        ttlSeconds: 60,
        timeoutMs: 2000,
      })) as unknown as { data: number[] };
      expect(
        activity.data.reduce((total, bit) => total + bit, 0),
        'six earlier days',
      ).to.be.within(5, 6);
    });
  });
