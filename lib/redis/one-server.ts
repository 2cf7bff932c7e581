import { Redis, type RedisOptions } from 'ioredis';
import { isPath, notTakenOver, ofUrlWithout } from './caller-options.js';
import { prepare } from './prepare-connection.js';
import { roleOptions } from './roles.js';
import type { RedisTarget } from './target.js';

/** A connection to a URL, to a socket's path, or by ioredis' options. */
export function connectServer(place: string | RedisOptions, settings: RedisOptions): Redis {
  const ours = { ...settings, ...notTakenOver };
  if (typeof place !== 'string') return new Redis({ ...place, ...ours });
  if (isPath(place)) return new Redis({ path: place.replace(/^unix:\/\//, ''), ...ours });
  return new Redis(ofUrlWithout(place, ours), ours);
}

/** What the master of Sentinels says otherwise. */
type Called = Pick<RedisTarget, 'address' | 'commandLine'>;

/** One server has every key. `open` is how it is connected to; without `given`, so is the client. */
export function oneServer(open: (settings: RedisOptions) => Redis, given?: Redis, called?: Called): RedisTarget {
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
    address: () => options.path ?? `${options.host ?? '127.0.0.1'}:${options.port ?? 6379}`,
    commandLine: () => {
      if (options.path) return `--redis ${options.path}`;
      const [scheme, secret] = [options.tls ? 'rediss' : 'redis', options.password ? '…@' : ''];
      return `--redis ${scheme}://${secret}${target.address()}${target.database === 0 ? '' : `/${target.database}`}`;
    },
    ...called,
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
      if (role !== 'master') client.disconnect(true);
    },
  };
  return target;
}
