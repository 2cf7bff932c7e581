import { expect } from 'chai';
import express from 'express';
import { Redis } from 'ioredis';
import { createWorker, type IntelligentSession, intelligentSession, type Worker } from '../../lib/index.js';
import { combos, itKnowsItsVisitors, shopOf } from '../contract/intelligence.js';
import { surviveFailover } from '../support/failover.js';
import { type SentinelTrio, startSentinelTrio } from '../support/sentinel.js';
import { Site } from '../support/site.js';
import { until } from '../support/until.js';

const NAMESPACE = 'test:';

for (const way of ['pubsub', 'stream', 'embedded'] as const)
  describe(`the intelligent session with three Sentinels, ${way === 'embedded' ? way : `by ${way}`}`, () => {
    const of = { namespace: NAMESPACE, ...(way === 'embedded' ? { worker: way } : { transport: way }) };
    let trio: SentinelTrio;
    let redis: { sentinels: { host: string; port: number }[]; name: string };
    let client: Redis;
    let worker: Worker | undefined;

    before(async function () {
      this.timeout(60_000);
      trio = await startSentinelTrio();
      redis = { sentinels: [...trio.sentinels], name: 'main' };
      client = new Redis(redis);
      client.on('error', () => {});
      if (way !== 'embedded') worker = await createWorker({ redis, namespace: NAMESPACE, transport: way });
    });
    after(async function () {
      this.timeout(60_000);
      await worker?.close();
      client?.disconnect();
      await trio?.stop();
    });

    describe('while all is well', () => {
      let sessions: IntelligentSession;
      let site: Site;
      before(async () => {
        sessions = intelligentSession({
          redis,
          ...of,
          secret: 'test',
          timeout: 2000,
          combos,
        });
        site = await Site.open(shopOf(sessions, express()));
      });
      after(async () => {
        await site.close();
        await sessions.close();
      });
      itKnowsItsVisitors(NAMESPACE, () => ({ client, sessions, site }));
    });

    it('the master dies under traffic: every request is answered, and reports come again', async function () {
      this.timeout(60_000);
      await surviveFailover({ redis, ...of }, async ({ reports }) => {
        process.kill(trio.master.pid, 'SIGKILL');
        await reports('the master killed');
        expect(await client.info('server')).to.contain(`tcp_port:${trio.replica.port}`);
      });
      await until('the worker is ready', async () => worker === undefined || (await worker.isReady()));
    });
  });
