import { expect } from 'chai';
import express from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';
import { createWorker, type IntelligentSession, intelligentSession, type Worker } from '../../lib/index.js';
import { combos, itKnowsItsVisitors, shopOf } from '../contract/intelligence.js';
import { type SentinelTrio, startSentinelTrio } from '../support/sentinel.js';
import { Site } from '../support/site.js';
import { figures, Traffic } from '../support/traffic.js';

const NAMESPACE = 'test:';
const BACK_MS = 15_000;
const SLOWEST_MS = 3_000;

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
      const own = intelligentSession({ redis, ...of, secret: 'test' });
      // sessions elsewhere: what is left are the faults of the intelligence
      const store = new session.MemoryStore();
      const apart = intelligentSession({ redis, ...of, secret: 'test', store });
      const traffics = [await Traffic.start(express(), apart), await Traffic.start(express(), own)] as const;
      const reports = () => Promise.all(traffics.map((traffic) => traffic.reports(BACK_MS)));
      try {
        await reports();
        process.kill(trio.master.pid, 'SIGKILL');
        const back = await reports();
        figures(`the master killed: reports after ${back.map((ms) => ms.toFixed(0)).join(' and ')} ms`);
        expect(await client.info('server')).to.contain(`tcp_port:${trio.replica.port}`);
      } finally {
        await Traffic.stop(traffics, [own, apart]);
      }
      const [elsewhere, here] = traffics;
      for (const { slowestMs } of traffics) expect(slowestMs).to.be.below(SLOWEST_MS);
      expect([...elsewhere.statuses.keys()], 'sessions elsewhere').to.deep.equal([200]);
      // a session that can't be read is the store's 503
      for (const status of here.statuses.keys()) expect(status).to.be.oneOf([200, 503]);
      if (worker) expect(await worker.isReady()).to.equal(true);
    });
  });
