import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import type { Certificate } from './certificate.js';
import { freePort } from './free-port.js';

interface SentinelSettings {
  readonly quorum?: number;
  readonly settings?: readonly string[];
  /** the Sentinel listens by TLS only; to the servers that it watches it speaks in clear */
  readonly certificate?: Certificate;
  /** the Sentinel speaks TLS to the servers that it watches, too */
  readonly watchesByTls?: boolean;
}

/** A Sentinel (redis-server with `--sentinel`) that watches the master at this port by the name `main`. */
export async function startSentinel(
  master: number,
  { quorum = 1, settings = [], certificate, watchesByTls = false }: SentinelSettings = {},
  tries = 5,
): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const listen = certificate
    ? [['port', '0'], ['tls-port', port], ...certificate.directives, ['tls-replication', watchesByTls ? 'yes' : 'no']]
    : [['port', port]];
  const folder = mkdtempSync(join(tmpdir(), 'sentinel-'));
  const file = join(folder, 'sentinel.conf');
  const watched = [`monitor main 127.0.0.1 ${master} ${quorum}`, ...settings].map((line) => `sentinel ${line}\n`);
  writeFileSync(
    file,
    `${listen.map((line) => line.join(' ')).join('\n')}\nbind 127.0.0.1\ndir ${folder}\n${watched.join('')}`,
  );
  const server = spawn('redis-server', [file, '--sentinel'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(server, 'exit');
  let isWatching = false;
  for await (const line of server.stdout)
    if (/\+monitor master/.test(String(line))) {
      isWatching = true;
      break;
    }
  if (!isWatching) {
    // another process has taken the port
    rmSync(folder, { recursive: true, force: true });
    if (tries === 1) throw new Error('redis-server --sentinel ended at once');
    return startSentinel(master, { quorum, settings, ...(certificate && { certificate }), watchesByTls }, tries - 1);
  }
  server.stdout.resume();
  return {
    port,
    stop: async () => {
      server.kill();
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A master, its replica, and three Sentinels of which two decide. */
export interface SentinelTrio {
  readonly sentinels: readonly { host: string; port: number }[];
  /** the master at the start */
  readonly master: PrivateRedis;
  readonly replica: PrivateRedis;
  stop(): Promise<void>;
}

/** A master is taken to be dead after a second, so that tests need not wait for long. */
const QUICK = ['down-after-milliseconds main 1000', 'failover-timeout main 5000', 'parallel-syncs main 1'];

export async function startSentinelTrio(): Promise<SentinelTrio> {
  const started: { stop(): Promise<void> }[] = [];
  const toStop = <T extends { stop(): Promise<void> }>(one: T): T => {
    started.unshift(one);
    return one;
  };
  // a replica writes what it gets from its master to a file
  const folder = mkdtempSync(join(tmpdir(), 'trio-'));
  const stop = async () => {
    for (const one of started) await one.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const args = ['--repl-diskless-sync-delay', '0', '--dir', folder];
    const master = toStop(await startPrivateRedis({ args }));
    const replica = toStop(
      await startPrivateRedis({
        args: [...args, '--dbfilename', 'replica.rdb', '--replicaof', '127.0.0.1', `${master.port}`],
      }),
    );
    const sentinels = [];
    for (let i = 0; i < 3; i++) {
      const { port } = toStop(await startSentinel(master.port, { quorum: 2, settings: QUICK }));
      sentinels.push({ host: '127.0.0.1', port });
    }
    // wait until each knows the others and the replica: else nobody is elected
    for (const { port } of sentinels) {
      const client = new Redis(port);
      const all = async () => {
        const main = new Map(pairsOf((await client.call('SENTINEL', 'MASTER', 'main')) as string[]));
        return main.get('num-other-sentinels') === '2' && main.get('num-slaves') === '1';
      };
      while (!(await all())) await pause(50);
      client.disconnect();
    }
    return { sentinels, master, replica, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A reply of Redis in which each name is followed by its value. */
const pairsOf = (list: readonly string[]) =>
  list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1]] as const] : []));
