import { Cluster, Redis } from 'ioredis';
import type { PrivateRedis } from '../../demo/private-redis.js';
import { createWorker, type IntelligentSessionOptions, type Worker } from '../../lib/index.js';
import { startCluster } from './cluster.js';
import { flavours, type Flavour, startServer } from './servers.js';

/** The options of intelligentSession() in one way; at most one `itemSecret`, which its worker gets, too. */
export type Way = Omit<IntelligentSessionOptions, 'itemSecret'> & { readonly itemSecret?: string };
/** The ways in which a site has its commands carried out, by their names in tests. */
export type Ways = Readonly<Record<string, Way>>;

export const itemSecret = 'a secret of more than sixteen';
export const ways = {
  embedded: { worker: 'embedded' },
  'embedded, with itemSecret': { worker: 'embedded', itemSecret },
  'pub/sub': {},
  streams: { transport: 'stream' },
} as const satisfies Ways;

/** Starts the worker that a site with these options needs; none where it is embedded. */
export async function startWorkerOf(options: Way): Promise<Worker | undefined> {
  if (options.worker === 'embedded') return undefined;
  const { redis, namespace, transport, itemSecret: secret, commands } = options;
  return createWorker({
    ...(redis !== undefined && { redis }),
    ...(namespace !== undefined && { namespace }),
    ...(transport && { transport }),
    ...(secret !== undefined && { itemSecret: secret }),
    ...(commands && { commands }),
  });
}

/** What a suite opens on a Redis or a Cluster. */
export interface Opened {
  close(): Promise<unknown>;
}
/** By `client` a suite sees what is stored. */
type Open<T extends Opened> = (redis: string | Cluster, client: Redis | Cluster, options: Way) => Promise<T>;

/** Runs a suite on each flavour of server, in those of the ways that `isTried` allows. */
export function onServers<T extends Opened>(
  title: string,
  all: Ways,
  isTried: (flavour: Flavour, way: string) => boolean,
  open: Open<T>,
  suite: (opened: () => T) => void,
): void {
  for (const flavour of flavours)
    for (const [way, options] of Object.entries(all)) {
      if (!isTried(flavour, way)) continue;
      describe(`${title}, on ${flavour.name}, ${way}`, () => {
        let redis: PrivateRedis;
        let client: Redis;
        let opened: T;
        before(async function () {
          redis = await startServer(this, flavour);
          client = new Redis(redis.url);
          opened = await open(redis.url, client, options);
        });
        after(async () => {
          await opened?.close();
          client?.disconnect();
          await redis?.stop();
        });
        suite(() => opened);
      });
    }
}

/** Runs a suite on a Cluster of three masters, which is empty before each way. */
export function onCluster<T extends Opened>(
  title: string,
  all: Ways,
  open: Open<T>,
  suite: (opened: () => T) => void,
): void {
  describe(`${title}, on a Cluster`, () => {
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

    for (const [way, options] of Object.entries(all))
      describe(way, () => {
        let opened: T;
        before(async () => {
          for (const master of await cluster.masters()) {
            const one = new Redis(master.url);
            await one.flushall();
            one.disconnect();
          }
          opened = await open(client, client, options);
        });
        after(() => opened?.close());
        suite(() => opened);
      });
  });
}
