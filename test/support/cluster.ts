import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';

/** A Redis Cluster of so many masters on loopback. */
export interface PrivateCluster {
  readonly nodes: readonly { host: string; port: number }[];
  stop(): Promise<void>;
}

export async function startCluster(masters = 3, args: readonly string[] = []): Promise<PrivateCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-'));
  const servers: PrivateRedis[] = [];
  const clients: Redis[] = [];
  const stop = async () => {
    for (const client of clients) client.disconnect();
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (let i = 0; i < masters; i++)
      servers.push(
        await startPrivateRedis({
          args: ['--cluster-enabled', 'yes', '--dir', folder, '--cluster-config-file', `nodes-${i}.conf`, ...args],
        }),
      );
    for (const { url } of servers) clients.push(new Redis(url));
    const slot = (i: number) => Math.floor((16384 * i) / masters);
    for (const [i, client] of clients.entries()) {
      await client.call('CLUSTER', 'ADDSLOTSRANGE', slot(i), slot(i + 1) - 1);
      await client.call('CLUSTER', 'MEET', '127.0.0.1', servers[0]?.port as number);
    }
    const settled = async (client: Redis) =>
      new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${masters}`).test(
        String(await client.call('CLUSTER', 'INFO')),
      );
    for (const client of clients) while (!(await settled(client))) await pause(20);
    for (const client of clients.splice(0)) client.disconnect();
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes: servers.map(({ port }) => ({ host: '127.0.0.1', port })), stop };
}
