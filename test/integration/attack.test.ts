import { expect } from 'chai';
import { Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { WorkerProcess } from '../../demo/worker-process.js';
import { createBloomFilter, createWorker, type Worker } from '../../lib/index.js';
import { storedItems } from '../../lib/intelligence/command/stored-item.js';
import { commandKeys } from '../../lib/intelligence/keys.js';
import { channelOf, requestOf } from '../../lib/transport/protocol.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { flood } from '../support/flood.js';
import { flavours, startServer } from '../support/servers.js';
import { figures } from '../support/traffic.js';
import { until } from '../support/until.js';

for (const bloom of ['fallback', 'module'] as const)
  describe(`one visitor who asks for as much as can be (${bloom})`, () => {
    let redis: PrivateRedis;
    let client: Redis;
    let worker: Worker;
    let serving: RemoteExecutor;
    const open: (() => Promise<unknown>)[] = [];

    before(async function () {
      redis = await startServer(
        this,
        flavours.find((one) => one.server === 'redis-7.0' && one.bloom === bloom) as never,
      );
      client = new Redis(redis.url);
      worker = await createWorker({ redis: redis.url, bloom });
      serving = new RemoteExecutor(redis.url);
    });
    afterEach(async () => {
      for (const close of open.splice(0).reverse()) await close();
    });
    after(async () => {
      await serving?.close();
      await worker?.close();
      client?.disconnect();
      await redis?.stop();
    });

    const asked = async (command: string, sid: string, payload: unknown, way = serving): Promise<unknown> => {
      const answer = await way.ask(command, sid, payload, { ttlSeconds: 3600, timeoutMs: 10_000 });
      expect(answer, command).to.have.property('answered', true);
      return answer.answered ? answer.data : undefined;
    };
    const countOf = async (metric: string, of = worker): Promise<number> =>
      (await of.metrics.getSingleMetric(metric)?.get())?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;

    it('leaves the others at least 98 % of their page views answered', async function () {
      this.timeout(60_000);
      const own = new WorkerProcess(['--redis', redis.url, '--bloom', bloom, '--namespace', 'flood:'], 'ignore');
      await own.start();
      open.push(() => own.stop());
      const told = await flood(redis.url, { namespace: 'flood:', ms: 2000 });
      figures(JSON.stringify(told));
      expect(told.answered + told.unanswered).to.be.above(100);
      expect(told.answered / (told.answered + told.unanswered)).to.be.at.least(0.98);
    });

    it('fills a filter to 256 kB and no further: what is not in it stays fresh, what is is known', async function () {
      this.timeout(60_000);
      const keys = commandKeys('', 'filler');
      const filter = await createBloomFilter(client, bloom);
      const stored = storedItems(undefined);
      const known = Array.from({ length: 50_900 }, (_, i) => stored.of('filler', `/${i}`));
      await asked('pageview', 'filler', '/0');
      await asked('mark-notification-seen', 'filler', '/0');
      for (const key of [keys.visited, keys.notified]) await filter.addMany(key, known);
      const some = Array.from({ length: 1000 }, (_, i) => `/more-${i}`);
      for (const command of ['pageview', 'mark-notification-seen'])
        await Promise.all(some.map((page) => asked(command, 'filler', page)));
      const bytes = await Promise.all([keys.visited, keys.notified].map((key) => client.memory('USAGE', key)));
      for (const each of bytes) expect(each).to.be.below(256 * 1024);
      expect(await countOf('intelligent_session_worker_refused_items_total')).to.be.above(500);
      expect(await asked('pageview', 'filler', '/never')).to.include({ previouslyVisited: false });
      expect(await asked('pageview', 'filler', '/never')).to.include({ previouslyVisited: false });
      expect(await asked('pageview', 'filler', '/1')).to.include({ previouslyVisited: true });
      expect(await asked('featuredpages', 'filler', ['/1', '/never'])).to.deep.equal(['/never']);
    });

    for (const transport of ['pubsub', 'stream'] as const)
      it(`gets the answer to a list of 10,000 whole, in its order among what was sent (${transport})`, async () => {
        const own = await createWorker({ redis: redis.url, bloom, transport, namespace: 'long:' });
        const way = new RemoteExecutor(redis.url, { transport, namespace: 'long:' });
        open.push(
          () => own.close(),
          () => way.close(),
        );
        const sid = `long-${transport}`;
        const pages = Array.from({ length: 10_000 }, (_, i) => `/${i}`);
        const visited = pages.filter((_, i) => i % 500 === 0);
        for (const page of visited) await asked('pageview', sid, page, way);
        const last = pages.at(-1) as string;
        const [before, , after, all, none, seen] = await Promise.all([
          asked('featuredpages', sid, pages, way),
          asked('pageview', sid, last, way),
          asked('featuredpages', sid, pages, way),
          asked(
            'combo',
            sid,
            Array.from({ length: 10_000 }, (_, i) => visited[i % visited.length]),
            way,
          ),
          asked('combo', sid, [...visited, '/5'], way),
          asked('notifications', sid, pages, way),
        ]);
        const fresh = new Set(before as string[]);
        for (const page of visited) expect(fresh.has(page), page).to.equal(false);
        expect(fresh.has(last), 'the view came after it').to.equal(true);
        expect(fresh.size, 'false positives of the filter').to.be.above(9800);
        expect((before as string[]).toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)))).to.deep.equal(before);
        expect(after).to.deep.equal((before as string[]).filter((page) => page !== last));
        expect([all, none]).to.deep.equal([1, 0]);
        expect(seen).to.deep.equal(pages.map((id) => ({ id, seen: false })));
        if (transport === 'stream')
          await until('all are finished', async () => {
            const waiting = await client.keys('long:ss:stream:{*}');
            const groups = await Promise.all(waiting.map((key) => client.xpending(key, 'workers')));
            return groups.every(([pending]) => pending === 0);
          });
      });

    it('is not asked again what was read in vain: a list whose call had no answer in time is sent once', async () => {
      const own = await createWorker({
        redis: { host: '127.0.0.1', port: redis.port, commandTimeout: 100 },
        bloom,
        namespace: 'once:',
      });
      open.push(() => own.close());
      const way = new RemoteExecutor(redis.url, { namespace: 'once:' });
      open.push(() => way.close());
      await asked('pageview', 'reader', '/a', way);
      const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]);
      const failed = new Promise((resolve) => own.once('fault', resolve));
      const before = await calls();
      // the message is on its way when Redis begins to let scripts wait
      const channel = channelOf('once:', requestOf('featuredpages', 'reader', 'list@@@60'));
      await client.pipeline().publish(channel, '["/a","/b"]').call('CLIENT', 'PAUSE', '10000', 'WRITE').exec();
      await failed;
      await client.call('CLIENT', 'UNPAUSE');
      // whatever would be sent again is sent before this
      await asked('pageview', 'reader', '/b', way);
      expect((await calls()) - before).to.equal(2);
    });
  });
