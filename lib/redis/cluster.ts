import calculateSlot from 'cluster-key-slot';
import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { overriddenOptions } from './caller-options.js';
import { nodesOf } from './cluster-options.js';
import { CommandLimit } from './command-limit.js';
import { CONNECT_ROUND_TRIPS } from './liveness.js';
import { oneServer } from './one-server.js';
import { prepare, watchConnection } from './prepare-connection.js';
import { roleOptions } from './roles.js';
import { anyCommand } from './run-script.js';
import type { RedisTarget } from './target.js';

/**
 * Options of a caller's Cluster that our connections must not have, and what they have instead (see `overriddenOptions`), so
 * that reads see what was written, commands keep their order, subscriptions hear every node, and key names are as we made
 * them.
 */
const overriddenClusterOptions = {
  scaleReads: 'master',
  scripts: undefined,
  showFriendlyErrorStack: false,
  shardedSubscribers: false,
  keyPrefix: '',
  enableAutoPipelining: false,
  lazyConnect: false,
  // a node that reconnects by itself never leaves ioredis' list: nobody would be told that the whole Cluster is away
  clusterNodeRetryStrategy: undefined,
} as const satisfies ClusterOptions;

/**
 * How often the Cluster's nodes are looked up where the caller does not say how often. A connection that only subscribes
 * learns of changes in no other way, so this is how long it may listen to a node that has left.
 */
const SLOTS_REFRESH_MS = 10_000;
/**
 * How long a node may take to say which node has which slots, where the caller has left ioredis' default. A connection of its
 * own is counted in: far away and with TLS that takes longer than the default.
 */
const SLOTS_TIMEOUT_MS = 2_000;
const IOREDIS_DEFAULT_SLOTS_TIMEOUT_MS = 1_000;

/** Opens a client of ours for the Cluster that a caller's client, of ioredis or node-redis, is connected to. */
export function openCluster(given: Cluster, limitMs: number | undefined): RedisTarget {
  const settings = { ...roleOptions.commands, ...overriddenOptions, db: 0 };
  const { nodes, options } = nodesOf(given);
  const client = new Cluster(nodes as ClusterNode[], {
    ...options,
    ...overriddenClusterOptions,
    slotsRefreshInterval: 0, // refreshSlots() does it
    slotsRefreshTimeout: slotsTimeoutOf(options),
    redisOptions: { ...options.redisOptions, ...settings },
    clusterRetryStrategy: settings.retryStrategy as (times: number) => number,
    // ioredis connects to a node when the node is first used. Without a queue it would refuse that first command, even
    // the CLUSTER INFO of its own ready check. CommandLimit bounds how long a command waits in that queue.
    enableOfflineQueue: true,
  });
  refreshSlots(client, options.slotsRefreshInterval ?? SLOTS_REFRESH_MS);
  const limit = new CommandLimit(options.redisOptions?.commandTimeout === undefined ? limitMs : undefined);
  client.on('+node', (node: Redis) => {
    watchConnection(node, 'commands');
    limit.watch(node);
  });
  return clusterTarget(client.on('error', () => {})); // each node's connection reports its own errors
}

const slotsTimeoutOf = ({ slotsRefreshTimeout = IOREDIS_DEFAULT_SLOTS_TIMEOUT_MS }: ClusterOptions): number =>
  slotsRefreshTimeout === IOREDIS_DEFAULT_SLOTS_TIMEOUT_MS ? SLOTS_TIMEOUT_MS : slotsRefreshTimeout;

/**
 * Looks up the Cluster's nodes again and again. ioredis' own timer is set anew where a look-up ends after the client, and then
 * keeps the process alive for ever.
 */
function refreshSlots(client: Cluster, everyMs: number): void {
  if (everyMs <= 0) return;
  const timer = setInterval(() => client.refreshSlotsCache(), everyMs).unref();
  client.once('end', () => clearInterval(timer));
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
    connectRoundTrips: CONNECT_ROUND_TRIPS,
    address: () => 'a cluster',
    commandLine: () => '--redis <URL of a node> --cluster',
    masters: () => client.nodes('master'),
    isWritable: () => true, // ioredis itself finds each slot's master
    // a script's keys have to be in one slot
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
    // one server loads scripts, so that no call overtakes one that got NOSCRIPT; calls to a Cluster are in no order anyway
    loadAtReady: () => {},
    eachConnection: (act) => client.on('+node', act),
    connect: (role, key) => prepare(open(roleOptions[role], key), role),
    publisher: () => oneServer(open),
    leaveReplica: async () => {}, // ioredis itself follows a slot to its new master
  };
}

/**
 * A connection of its own to one node of a Cluster: publishing through one node keeps the order of messages, a subscription
 * belongs to one node, and a blocking command must keep no other command waiting. The node is chosen anew whenever the
 * connection is lost: the one that `server` names then (host:port), or, without it or where it is not known, any master.
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
    if (client.status === 'wait') client.connect().catch(() => {}); // the event `error` reports it; ioredis tries again
  };
  if (cluster.status === 'ready') start();
  else cluster.once('ready', start);
  // A node that has left the Cluster still answers, but messages published there reach nobody, and none from other nodes
  // arrive. So at each refresh, and when the connection is ready, its node is looked for in the Cluster. A connection that is
  // still being made is not ended: ioredis would make it to the same node again.
  const leaveNode = () => {
    const isNodeOfClient = ({ options }: Redis) =>
      options.host === client.options.host && options.port === client.options.port;
    if (client.status === 'ready' && !cluster.nodes('all').some(isNodeOfClient)) client.disconnect(true);
  };
  if (!server) {
    cluster.on('refresh', leaveNode);
    client.on('ready', leaveNode);
    client.on('end', () => cluster.off('refresh', leaveNode));
  }
  client.on('close', () => {
    // a reader that got MOVED from its node ends the connection itself, and then has to know the slot's new node
    if (server) cluster.refreshSlotsCache();
    choose();
  });
  return client;
}
