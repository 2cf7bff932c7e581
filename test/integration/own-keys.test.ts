import { Cluster, Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type IntelligentSessionOptions, intelligentSession } from '../../lib/index.js';
import { commands, itKeepsOwnKeys, type OwnKeysGround } from '../contract/own-keys.js';
import { startCluster } from '../support/cluster.js';
import { flavours, startServer } from '../support/servers.js';

const namespace = 'own-keys:';
const base = { namespace, secret: 'test' } as const;

const ways: Readonly<Record<string, IntelligentSessionOptions>> = {
  embedded: { worker: 'embedded', commands },
  'pub/sub': {},
  streams: { transport: 'stream' },
};

async function openGround(redis: string | Cluster, client: Redis | Cluster, options: IntelligentSessionOptions) {
  const { transport } = options;
  const worker =
    options.worker === 'embedded'
      ? undefined
      : await createWorker({ redis, namespace, commands, ...(transport && { transport }) });
  const sessions = intelligentSession({ ...base, ...options, redis });
  const faults: Error[] = [];
  worker?.on('fault', (error) => void faults.push(error));
  if (!worker) sessions.serving.on('fault', (error) => void faults.push(error));
  const ground: OwnKeysGround = { client, serving: sessions.serving, faults };
  return { ground, close: async () => void (await Promise.all([sessions.close(), worker?.close()])) };
}

for (const flavour of flavours)
  for (const [way, options] of Object.entries(ways)) {
    if (flavour.server !== 'redis-7.0' && way !== 'embedded') continue;
    describe(`keys of an application's commands, on ${flavour.name}, ${way}`, () => {
      let redis: PrivateRedis;
      let client: Redis;
      let opened: Awaited<ReturnType<typeof openGround>>;
      before(async function () {
        redis = await startServer(this, flavour);
        client = new Redis(redis.url);
        opened = await openGround(redis.url, client, options);
      });
      after(async () => {
        await opened?.close();
        client?.disconnect();
        await redis?.stop();
      });
      itKeepsOwnKeys(namespace, () => opened.ground);
    });
  }

describe("keys of an application's commands, on a Cluster", () => {
  let cluster: Awaited<ReturnType<typeof startCluster>>;
  let client: Cluster;
  before(async function () {
    this.timeout(60_000);
    cluster = await startCluster(3);
    client = new Cluster([...cluster.nodes]);
    client.on('error', () => {});
  });
  after(async function () {
    this.timeout(60_000);
    client?.disconnect();
    await cluster?.stop();
  });

  for (const [way, options] of Object.entries(ways))
    describe(way, () => {
      let opened: Awaited<ReturnType<typeof openGround>>;
      before(async () => {
        for (const master of await cluster.masters()) {
          const one = new Redis(master.url);
          await one.flushall();
          one.disconnect();
        }
        opened = await openGround(client, client, options);
      });
      after(() => opened?.close());
      itKeepsOwnKeys(namespace, () => opened.ground);
    });
});
