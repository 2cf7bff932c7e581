import { once } from 'node:events';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { createWorker, type Worker } from '../../lib/index.js';
import { bloomFilterMaker } from '../../lib/bloom-choice/choose-bloom-filter.js';
import { storedItems } from '../../lib/intelligence/command/stored-item.js';
import { ScriptCalls } from '../../lib/intelligence/script-calls.js';
import { openTarget } from '../../lib/redis/open-target.js';
import { Undrained } from '../../lib/transport/replies/undrained.js';
import { type Entry, taskOf } from '../../lib/transport/stream/entry.js';
import type { WorkerTask } from '../../lib/transport/worker-task.js';
import { AcknowledgeAndPush } from '../../lib/worker/acknowledge-and-push.js';
import { leaseKey, streamKey, workersKey } from '../../lib/redis/keys.js';
import { LEASE_MS, Leases } from '../../lib/transport/stream/lease.js';
import { Membership } from '../../lib/transport/stream/membership.js';
import { Partition } from '../../lib/transport/stream/partition.js';
import { trim } from '../../lib/transport/stream/trim.js';
import { GROUP, partitionOf } from '../../lib/transport/protocol.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import type { RemoteExecutorOptions } from '../../lib/serving/remote-executor-options.js';
import type { WorkerOptions } from '../../lib/worker/options.js';
import { flavours, startServer } from '../support/servers.js';
import { until } from '../support/until.js';
import { Warnings } from '../support/warnings.js';
import { viewsOf } from '../support/views.js';

const NS = 's:';
const PARTITIONS = 4;
/** A session of each partition. */
const sidOf = (partition: number): string => {
  for (let i = 0; ; i++) if (partitionOf(`sid-${i}`, PARTITIONS) === partition) return `sid-${i}`;
};

