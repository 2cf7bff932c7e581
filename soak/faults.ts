import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { FaultyLink } from './faulty-link.js';
import type { Random } from './random.js';

/** What a fault can be done to. */
export interface Targets {
  /** each app process' own way to Redis */
  readonly links: readonly FaultyLink[];
  readonly urls: readonly string[];
  readonly redisPort: () => number;
  readonly redisPid: () => number;
  /** SIGKILL, and the same again with the same data */
  restartRedis(): Promise<void>;
  restartApp(number: number): Promise<void>;
}

type Fault = (targets: Targets, random: Random) => Promise<void>;

const forAWhile = (random: Random) => pause(random.whole(50, 500));

/** Treats one link for a while. */
const onLink =
  (start: (link: FaultyLink) => void): Fault =>
  async ({ links }, random) => {
    const link = random.one(links);
    start(link);
    await forAWhile(random);
    link.treat({});
  };

/** Every fault is over when its promise resolves. */
export const faults: Readonly<Record<string, Fault>> = {
  'connections cut': async ({ links }, random) => random.one(links).cut(),
  'requests held': onLink((link) => link.treat({ requests: 'hold' })),
  'replies held': onLink((link) => link.treat({ replies: 'hold' })),
  'replies held, then cut': onLink((link) => {
    link.treat({ replies: 'hold' });
    setTimeout(() => link.cut(), 40);
  }),
  'replies swallowed': onLink((link) => link.treat({ replies: 'drop' })),
  'half-open connections': onLink((link) => link.halfOpen()),
  'CLIENT KILL': async ({ redisPort }) => {
    const client = new Redis(redisPort()).on('error', () => {});
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes').catch(() => {});
    client.disconnect();
  },
  'Redis stopped': async ({ redisPid }, random) => {
    const pid = redisPid();
    process.kill(pid, 'SIGSTOP');
    await forAWhile(random);
    process.kill(pid, 'SIGCONT');
  },
  'Redis killed': (targets) => targets.restartRedis(),
  'app killed': (targets, random) => targets.restartApp(random.whole(0, targets.urls.length - 1)),
  'app blocked': async ({ urls }, random) => {
    const ms = random.whole(50, 800);
    await fetch(`${random.one(urls)}/block?ms=${ms}`, { method: 'POST' }).catch(() => {});
  },
};

/** One fault after another until the signal says no, each told by its name. */
export async function injectFaults(
  targets: Targets,
  random: Random,
  signal: AbortSignal,
  onFault: (name: string) => void,
): Promise<void> {
  const names = Object.keys(faults);
  while (!signal.aborted) {
    await pause(random.whole(50, 400), undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const name = random.one(names);
    onFault(name);
    await (faults[name] as Fault)(targets, random);
  }
}
