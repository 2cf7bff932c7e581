import type { Redis, RedisOptions } from 'ioredis';
import { overriddenOptions } from './caller-options.js';
import { CONNECT_ROUND_TRIPS } from './liveness.js';
import { oneServer } from './one-server.js';
import { SENTINEL_COMMAND_MS } from './roles.js';
import { tlsWithSentinels } from './sentinel-tls.js';
import { connectBySentinel } from './sentinel-watch.js';
import type { RedisTarget } from './target.js';

/** A Sentinel is asked before: TCP, TLS, AUTH, and two questions. It is taken to be as far away as Redis. */
const SENTINEL_ROUND_TRIPS = 5;

/** The target of the server that Sentinels name as their master: every connection follows a failover. */
export function masterOfSentinels(options: RedisOptions, given?: Redis): RedisTarget {
  const sentinelCommandTimeout = options.sentinelCommandTimeout ?? SENTINEL_COMMAND_MS;
  const open = (settings: RedisOptions) => {
    const ours = { ...settings, ...overriddenOptions, sentinelCommandTimeout };
    return connectBySentinel({ ...tlsWithSentinels(options), ...ours });
  };
  return oneServer(open, given, {
    address: () => `sentinel ${options.name}`,
    connectRoundTrips: CONNECT_ROUND_TRIPS + SENTINEL_ROUND_TRIPS,
    commandLine: () =>
      `--redis <URL of a Sentinel>${Number(options.db ?? 0) === 0 ? '' : `/${options.db}`} --sentinel ${options.name}`,
  });
}
