import calculateSlot from 'cluster-key-slot';
import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { overriddenOptions } from './caller-options.js';
import { nodesOf } from './cluster-options.js';
import { CommandLimit } from './command-limit.js';
import { oneServer } from './one-server.js';
import { prepare, watchConnection } from './prepare-connection.js';
import { roleOptions } from './roles.js';
import { anyCommand } from './run-script.js';
import type { RedisTarget } from './target.js';

/** Options of a caller's Cluster that our connections must not have, and what they have instead (see `overriddenOptions`). */
const overriddenClusterOptions = {
  scaleReads: 'master',
  scripts: undefined,
  showFriendlyErrorStack: false,
  shardedSubscribers: false,
  keyPrefix: '',
  enableAutoPipelining: false,
  lazyConnect: false,
} as const satisfies ClusterOptions;

/** How often the Cluster's nodes are looked up where the caller has not set it: a connection that only subscribes learns of changes in no other way. */
const SLOTS_REFRESH_MS = 10_000;

/** Opens a client of ours for the Cluster that a caller's client is connected to. */
export function openCluster(given: Cluster, limitMs: number | undefined): RedisTarget {
  const settings = { ...roleOptions.commands, ...overriddenOptions, db: 0 };
  const { nodes, options } = nodesOf(given);
  const client = new Cluster(nodes as ClusterNode[], {
    ...options,
    ...overriddenClusterOptions,
    slotsRefreshInterval: options.slotsRefreshInterval ?? SLOTS_REFRESH_MS,
    redisOptions: { ...options.redisOptions, ...settings },
    clusterRetryStrategy: settings.retryStrategy as (times: number) => number,
    // ioredis connects to a node when it is first used. Without a queue it would refuse that first command, even its own check.
    enableOfflineQueue: true,
  });
  const limit = new CommandLimit(options.redisOptions?.commandTimeout === undefined ? limitMs : undefined);
  client.on('+node', (node: Redis) => {
    watchConnection(node, 'commands');
    limit.watch(node);
  });
  return clusterTarget(client.on('error', () => {}));
}

/** The target of a Cluster: each node holds the keys of its slots, and nothing orders the work of two nodes. */
export function clusterTarget(client: Cluster): RedisTarget {
  const serverOf = (key: () => string) => client.slots[calculateSlot(key())]?.[0] ?? '';
  const open = (settings: RedisOptions, key?: () => string) =>
    connectNode(client, settings, key && (() => serverOf(key)));
  return {
    client,
    options: client.options.redisOptions ?? {},
    database: 0,
    sharesCalls: false,
    ordersKeys: false,
    countsSubscribers: false,
    address: () => 'a cluster',
    commandLine: () => '--redis <URL of a node> --cluster',
    masters: () => client.nodes('master'),
    isWritable: () => true,
    inCalls: (items, tagOf) => {
      const calls = new Map<string, (typeof items)[number][]>();
      for (const item of items) {
        const tag = tagOf(item);
        const same = calls.get(tag);
        if (same) same.push(item);
        else calls.set(tag, [item]);
      }
      return [...calls.values()];
    },
    serverOf,
    callOnKey: (command, key, args) => anyCommand.run(client, [key, command, ...args]),
    loadAtReady: () => {}, // nothing orders the work of two nodes, so a script's first call has no place to lose
    eachConnection: (act) => client.on('+node', act),
    connect: (role, key) => prepare(open(roleOptions[role], key), role),
    publisher: () => oneServer(open),
    leaveReplica: async () => {},
  };
}

/**
 * A connection to one node of a Cluster, chosen anew whenever it is lost: publishing through one node keeps the order of
 * messages, a subscription belongs to one node, and a blocking command should keep nobody else waiting. `server` names the node.
 */
function connectNode(cluster: Cluster, settings: RedisOptions, server?: () => string): Redis {
  const client = new Redis({ ...cluster.options.redisOptions, ...settings, replyMapping: 'legacy', lazyConnect: true });
  const choose = () => {
    const wanted = server?.();
    const masters = cluster.nodes('master');
    const node =
      cluster.nodes('all').find(({ options }) => `${options.host}:${options.port}` === wanted) ??
      masters[Math.floor(Math.random() * masters.length)];
    if (!node) return;
    const { host, port, username, password, tls } = node.options;
    Object.assign(client.options, { host, port, username, password, tls });
  };
  const start = () => {
    choose();
    if (client.status === 'wait') client.connect().catch(() => {}); // the event `error` reports it, and ioredis tries again
  };
  if (cluster.status === 'ready') start();
  else cluster.once('ready', start);
  // A node that has left the Cluster still answers, but messages published there reach nobody, and none from other nodes arrive. So
  // at each refresh, and when the connection is ready, the node is looked for in the Cluster. A connection that is not ready yet
  // can't be ended.
  const leaveNode = () => {
    const isOurs = ({ options }: Redis) => options.host === client.options.host && options.port === client.options.port;
    if (client.status === 'ready' && !cluster.nodes('all').some(isOurs)) client.disconnect(true);
  };
  if (!server) {
    cluster.on('refresh', leaveNode);
    client.on('ready', leaveNode);
    client.on('end', () => cluster.off('refresh', leaveNode));
  }
  client.on('close', () => {
    if (server) cluster.refreshSlotsCache();
    choose();
  });
  return client;
}
