import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import calculateSlot from 'cluster-key-slot';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';

/** A Redis Cluster of so many masters on loopback, each with a replica if asked for. */
export interface PrivateCluster {
  readonly nodes: readonly { host: string; port: number }[];
  /** The masters that live, as a server that lives knows them. */
  masters(): Promise<readonly PrivateRedis[]>;
  /** The master that holds a key. */
  masterOf(key: string): Promise<PrivateRedis>;
  /** Kills a server by SIGKILL, for good. */
  kill(server: PrivateRedis): void;
  stop(): Promise<void>;
}

/** A replica asks to be elected as soon as its master has been gone for so long. */
const NODE_TIMEOUT_MS = 1500;

/** One range of slots in the reply of CLUSTER SLOTS. */
type Range = readonly [first: number, last: number, master: readonly [host: string, port: number]];

export async function startCluster(
  masters = 3,
  args: readonly string[] = [],
  { replicas = false } = {},
): Promise<PrivateCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-'));
  const servers: PrivateRedis[] = [];
  const clients: Redis[] = [];
  const dead = new Set<PrivateRedis>();
  const count = replicas ? masters * 2 : masters;
  const stop = async () => {
    for (const client of clients) client.disconnect();
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (let i = 0; i < count; i++)
      servers.push(
        await startPrivateRedis({
          args: [
            ...['--cluster-enabled', 'yes', '--dir', folder, '--cluster-config-file', `nodes-${i}.conf`],
            // a replica writes what it gets from its master to a file, and all have the same folder
            ...(replicas ? [...failoverArgs, '--dbfilename', `${i}.rdb`] : []),
            ...args,
          ],
        }),
      );
    for (const { url } of servers) clients.push(new Redis(url));
    const firstSlot = (i: number) => Math.floor((16384 * i) / masters);
    for (const [i, client] of clients.entries()) {
      // ADDSLOTSRANGE is there since Redis 7
      const slots = Array.from({ length: firstSlot(i + 1) - firstSlot(i) }, (_, at) => firstSlot(i) + at);
      if (i < masters) await client.call('CLUSTER', 'ADDSLOTS', ...slots);
      await client.call('CLUSTER', 'MEET', '127.0.0.1', servers[0]?.port as number);
    }
    const settled = async (client: Redis) =>
      new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${count}`).test(String(await client.call('CLUSTER', 'INFO')));
    for (const client of clients) while (!(await settled(client))) await pause(20);
    for (const [i, replica] of clients.slice(masters).entries()) {
      await replica.call('CLUSTER', 'REPLICATE', String(await clients[i]?.call('CLUSTER', 'MYID')));
      while (!/master_link_status:up/.test(await replica.info('replication'))) await pause(20);
    }
    // and until every server knows each master's replica
    const known = async (client: Redis) =>
      ((await client.call('CLUSTER', 'SLOTS')) as unknown[][]).every((range) => range.length === (replicas ? 4 : 3));
    for (const client of clients) while (!(await known(client))) await pause(20);
    for (const client of clients.splice(0)) client.disconnect();
  } catch (error) {
    await stop();
    throw error;
  }

  const ranges = async (): Promise<Range[]> => {
    const living = servers.find((server) => !dead.has(server)) as PrivateRedis;
    const client = new Redis(living.url);
    try {
      return (await client.call('CLUSTER', 'SLOTS')) as Range[];
    } finally {
      client.disconnect();
    }
  };
  const serverAt = ([, , [, port]]: Range) => servers.find((server) => server.port === port) as PrivateRedis;
  return {
    nodes: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
    masters: async () => (await ranges()).map(serverAt).filter((server) => !dead.has(server)),
    masterOf: async (key) => {
      const slot = calculateSlot(key);
      return serverAt((await ranges()).find(([first, last]) => slot >= first && slot <= last) as Range);
    },
    kill: (server) => {
      dead.add(server);
      process.kill(server.pid, 'SIGKILL');
    },
    stop,
  };
}

/** The arguments of servers with replicas: a replica is elected however long it has not heard from its master. */
const failoverArgs = [
  ...['--cluster-node-timeout', String(NODE_TIMEOUT_MS), '--cluster-replica-validity-factor', '0'],
  ...['--repl-diskless-sync-delay', '0'],
];
