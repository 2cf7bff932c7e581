import type { Redis, RedisOptions } from 'ioredis';
import { overriddenOptions } from './caller-options.js';
import { oneServer } from './one-server.js';
import { SENTINEL_COMMAND_MS } from './roles.js';
import { tlsWithSentinels } from './sentinel-tls.js';
import { connectBySentinel } from './sentinel-watch.js';
import type { RedisTarget } from './target.js';

/** The target of the server that Sentinels name as their master: every connection follows a failover. */
export function masterOfSentinels(options: RedisOptions, given?: Redis): RedisTarget {
  const sentinelCommandTimeout = options.sentinelCommandTimeout ?? SENTINEL_COMMAND_MS;
  const open = (settings: RedisOptions) => {
    const ours = { ...settings, ...overriddenOptions, sentinelCommandTimeout };
    return connectBySentinel({ ...tlsWithSentinels(options), ...ours });
  };
  return oneServer(open, given, {
    address: () => `sentinel ${options.name}`,
    commandLine: () => `--redis <URL of a Sentinel> --sentinel ${options.name}`,
  });
}
