import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startPrivateRedis } from '../demo/private-redis.js';
import { check, type Operation, type Violation } from './checker.js';
import { injectFaults } from './faults.js';
import { FaultyLink } from './faulty-link.js';
import { Random } from './random.js';
import type { SiteSettings } from './site.js';
import { Workload } from './workload.js';

export interface SoakOptions {
  readonly ms: number;
  readonly processes: number;
  readonly visitors: number;
  /** The choices of faults and operations; what meets what is decided by the machine, too. */
  readonly seed: number;
  readonly saveMode: 'merge' | 'overwrite';
  readonly faults: boolean;
}

export interface Verdict {
  readonly operations: Readonly<Record<Operation['outcome'], number>>;
  readonly faults: ReadonlyMap<string, number>;
  readonly violations: readonly Violation[];
}

const SITE = fileURLToPath(new URL('./site.ts', import.meta.url));

/** App processes on one Redis that keeps what it acknowledges, visitors, faults, and what the checker says of the history. */
export async function soak(options: SoakOptions): Promise<Verdict> {
  const ends: (() => unknown)[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'soak-'));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  try {
    const args = ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder];
    let redis = await startPrivateRedis({ args });
    const { port } = redis;
    ends.push(() => redis.stop());
    const links: FaultyLink[] = [];
    const apps: ChildProcess[] = [];
    const urls: string[] = [];
    ends.push(() => apps.map((app) => app.kill('SIGKILL')));
    const settings: SiteSettings[] = [];
    for (let i = 0; i < options.processes; i++) {
      const link = await FaultyLink.open(port);
      ends.push(() => link.close());
      links.push(link);
      const own = await freePort();
      urls.push(`http://127.0.0.1:${own}`);
      settings.push({ redis: `redis://127.0.0.1:${link.port}`, saveMode: options.saveMode, port: own });
    }
    const startApp = async (number: number) => {
      const app = fork(SITE, [JSON.stringify(settings[number])], {
        execArgv: ['--import', 'tsx'],
        // Express then prints no error that a page has answered
        env: { ...process.env, NODE_ENV: 'test' },
      });
      apps[number] = app;
      const failed = once(app, 'exit').then(([code]) => {
        throw new Error(`an app process ended with ${code}`);
      });
      failed.catch(() => {}); // heard only until it listens
      await Promise.race([once(app, 'message'), failed]);
    };
    await Promise.all(settings.map((_, i) => startApp(i)));

    const workload = new Workload(urls, new Random(options.seed));
    const told = new Map<string, number>();
    const over = new AbortController();
    const faulty = options.faults
      ? injectFaults(
          {
            ...{ links, urls, redisPort: () => redis.port, redisPid: () => redis.pid },
            restartRedis: async () => {
              process.kill(redis.pid, 'SIGKILL');
              await redis.stop();
              redis = await startPrivateRedis({ args, port });
            },
            restartApp: async (number) => {
              const app = apps[number] as ChildProcess;
              const ended = once(app, 'exit');
              app.kill('SIGKILL');
              await ended;
              await startApp(number);
            },
          },
          new Random(options.seed + 1),
          over.signal,
          (name) => told.set(name, (told.get(name) ?? 0) + 1),
        )
      : undefined;
    const work = workload.run(options.visitors);
    try {
      await Promise.race([pause(options.ms), ...(faulty ? [faulty] : [])]);
    } finally {
      over.abort();
      await faulty;
      workload.stop();
      await work;
    }
    await Promise.all(urls.map(isBack));
    await workload.readAll();

    const operations = { acknowledged: 0, failed: 0, unknown: 0 };
    for (const { outcome } of workload.history) operations[outcome]++;
    return { operations, faults: told, violations: check(workload.history) };
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Resolves when a site serves sessions again. */
async function isBack(url: string): Promise<void> {
  for (const end = performance.now() + 20_000; performance.now() < end; await pause(50)) {
    const response = await fetch(`${url}/read?takesMs=0`, { method: 'POST' }).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.ok) return;
  }
  throw new Error('a site does not serve sessions 20 s after the last fault');
}

/** An app keeps its port when it is started again. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
