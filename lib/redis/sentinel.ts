import type { Redis, RedisOptions } from 'ioredis';
import { notTakenOver } from './caller-options.js';
import { oneServer } from './one-server.js';
import { SENTINEL_COMMAND_MS } from './roles.js';
import { tlsWithSentinels } from './sentinel-tls.js';
import { connectBySentinel } from './sentinel-watch.js';
import type { RedisTarget } from './target.js';

/** The server that Sentinels name as their master: every connection follows a failover. */
export function masterOfSentinels(place: RedisOptions, given?: Redis): RedisTarget {
  const sentinelCommandTimeout = place.sentinelCommandTimeout ?? SENTINEL_COMMAND_MS;
  const open = (settings: RedisOptions) => {
    const ours = { ...settings, ...notTakenOver, sentinelCommandTimeout };
    return connectBySentinel({ ...tlsWithSentinels({ ...place, ...ours }), ...ours });
  };
  return oneServer(open, given, {
    address: () => `sentinel ${place.name}`,
    commandLine: () => `--redis <URL of a Sentinel> --sentinel ${place.name}`,
  });
}
