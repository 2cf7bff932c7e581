import { Cluster, Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type IntelligentSessionOptions, intelligentSession } from '../../lib/index.js';
import { type CarryGround, itCarriesWhatIsKnown } from '../contract/carried.js';
import { startCluster } from '../support/cluster.js';
import { flavours, startServer } from '../support/servers.js';

const namespace = 'carried:';
const itemSecret = 'a secret of more than sixteen';
const base = { namespace, secret: 'test' } as const;

const ways: Readonly<Record<string, IntelligentSessionOptions>> = {
  embedded: { worker: 'embedded' },
  'embedded, with itemSecret': { worker: 'embedded', itemSecret },
  'pub/sub': {},
  'pub/sub, with itemSecret': { itemSecret },
  'pub/sub, a list a request': { replies: 'list' },
  streams: { transport: 'stream' },
};

/** Opens what carries commands out by these options; gives what closes it as well. */
async function openGround(redis: string | Cluster, client: Redis | Cluster, options: IntelligentSessionOptions) {
  const { transport, itemSecret: secret } = options;
  const worker =
    options.worker === 'embedded'
      ? undefined
      : await createWorker({
          redis,
          namespace,
          ...(transport && { transport }),
          ...(secret && { itemSecret: secret }),
        });
  const sessions = intelligentSession({ ...base, ...options, redis });
  const ground: CarryGround = { client, serving: sessions.serving, itemSecret: options.itemSecret };
  return { ground, close: async () => void (await Promise.all([sessions.close(), worker?.close()])) };
}

for (const flavour of flavours)
  for (const [way, options] of Object.entries(ways)) {
    if (flavour.server !== 'redis-7.0' && way !== 'pub/sub' && way !== 'embedded') continue;
    describe(`what a login carries, on ${flavour.name}, ${way}`, () => {
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
      itCarriesWhatIsKnown(namespace, () => opened.ground);
    });
  }

describe('what a login carries, on a Cluster', () => {
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

  for (const way of ['embedded', 'embedded, with itemSecret', 'pub/sub', 'streams'])
    describe(way, () => {
      let opened: Awaited<ReturnType<typeof openGround>>;
      before(async () => {
        await client.flushall().catch(() => {});
        for (const master of await cluster.masters()) {
          const one = new Redis(master.url);
          await one.flushall();
          one.disconnect();
        }
        opened = await openGround(client, client, ways[way] as IntelligentSessionOptions);
      });
      after(() => opened?.close());
      itCarriesWhatIsKnown(namespace, () => opened.ground);
    });
});
