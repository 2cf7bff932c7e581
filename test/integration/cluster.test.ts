import { expect } from 'chai';
import express from 'express';
import { Cluster, Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import {
  createWorker,
  type IntelligentSession,
  intelligentSession,
  RedisSessionStore,
  type Worker,
} from '../../lib/index.js';
import { intelligenceKeys } from '../../lib/intelligence/keys.js';
import { leaseKey, streamKey } from '../../lib/redis/keys.js';
import { RemoteExecutor } from '../../lib/serving/remote-executor.js';
import { combos, itKnowsItsVisitors, shopOf } from '../contract/intelligence.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { startDistance } from '../support/delay.js';
import { BACK_MS, surviveFailover } from '../support/failover.js';
import { Site } from '../support/site.js';
import { until } from '../support/until.js';

const NAMESPACE = 'test:';
const PARTITIONS = 16;

/** The server where a serving layer waits for its answers. */
async function inboxOf(servers: readonly PrivateRedis[]): Promise<PrivateRedis | undefined> {
  for (const server of servers) {
    const client = new Redis(server.url);
    const clients = String(await client.client('LIST'));
    client.disconnect();
    if (/cmd=blm?pop/.test(clients)) return server;
  }
  return undefined;
}

for (const way of ['pubsub', 'stream', 'embedded'] as const)
  describe(`the intelligent session on a Cluster of three masters and three replicas, ${way === 'embedded' ? way : `by ${way}`}`, () => {
    const of = { namespace: NAMESPACE, ...(way === 'embedded' ? { worker: way } : { transport: way }) };
    let cluster: PrivateCluster;
    let client: Cluster;
    let worker: Worker | undefined;
    let sessions: IntelligentSession;
    let site: Site;

    before(async function () {
      this.timeout(60_000);
      cluster = await startCluster(3, [], { replicas: true });
      client = new Cluster([...cluster.nodes]);
      client.on('error', () => {});
      if (way !== 'embedded') worker = await createWorker({ redis: client, namespace: NAMESPACE, transport: way });
      sessions = intelligentSession({
        redis: client,
        ...of,
        secret: 'test',
        timeout: 2000,
        combos,
      });
      site = await Site.open(shopOf(sessions, express()));
    });
    after(async function () {
      this.timeout(60_000);
      await site?.close();
      await sessions?.close();
      await worker?.close();
      client?.disconnect();
      await cluster?.stop();
    });

    itKnowsItsVisitors(NAMESPACE, () => ({ client, sessions, site }));

    if (way !== 'embedded')
      it('the worker is ready', async () => {
        expect(await worker?.isReady()).to.equal(true);
      });

    if (way === 'stream') {
      it('spreads the partitions over the masters', async () => {
        const held = new Map<number, number>();
        for (let i = 0; i < PARTITIONS; i++) {
          const { pid } = await cluster.masterOf(streamKey(NAMESPACE, i));
          held.set(pid, (held.get(pid) ?? 0) + 1);
        }
        expect(held.size).to.equal(3);
        for (const partitions of held.values()) expect(partitions).to.be.at.least(3);
      });

      it('workers share the partitions, and one that goes leaves its to the others', async () => {
        const others = await Promise.all(
          [1, 2].map(() => createWorker({ redis: client, namespace: NAMESPACE, transport: way })),
        );
        const shares = async () => {
          const all = Array.from({ length: PARTITIONS }, (_, i) => client.get(leaseKey(NAMESPACE, i)));
          const ids = await Promise.all(all);
          return [worker, ...others].map((one) => ids.filter((id) => id === one?.id).length);
        };
        await until('three shares', async () => (await shares()).every((share) => share >= 5), BACK_MS);
        const sids = Array.from({ length: 40 }, (_, i) => `shared-${i}`);
        const ask = async (sid: string) =>
          sessions.serving.ask('pageview', sid, '/a', { ttlSeconds: 60, timeoutMs: 2000 });
        for (const answer of await Promise.all(sids.map(ask)))
          expect(answer).to.have.nested.property('data.totalPages', 1);
        await Promise.all(others.map((other) => other.close()));
        await until('all back', async () => (await shares())[0] === PARTITIONS, BACK_MS);
        for (const answer of await Promise.all(sids.map(ask)))
          expect(answer).to.have.nested.property('data.totalPages', 2);
      });
    }

    it('masters die under traffic: every request is answered, and reports come again', async function () {
      this.timeout(90_000);
      await surviveFailover({ redis: client, ...of }, async ({ ids, reports }) => {
        const replicated = await cluster.masters();
        const masterOfAny = async (keys: readonly string[]) => {
          const masters = await Promise.all(keys.map((key) => cluster.masterOf(key)));
          return masters.find((master) => replicated.includes(master));
        };
        const held =
          way === 'stream'
            ? Array.from({ length: PARTITIONS }, (_, i) => streamKey(NAMESPACE, i))
            : ids.map((id) => intelligenceKeys(NAMESPACE, id).activity);
        const victims: [what: string, find: () => Promise<PrivateRedis | undefined>][] = [
          [way === 'stream' ? 'partitions' : 'visitors', () => masterOfAny(held)],
        ];
        if (way !== 'embedded') victims.unshift(['an inbox', () => inboxOf(replicated)]);
        for (const [what, find] of victims) {
          const victim = await find();
          if (!victim) throw new Error(`no master with ${what}`);
          cluster.kill(victim);
          await reports(`the master of ${what} killed`);
          await until('another master', async () => !(await cluster.masters()).includes(victim), BACK_MS);
          await reports();
        }
      });
      if (worker) await until('the worker is ready again', () => (worker as Worker).isReady(), BACK_MS);
    });
  });

describe('a Cluster all of whose nodes are gone', () => {
  it('is away, also where the caller’s own client lets each node reconnect by itself', async () => {
    const cluster = await startCluster(1);
    const given = new Cluster([...cluster.nodes], { lazyConnect: true, clusterNodeRetryStrategy: () => 50 });
    const store = new RedisSessionStore({ redis: given });
    try {
      let isAway = false;
      store.on('fault', () => {}).on('away', () => (isAway = true));
      await store.get('nobody');
      const [master] = await cluster.masters();
      cluster.kill(master as PrivateRedis);
      await until('the store says so', async () => {
        await store.get('nobody').catch(() => {});
        return isAway;
      });
    } finally {
      await store.close();
      await cluster.stop();
    }
  });
});

describe('a Cluster that is far away', () => {
  it('is connected to, though a node takes more than a second to name the others', async () => {
    const cluster = await startCluster(1);
    const [{ host, port }] = cluster.nodes as [{ host: string; port: number }];
    const far = await startDistance(port, 270);
    const near = { host: '127.0.0.1', port: Number(new URL(far.url).port) };
    const given = new Cluster([near], { lazyConnect: true, natMap: { [`${host}:${port}`]: near } });
    const store = new RedisSessionStore({ redis: given });
    try {
      await until('the store is connected', () => store.client.status === 'ready');
    } finally {
      await store.close();
      await far.stop();
      await cluster.stop();
    }
  });
});

describe('a node that leaves a Cluster and goes on answering', () => {
  let cluster: PrivateCluster;
  beforeEach(async function () {
    this.timeout(60_000);
    cluster = await startCluster(3);
  });
  afterEach(() => cluster?.stop());

  for (const [role, word] of [
    ['subscribed', /cmd=psubscribe/],
    ['published', /cmd=publish/],
  ] as const)
    it(`is left by who has ${role} there`, async () => {
      const client = new Cluster([...cluster.nodes], { slotsRefreshInterval: 200 });
      const worker = await createWorker({ redis: client, namespace: NAMESPACE });
      const serving = new RemoteExecutor(client, { namespace: NAMESPACE });
      const ask = async () => (await serving.ask('pageview', 'sid', '/a', { ttlSeconds: 60, timeoutMs: 500 })).answered;
      await until('it works', ask, BACK_MS);
      const nodes = cluster.nodes.map(({ host, port }) => new Redis(port, host));
      try {
        const lists = await Promise.all(nodes.map(async (node) => String(await node.client('LIST'))));
        const leaving = nodes[lists.findIndex((list) => word.test(list))] as Redis;
        const staying = nodes.filter((node) => node !== leaving);
        const ids = await Promise.all(staying.map((node) => node.call('CLUSTER', 'MYID')));
        const left = await leaving.call('CLUSTER', 'MYID');
        const ranges = (await leaving.call('CLUSTER', 'SLOTS')) as [number, number, [string, number, string]][];
        const slots = ranges
          .filter(([, , [, , id]]) => id === left)
          .flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
        await Promise.all(nodes.map((node) => node.flushall()));
        // or the one that leaves may claim its slots back, by a later epoch, before it is told
        await staying[0]?.call('CLUSTER', 'BUMPEPOCH');
        for (const node of [...staying, leaving]) {
          const moves = node.pipeline();
          for (const slot of slots) moves.call('CLUSTER', 'SETSLOT', slot, 'NODE', ids[0] as string);
          await moves.exec();
        }
        for (const node of staying) await node.call('CLUSTER', 'FORGET', left as string);
        await leaving.call('CLUSTER', 'RESET', 'HARD');
        // who publishes and who listens may both be there, and hear each other till they leave
        await until('it is left', async () => !word.test(String(await leaving.client('LIST'))), BACK_MS);
        await until('it works again', ask, BACK_MS);
      } finally {
        for (const node of nodes) node.disconnect();
        await serving.close();
        await worker.close();
        client.disconnect();
      }
    }).timeout(60_000);
});