for (const flavour of flavours.filter(({ bloom }) => bloom === 'fallback'))
  describe(`the transport stream on ${flavour.server}`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    const open: { close(): Promise<void> }[] = [];

    before(async function () {
      redis = await startServer(this, flavour);
      client = new Redis(redis.url);
      client.on('error', () => {});
    });
    afterEach(async () => {
      await Promise.all(open.splice(0).map((one) => one.close()));
      await client.flushall();
    });
    after(async () => {
      client?.disconnect();
      await redis?.stop();
    });

    const options = { namespace: NS, transport: 'stream', partitions: PARTITIONS } as const;
    const serve = (more: RemoteExecutorOptions = {}) => {
      const serving = new RemoteExecutor(redis.url, { ...options, ...more });
      open.push(serving);
      return serving;
    };
    const work = async (more: WorkerOptions = {}): Promise<Worker> => {
      const worker = await createWorker({ redis: redis.url, ...options, ...more });
      open.push(worker);
      return worker;
    };
    /** Which worker reads each partition. */
    const holders = () => client.mget(Array.from({ length: PARTITIONS }, (_, i) => leaseKey(NS, i)));
    const lengths = () => Promise.all(Array.from({ length: PARTITIONS }, (_, i) => client.xlen(streamKey(NS, i))));

    it('keeps the order of a session’s messages, its page counted before what asks about it', async () => {
      const serving = serve();
      await work();
      for (let i = 0; i < 50; i++) {
        const sid = `order-${i}`;
        const view = serving.ask('pageview', sid, '/a', { ttlSeconds: 60, timeoutMs: 2000 });
        const fresh = serving.ask('featuredpages', sid, ['/a', '/b'], { ttlSeconds: 60, timeoutMs: 2000 });
        expect(await view).to.have.nested.property('data.totalPages', 1);
        expect(await fresh).to.deep.equal({ answered: true, data: ['/b'] });
      }
    });

    it('works on what was sent while there was no worker, and says at once that there is none', async () => {
      const serving = serve();
      const reasons: string[] = [];
      serving.on('degraded', (_command, reason) => reasons.push(reason));
      for (let i = 0; i < 10; i++) serving.send('pageview', 'early', `/${i}`, { ttlSeconds: 60 });
      expect(await serving.ask('pageview', 'early', '/last', { ttlSeconds: 60, timeoutMs: 60_000 })).to.include({
        answered: false,
      });
      expect(reasons).to.deep.equal(['no-worker']);
      await work();
      await until('eleven views are counted', async () => (await viewsOf(client, NS, 'early')) === 11);
    });

    it('a lease that was not renewed in time is another worker’s to take, and the partition counts as read meanwhile', async () => {
      const warnings = new Warnings();
      const [first, second] = ['first', 'second'].map((id) => new Leases(client, NS, id)) as [Leases, Leases];
      const serving = serve();
      const reason = async () => {
        const answer = await serving.ask('pageview', sidOf(1), '/a', { ttlSeconds: 60, timeoutMs: 20 });
        return answer.answered ? 'answered' : answer.reason;
      };
      try {
        expect(await first.renew(1)).to.be.a('number');
        expect(await second.renew(1)).to.equal(undefined);
        await client.pexpire(leaseKey(NS, 1), 10_000 - LEASE_MS - 1);
        expect(await reason(), 'nobody reads, but somebody did').to.equal('timeout');
        expect(await second.renew(1)).to.be.a('number');
        expect(await first.renew(1)).to.equal(undefined);
        await first.release(1, true);
        expect(await reason(), 'it is not the first’s to give back').to.equal('timeout');
        await second.release(1, true);
        expect(await reason(), 'between two workers').to.equal('no-worker');
        expect(await first.renew(1)).to.be.a('number');
        expect(await reason()).to.equal('timeout');
        expect(warnings.codes).to.deep.equal([]);
        await first.release(1, false);
        expect(await reason(), 'after the last one').to.equal('no-worker');
        await until('it is told', () => warnings.codes.length > 0);
        expect(warnings.codes).to.deep.equal(['INTELLIGENT_SESSION_NO_WORKER']);
      } finally {
        warnings.close();
      }
    });

    it('no circuit stays open where it is known that no worker is there: the next one is asked at once', async () => {
      const serving = serve();
      const lease = new Leases(client, NS, 'stuck');
      const states: string[] = [];
      serving.on('circuit', (state) => states.push(state));
      await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => lease.renew(partition)));
      const ask = (sid: string, timeoutMs = 20) => serving.ask('pageview', sid, '/a', { ttlSeconds: 60, timeoutMs });
      for (let i = 0; i < 5; i++) await ask(`stuck-${i}`);
      expect(states).to.deep.equal(['open']);
      await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => lease.release(partition, false)));
      await until('it is known', async () => {
        await ask('visitor');
        return states.length === 2;
      });
      expect(states).to.deep.equal(['open', 'closed']);
      await work();
      expect(await ask('visitor', 15_000)).to.have.property('answered', true);
    });

    it('drops what only reads where it lay in the stream for longer than somebody waits, by Redis’ clock, and says so', async () => {
      const [seconds] = await client.time();
      const add = (command: string, rid: string) =>
        client.xadd(
          streamKey(NS, 0),
          `${Number(seconds) * 1000 - 5000}-${rid[0]}`,
          'r1',
          `${command}:${sidOf(0)}:${rid}`,
          'p',
          '["/a"]',
        );
      await add('featuredpages', '1@late-inbox@4000@60');
      await add('featuredpages', '2@long-inbox@60000@60');
      await add('featuredpages', `3@old-inbox@${Number(seconds) * 1000}@60`); // an older process' deadline: none is known
      await add('pageview', '4@view-inbox@4000@60');
      const worker = await work();
      for (const inbox of ['long', 'old', 'view'])
        expect(await client.blpop(`${NS}async:inbox:${inbox}-inbox`, 5), inbox).to.have.lengthOf(2);
      // the worker counts a moment after the script has answered
      const view = 'messages_total{command="pageview",result="done"} 1\n';
      await until('the last is counted', async () => (await worker.metrics.metrics()).includes(view));
      expect(await worker.metrics.metrics())
        .to.contain('messages_total{command="featuredpages",result="expired"} 1\n')
        .and.to.contain('messages_total{command="featuredpages",result="done"} 2\n');
      expect(await client.exists(`${NS}async:inbox:late-inbox`)).to.equal(0);
    });

    it('counts what is sent twice once, in any entry', async () => {
      const sid = sidOf(0);
      await work();
      for (const id of ['1', '2', '1', '2', '3'])
        await client.xadd(streamKey(NS, 0), '*', 'r1', `pageview:${sid}:${id}@@@60`, 'p', '/a');
      await until('three views are counted', async () => (await viewsOf(client, NS, sid)) === 3);
      const fourth = await serve().ask('pageview', sid, '/b', { ttlSeconds: 60, timeoutMs: 2000 });
      expect(fourth).to.have.nested.property('data.totalPages', 4);
    });

    it('workers come and go without configuration, and share the partitions evenly', async () => {
      const first = await work();
      expect(await holders()).to.deep.equal(Array(PARTITIONS).fill(first.id));
      const second = await work();
      await until('each has half', async () => {
        const all = await holders();
        return [first, second].every(({ id }) => all.filter((one) => one === id).length === PARTITIONS / 2);
      });
      const serving = serve();
      const answers = await Promise.all(
        Array.from({ length: PARTITIONS }, (_, i) =>
          serving.ask('pageview', sidOf(i), '/a', { ttlSeconds: 60, timeoutMs: 2000 }),
        ),
      );
      for (const answer of answers) expect(answer).to.have.nested.property('data.totalPages', 1);
      await first.close();
      await until('the second has all', async () => (await holders()).every((one) => one === second.id));
      expect(await client.zrange(workersKey(NS), '0', '-1')).to.deep.equal([second.id]);
    });

    it('a worker that was noted by a clock that was ahead, and is gone, keeps no partition', async () => {
      await client.zadd(workersKey(NS), Date.now() + 3_600_000, 'gone', '+inf', 'gone-for-ever');
      const one = await work();
      await until('it has all', async () => (await holders()).every((holder) => holder === one.id));
      expect(await client.zrange(workersKey(NS), '0', '-1')).to.deep.equal([one.id]);
    });

    it('where Redis stood still, no worker takes the others for gone before they could be heard', async () => {
      const [first, second] = ['first', 'second'].map((id) => new Membership(client, NS, id)) as [
        Membership,
        Membership,
      ];
      /** As if each was heard of so many ms ago. */
      const heardOf = async (ages: Readonly<Record<string, number>>) => {
        const [seconds] = await client.time();
        for (const [id, age] of Object.entries(ages))
          await client.zadd(workersKey(NS), Number(seconds) * 1000 - age, id);
      };
      await first.join();
      expect(await second.join()).to.deep.equal(['first', 'second']);
      await heardOf({ first: 6_000, second: 6_400 });
      expect(await first.join(), 'both were late').to.deep.equal(['first', 'second']);
      await heardOf({ second: 6_400 });
      expect(await first.join(), 'one was').to.deep.equal(['first']);
      await heardOf({ first: 6_000, second: 12_000 });
      expect(await first.join(), 'one was gone before').to.deep.equal(['first']);
    });

    it('a lease that was given by a clock that was ahead, and one that is none, keep no partition from being read', async () => {
      const serving = serve();
      await client.set(leaseKey(NS, 1), 'gone', 'PX', 3_600_000);
      await client.rpush(leaseKey(NS, 2), 'no lease');
      const asked = [0, 2].map((partition) =>
        serving.ask('pageview', sidOf(partition), '/a', { ttlSeconds: 60, timeoutMs: 10_000 }),
      );
      for (const answer of await Promise.all(asked)) expect(answer).to.have.property('reason', 'no-worker');
      const one = await work();
      await until('it has all', async () => (await holders()).every((holder) => holder === one.id));
      for (let i = 0; i < PARTITIONS; i++)
        expect(await serving.ask('pageview', sidOf(i), '/a', { ttlSeconds: 60, timeoutMs: 10_000 })).to.have.property(
          'answered',
          true,
        );
    });

    it('a partition that was to be left, and then was not, is read again', async () => {
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const first = await work({ commands: { slow: () => released.then(() => 1) } });
      const serving = serve();
      const slow = Promise.all(
        Array.from({ length: PARTITIONS }, (_, i) =>
          serving.ask('slow', sidOf(i), '', { ttlSeconds: 60, timeoutMs: 10_000 }),
        ),
      );
      await until('one is in hand everywhere', async () => {
        const pending = await Promise.all(
          Array.from({ length: PARTITIONS }, (_, i) => client.xpending(streamKey(NS, i), GROUP)),
        );
        return pending.every((summary) => (summary as [number])[0] === 1);
      });
      const second = await createWorker({ redis: redis.url, ...options });
      await until('it is known', async () => (await client.zcard(workersKey(NS))) === 2);
      await second.close();
      release();
      for (const answer of await slow) expect(answer).to.deep.equal({ answered: true, data: 1 });
      for (let i = 0; i < PARTITIONS; i++)
        expect(
          await serving.ask('pageview', sidOf(i), '/a', { ttlSeconds: 60, timeoutMs: 5000 }),
        ).to.have.nested.property('data.totalPages', 1);
      expect(await holders()).to.deep.equal(Array(PARTITIONS).fill(first.id));
    });

    it('keeps its leases while it finishes what is in hand: nobody else works on that', async () => {
      let runs = 0;
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const commands = { slow: () => (runs++, released.then(() => 1)) };
      const first = await work({ commands });
      const serving = serve();
      const slow = serving.ask('slow', sidOf(1), '', { ttlSeconds: 60, timeoutMs: 15_000 });
      await until('it is at work', () => runs === 1);
      const closing = first.close({ timeout: 15_000 });
      const second = await work({ commands });
      await until('the second has the others', async () => {
        const all = await holders();
        return all.filter((one) => one === second.id).length === PARTITIONS - 1;
      });
      // longer than a lease
      const end = performance.now() + 2500;
      await until('a lease has passed', () => performance.now() > end);
      expect(runs).to.equal(1);
      release();
      expect(await slow).to.deep.equal({ answered: true, data: 1 });
      await closing;
      await until('the second has all', async () => (await holders()).every((one) => one === second.id));
      expect(runs).to.equal(1);
    });

    it('keeps its leases while it has no room to take over what is pending: nobody else works on what is in hand', async () => {
      const key = streamKey(NS, 1);
      const runs: string[] = [];
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const commands = { slow: ({ id }: { id: string }) => (runs.push(id), released.then(() => 1)) };
      await client.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM');
      const ids = ['1', '2', '3', '4', '5', '6'];
      for (const id of ids) await client.xadd(key, '*', 'r1', `slow:${sidOf(1)}:${id}@@@60`, 'p', '');
      await client.xreadgroup('GROUP', GROUP, 'dead', 'COUNT', 6, 'STREAMS', key, '>');
      const first = await work({ commands, maxQueue: 2 });
      await until('it has no room', () => runs.length >= 2);
      const inHand = runs.length;
      const second = await work({ commands, maxQueue: 2 });
      await until('the second has its share', async () => (await holders()).includes(second.id));
      const end = performance.now() + LEASE_MS + 1000;
      await until('a lease has passed', () => performance.now() > end);
      expect((await holders())[1]).to.equal(first.id);
      expect(await first.isReady()).to.equal(true);
      expect(runs).to.have.lengthOf(inHand);
      release();
      await until('all are finished', async () => ((await client.xpending(key, GROUP)) as [number])[0] === 0);
      expect(runs.toSorted()).to.deep.equal(ids);
    });

    it('gives all its leases back at its end, though what it finished in one partition can’t be acknowledged', async () => {
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const running: string[] = [];
      const worker = await work({ commands: { slow: ({ sid }) => (running.push(sid), released) } });
      for (const partition of [1, 2])
        await client.xadd(streamKey(NS, partition), '*', 'r1', `slow:${sidOf(partition)}:1@@@60`, 'p', '');
      await until('both are at work', () => running.length === 2);
      const closing = worker.close();
      await until('the others are given back', async () => (await holders()).filter((id) => id !== null).length === 2);
      await client.set(streamKey(NS, 1), 'no stream');
      release();
      await closing;
      expect(await holders()).to.deep.equal(Array(PARTITIONS).fill(null));
    });

    it('a worker that has no room leaves messages in the stream, and drops none', async () => {
      const serving = serve();
      for (let i = 0; i < 400; i++) serving.send('pageview', `room-${i % 8}`, `/${i}`, { ttlSeconds: 60 });
      await client.ping();
      await work({ maxQueue: 20 });
      const total = async () => {
        const views = await Promise.all(Array.from({ length: 8 }, (_, i) => viewsOf(client, NS, `room-${i}`)));
        return views.reduce((sum, n) => sum + n, 0);
      };
      await until('all are counted', async () => (await total()) === 400);
    });

    it('works off what waits, and frees its memory, where Redis is full: a worker that is there, and one that comes', async () => {
      const [key, lost] = [streamKey(NS, 1), streamKey(NS, 2)];
      let worker = await work();
      try {
        for (const comes of [false, true]) {
          if (comes) {
            await worker.close();
            await client.del(lost);
          }
          const adding = client.multi();
          for (let i = 0; i < 100; i++)
            adding.xadd(key, '*', 'r1', `pageview:${sidOf(1)}:${i}${comes}@@@60`, 'p', 'x'.repeat(20_000));
          // in one transaction, so that the worker that is there is not faster
          await adding.config('SET', 'maxmemory', 1).exec();
          expect(await client.set('a', 'b').catch((error: Error) => error.message)).to.match(/^OOM/);
          if (comes) worker = await work();
          await until('all are counted', async () => (await viewsOf(client, NS, sidOf(1))) === (comes ? 200 : 100));
          await until('the stream is trimmed', async () => (await client.xlen(key)) === 0);
          expect(await client.exists(lost)).to.equal(1);
          expect((await holders())[1]).to.equal(worker.id);
          await client.config('SET', 'maxmemory', 0);
        }
      } finally {
        await client.config('SET', 'maxmemory', 0);
      }
    });

    it('takes over what a killed worker had read and not finished: every page view is counted, and once', async () => {
      const serving = serve();
      const processes = Array.from(
        { length: 3 },
        () =>
          new WorkerProcess(
            ['--redis', redis.url, '--namespace', NS, '--transport', 'stream', '--partitions', String(PARTITIONS)],
            'ignore',
          ),
      );
      await Promise.all(processes.map((one) => one.start()));
      const VIEWS = 4000;
      const SESSIONS = 40;
      for (let i = 0; i < VIEWS; i++) {
        serving.send('pageview', `killed-${i % SESSIONS}`, `/${i % 10}`, { ttlSeconds: 600 });
        // in the middle of it
        if (i === VIEWS / 2) await processes[0]?.stop('SIGKILL');
        if (i % 100 === 0) await client.ping();
      }
      const total = async () => {
        const views = await Promise.all(Array.from({ length: SESSIONS }, (_, i) => viewsOf(client, NS, `killed-${i}`)));
        return views.reduce((sum, n) => sum + n, 0);
      };
      await until('all are counted', async () => (await total()) === VIEWS);
      await until('every partition is empty', async () => (await lengths()).every((n) => n === 0));
      expect(await total()).to.equal(VIEWS);
      await Promise.all(processes.map((one) => one.stop()));
    });

    it('works on what a worker was given that did not know yet that it had lost the partition', async () => {
      const worker = await work();
      const key = streamKey(NS, 1);
      const claimed = once(worker, 'claimed');
      // In one transaction, so that the worker, which waits for messages, is not given this one.
      await client
        .multi()
        .xadd(key, '*', 'r1', `pageview:${sidOf(1)}:1@@@60`, 'p', '/a')
        .xreadgroup('GROUP', GROUP, 'resumed', 'COUNT', 1, 'STREAMS', key, '>')
        .exec();
      await until('it is counted', async () => (await viewsOf(client, NS, sidOf(1))) === 1);
      expect(await claimed).to.deep.equal([1]);
      await until('it is trimmed', async () => (await client.xlen(key)) === 0);
    });

    it('trims only what every group has read and finished', async () => {
      await work();
      const other = 'analytics';
      await client.xgroup('CREATE', streamKey(NS, 1), other, '0');
      const serving = serve();
      for (let i = 0; i < 5; i++) await serving.ask('pageview', sidOf(1), `/${i}`, { ttlSeconds: 60, timeoutMs: 2000 });
      const read = (await client.xreadgroup('GROUP', other, 'me', 'COUNT', 3, 'STREAMS', streamKey(NS, 1), '>')) as [
        string,
        [string, string[]][],
      ][];
      const [, entries] = read[0] as [string, [string, string[]][]];
      await client.xack(streamKey(NS, 1), other, ...entries.slice(1).map(([id]) => id));
      // the first is read by all and unfinished in one group
      await serving.ask('pageview', sidOf(1), '/more', { ttlSeconds: 60, timeoutMs: 2000 });
      await until('the worker has trimmed elsewhere', async () => (await client.xlen(streamKey(NS, 0))) === 0);
      expect(await client.xlen(streamKey(NS, 1))).to.equal(6);
      await client.xack(streamKey(NS, 1), other, entries[0]?.[0] as string);
      await until('what both have finished is gone', async () => (await client.xlen(streamKey(NS, 1))) === 3);
    });

    it('trims nothing that another group has read where the workers’ group is not there yet', async () => {
      const key = streamKey(NS, 1);
      await client.xadd(key, '*', 'r1', `pageview:${sidOf(1)}:1@@@60`, 'p', '/a');
      await client.xgroup('CREATE', key, 'analytics', '0');
      const [[, [[id]]]] = (await client.xreadgroup(
        ...(['GROUP', 'analytics', 'me', 'COUNT', 1, 'STREAMS', key, '>'] as const),
      )) as unknown as [[string, [[string]]]];
      await client.xack(key, 'analytics', id);
      await trim(client, new Partition(1, key, 0), 'me', ['me'], 60_000);
      expect(await client.xlen(key)).to.equal(1);
    });

    it('counts in its lag what nobody has finished, also after the streams were deleted', async () => {
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const worker = await work({ commands: { slow: () => released } });
      const lag = async () => /stream_lag\{partition="1"\} (\d+)/.exec(await worker.metrics.metrics())?.[1];
      const key = streamKey(NS, 1);
      const add = (request: string) => client.xadd(key, '*', 'r1', `${request}@@@60`, 'p', '/a');
      await add(`slow:${sidOf(1)}:1`);
      for (const id of ['2', '3', '4']) await add(`pageview:another-${sidOf(1)}:${id}`);
      await until('three are finished, and not trimmed', async () => (await lag()) === '1');
      await client.del(key);
      await until('it is there again', async () => (await client.exists(key)) === 1);
      await until('nothing is left', async () => (await lag()) === '0');
      await add(`slow:${sidOf(1)}:5`);
      await until('one is left', async () => (await lag()) === '1');
      release();
    });

    it('at its bound a partition refuses what comes, visibly, and keeps what nobody has read', async () => {
      const serving = serve({ maxBacklog: 10 });
      const reasons: string[] = [];
      serving.on('degraded', (_command, reason) => reasons.push(reason));
      for (let i = 0; i < 25; i++) serving.send('pageview', sidOf(2), `/${i}`, { ttlSeconds: 60 });
      await until('all are told', async () => reasons.length === 15);
      expect(new Set(reasons)).to.deep.equal(new Set(['shed']));
      expect(await client.xlen(streamKey(NS, 2))).to.equal(10);
      expect(await serving.metrics.metrics()).to.contain(
        'intelligent_session_requests_total{command="pageview",result="shed"} 15',
      );
      await work();
      await until('the first ten are counted', async () => (await viewsOf(client, NS, sidOf(2))) === 10);
    });

    it('removes a consumer that is gone only when nothing is pending for it', async () => {
      const key = streamKey(NS, 3);
      await client.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM');
      await client.xadd(key, '*', 'r1', `pageview:${sidOf(3)}:9@@@60`, 'p', '/a');
      await client.xreadgroup('GROUP', GROUP, 'dead', 'COUNT', 1, 'STREAMS', key, '>');
      await client.xgroup('CREATECONSUMER', key, GROUP, 'idle');
      const worker = await work();
      const taken = once(worker, 'claimed').then(([n]) => n);
      expect(
        await Promise.race([taken, until('it is counted', async () => (await viewsOf(client, NS, sidOf(3))) === 1)]),
      ).to.be.oneOf([1, undefined]);
      await until('only the worker is left', async () => {
        const consumers = (await client.call('XINFO', 'CONSUMERS', key, GROUP)) as string[][];
        const names = consumers.map((fields) => fields[fields.indexOf('name') + 1]);
        return names.length === 1 && names[0] === worker.id;
      });
      expect(await viewsOf(client, NS, sidOf(3))).to.equal(1);
    });

    it('gives up a message that was given out ten times, says so, and counts it as lost and none as refused', async () => {
      const key = streamKey(NS, 0);
      await client.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM');
      await client.xadd(key, '*', 'r1', `pageview:${sidOf(0)}:1@@@60`, 'p', '/a');
      await client.xadd(key, '*', 'r1', `pageview:${sidOf(0)}:2@@@60`, 'p', '/a');
      const [[, [[first]]]] = (await client.xreadgroup(
        'GROUP',
        GROUP,
        'dead',
        'COUNT',
        1,
        'STREAMS',
        key,
        '>',
      )) as unknown as [[string, [[string]]]];
      await client.xclaim(key, GROUP, 'dead', 0, first, 'RETRYCOUNT', 10);
      const faults: string[] = [];
      const worker = await work({ log: { info: () => {}, warn: (message) => faults.push(message) } });
      await until('the second is counted', async () => (await viewsOf(client, NS, sidOf(0))) === 1);
      expect(faults.join()).to.match(/1 messages were given out 10 times/);
      expect(await client.xpending(key, GROUP)).to.have.property('0', 0);
      const metrics = await worker.metrics.metrics();
      expect(metrics).to.contain('intelligent_session_worker_lost_total 1\n').and.not.to.contain('result="refused"');
      for (const form of ['r0', 'r1']) await client.xadd(key, '*', form, 'not a request', 'p', '');
      const refused = 'messages_total{command="unknown",result="refused"} 2\n';
      await until('both are refused', async () => (await worker.metrics.metrics()).includes(refused));
    });

    it('runs an application’s commands, and finishes those of a worker that is closed', async () => {
      const serving = serve();
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const worker = await work({ commands: { slow: async ({ payload }) => (await released, payload.length) } });
      const answer = serving.ask('slow', sidOf(1), 'four', { ttlSeconds: 60, timeoutMs: 5000 });
      await until('it is in hand', async () => {
        const [pending] = (await client.xpending(streamKey(NS, 1), GROUP).catch(() => [0])) as [number];
        return pending === 1;
      });
      const closed = worker.close();
      release();
      await closed;
      expect(await answer).to.deep.equal({ answered: true, data: 4 });
      expect(await client.xpending(streamKey(NS, 1), GROUP)).to.have.property('0', 0);
    });

    it('goes on after SCRIPT FLUSH, and after FLUSHALL', async () => {
      const serving = serve();
      await work();
      await serving.ask('pageview', 'flushed', '/a', { ttlSeconds: 60, timeoutMs: 2000 });
      await client.script('FLUSH');
      expect(
        await serving.ask('pageview', 'flushed', '/a', { ttlSeconds: 60, timeoutMs: 2000 }),
      ).to.have.nested.property('data.totalPages', 2);
      await client.flushall();
      await until('it counts again, from the beginning', async () => {
        const answer = await serving.ask('pageview', 'flushed', '/a', { ttlSeconds: 60, timeoutMs: 200 });
        return answer.answered;
      });
    });

    it('makes a partition anew in which a forged id has used up all ids: for a worker that is there, and one that comes', async () => {
      const last = '18446744073709551615-18446744073709551615';
      const key = streamKey(NS, 1);
      const exhausted = () => client.xadd(key, '*', 'r', '-', 'p', '-').catch((error: Error) => error.message);
      const serving = serve();
      const forge = async (...more: string[]) => {
        await client.call('XADD', key, ...more, last, 'r', 'pageview:forged:1@@@60', 'p', '/');
        expect(await exhausted()).to.match(/exhausted/);
      };
      const lines: string[] = [];
      const log = { info: () => {}, warn: (line: string) => lines.push(line) };
      const counts = async (worker: Worker, sid: string) => {
        await until('it counts in that partition', async () => {
          const { answered } = await serving.ask('pageview', sid, '/a', { ttlSeconds: 60, timeoutMs: 1000 });
          return answered;
        });
        expect(await serving.ask('pageview', sidOf(2), '/a', { ttlSeconds: 60, timeoutMs: 1000 })).to.have.property(
          'answered',
          true,
        );
        expect(await worker.isReady()).to.equal(true);
      };
      await forge();
      const late = await work({ log });
      await counts(late, sidOf(1));
      expect(await late.metrics.metrics()).to.contain('intelligent_session_worker_streams_remade_total 1');
      expect(await late.metrics.metrics()).to.contain('intelligent_session_worker_lost_total 1');
      expect(lines.join('\n')).to.match(/^stream: partition 1 had an entry .* 1 messages in it are lost[^\n]*$/);

      for (const [n, more] of [
        [2, []],
        [3, ['MAXLEN', '0']],
      ] as [number, string[]][]) {
        await forge(...more);
        await counts(late, sidOf(1));
        expect(await late.metrics.metrics()).to.contain(`intelligent_session_worker_streams_remade_total ${n}`);
      }
      // the last number of some time to come uses up nothing, and is trimmed like others
      await client.call('XADD', key, '99999999999999-18446744073709551615', 'r', '-', 'p', '-');
      await counts(late, sidOf(1));
      await until('all is trimmed', async () => (await client.xlen(key)) === 0);
      expect(await late.metrics.metrics()).to.contain('intelligent_session_worker_streams_remade_total 3');
    });

    it('goes on with the other partitions where the key of one is not a stream, is ready, and says so once', async () => {
      const lines: string[] = [];
      const log = { info: () => {}, warn: (line: string) => lines.push(line) };
      const failing = async (n: number) =>
        (await worker.metrics.metrics()).includes(`intelligent_session_worker_failing_partitions ${n}`);
      await client.set(streamKey(NS, 1), 'no stream');
      const worker = await work({ log });
      const serving = serve();
      const works = async () => {
        await until('the others are read', async () => {
          const { answered } = await serving.ask('pageview', sidOf(0), '/a', { ttlSeconds: 60, timeoutMs: 1000 });
          return answered && (await failing(1));
        });
        expect(await worker.isReady()).to.equal(true);
      };
      await works();
      await client.del(streamKey(NS, 1));
      await until('it is read again', () => failing(0));
      expect(await serving.ask('pageview', sidOf(1), '/a', { ttlSeconds: 60, timeoutMs: 1000 })).to.have.property(
        'answered',
        true,
      );
      await client.set(streamKey(NS, 1), 'no stream');
      await works();
      // messages of one turn go in one call: the one of this partition fails alone
      const asked = [0, 1, 2].map((partition) =>
        serving.ask('pageview', sidOf(partition), '/b', { ttlSeconds: 60, timeoutMs: 10_000 }),
      );
      expect((await Promise.all(asked)).map(({ answered }) => answered)).to.deep.equal([true, false, true]);
      expect(lines.filter((line) => /WRONGTYPE/.test(line)).length).to.be.within(1, 3);
    });

    it('a message that it has read of a key that is no stream any more fails alone, and not those of the same call', async () => {
      const target = openTarget(redis.url);
      await once(target.client, 'ready');
      const makeFilter = await bloomFilterMaker(target.client, 'fallback');
      const script = {
        bloom: makeFilter({ errorRate: 0.01, capacity: 100, expansion: 2 }),
        activityDays: 7,
        combos: new Map(),
        items: storedItems(undefined),
        messageAgeMs: 60_000,
      };
      const ending = new AcknowledgeAndPush(new Undrained(async () => false), () => {});
      const outcomes: string[] = [];
      const calls = new ScriptCalls<WorkerTask>(
        target,
        script,
        NS,
        ending,
        (_task, outcome) => void outcomes.push(outcome),
        () => {},
      );
      const context = { namespace: NS, ttlSeconds: 60, maxMessageAgeSeconds: 60, replies: { push: () => {} } };
      const tasks = await Promise.all(
        [0, 1, 2].map(async (number) => {
          const key = streamKey(NS, number);
          await client.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM');
          await client.xadd(key, '*', 'r1', `pageview:${sidOf(number)}:1@@@60`, 'p', '/a');
          const reply = await client.xreadgroup('GROUP', GROUP, 'me', 'COUNT', 1, 'STREAMS', key, '>');
          const [[, [entry]]] = reply as unknown as [[string, [Entry]]];
          return taskOf(entry, new Partition(number, key, 0), context);
        }),
      );
      await client.set(streamKey(NS, 1), 'no stream');
      try {
        expect(await calls.run(tasks)).to.deep.equal({ toSendAtOnce: [], toSendLater: [] });
        expect(outcomes).to.deep.equal(['done', 'duplicate', 'done']);
        expect(await Promise.all([0, 1, 2].map((number) => viewsOf(client, NS, sidOf(number))))).to.deep.equal([
          1, 0, 1,
        ]);
      } finally {
        target.client.disconnect();
      }
    });

    it('is ready while it listens', async () => {
      const worker = await work();
      expect(await worker.isReady()).to.equal(true);
      await worker.close();
      expect(await worker.isReady()).to.equal(false);
    });
  });
