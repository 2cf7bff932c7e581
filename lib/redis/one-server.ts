import { Redis, type RedisOptions } from 'ioredis';
import { isPath, overriddenOptions, withoutQuery } from './caller-options.js';
import { reconnect } from './end-connection.js';
import { CONNECT_ROUND_TRIPS } from './liveness.js';
import { prepare } from './prepare-connection.js';
import { roleOptions } from './roles.js';
import type { RedisTarget } from './target.js';

/** Connects to a URL, to a socket's path, or by ioredis' options. */
export function connectServer(connection: string | RedisOptions, settings: RedisOptions): Redis {
  const ours = { ...settings, ...overriddenOptions };
  if (typeof connection !== 'string') return new Redis({ ...connection, ...ours });
  if (isPath(connection)) return new Redis({ path: connection.replace(/^unix:\/\//, ''), ...ours });
  const [url, options] = withoutQuery(connection, ours);
  return new Redis(url, options);
}

/** What differs where Sentinels name the server: how messages name it, not by its own address, and how far it is to it. */
type BySentinels = Pick<RedisTarget, 'address' | 'commandLine' | 'connectRoundTrips'>;

/** The target of one server, which has every key. `open` makes connections; the client for commands is `given`, or made too. */
export function oneServer(
  open: (settings: RedisOptions) => Redis,
  given?: Redis,
  bySentinels?: BySentinels,
): RedisTarget {
  const connect: RedisTarget['connect'] = (role) => prepare(open(roleOptions[role]), role);
  const client = given ?? connect('commands');
  const { options } = client;
  const target: RedisTarget = {
    client,
    options,
    database: Number(options.db ?? 0),
    sharesCalls: true,
    ordersKeys: true,
    countsSubscribers: true,
    connectRoundTrips: CONNECT_ROUND_TRIPS,
    address: () => options.path ?? `${options.host ?? '127.0.0.1'}:${options.port ?? 6379}`,
    commandLine: () => {
      if (options.path) return `--redis ${options.path}`;
      const [scheme, hiddenPassword] = [options.tls ? 'rediss' : 'redis', options.password ? '…@' : ''];
      return `--redis ${scheme}://${hiddenPassword}${target.address()}${target.database === 0 ? '' : `/${target.database}`}`;
    },
    ...bySentinels,
    masters: () => [client],
    isWritable: () => client.stream?.writable === true,
    inCalls: (items) => [items],
    serverOf: () => '',
    callOnKey: (command, key, args) => client.call(command, (options.keyPrefix ?? '') + key, ...args),
    loadAtReady: (script) => script.loadAtReady(client),
    eachConnection: (act) => act(client),
    connect,
    publisher: () => target,
    leaveReplica: async () => {
      const [role] = await client.role();
      if (role !== 'master') reconnect(client);
    },
  };
  return target;
}
