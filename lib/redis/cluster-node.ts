import calculateSlot from 'cluster-key-slot';
import { type Cluster, Redis, type RedisOptions } from 'ioredis';

/** Where a connection to a Cluster goes: `cluster` knows the nodes; `key` names what its node should hold, else any master does. */
export interface ClusterPlace {
  readonly cluster: Cluster;
  readonly key?: (() => string) | undefined;
}

/**
 * A connection to one node of a Cluster, chosen anew whenever it is lost: publishing through one node keeps the order of
 * messages, a subscription is some node's, and whoever blocks should keep nobody else waiting.
 */
export function connectNode({ cluster, key }: ClusterPlace, settings: RedisOptions): Redis {
  const client = new Redis({ ...cluster.options.redisOptions, ...settings, replyMapping: 'legacy', lazyConnect: true });
  const choose = () => {
    const master = key && cluster.slots[calculateSlot(key())]?.[0];
    const masters = cluster.nodes('master');
    const node =
      cluster.nodes('all').find(({ options }) => `${options.host}:${options.port}` === master) ??
      masters[Math.floor(Math.random() * masters.length)];
    if (!node) return;
    const { host, port, username, password, tls } = node.options;
    Object.assign(client.options, { host, port, username, password, tls });
  };
  const start = () => {
    choose();
    if (client.status === 'wait') client.connect().catch(() => {}); // told by the event `error`, and tried again
  };
  if (cluster.status === 'ready') start();
  else cluster.once('ready', start);
  // one that has left the Cluster answers still, and what is published there reaches nobody, nor hears it what is published elsewhere
  const left = ({ options }: Redis) => {
    const isIts = (one: Redis['options']) => one.host === client.options.host && one.port === client.options.port;
    if (isIts(options) && !cluster.nodes('all').some((node) => isIts(node.options))) client.disconnect(true);
  };
  if (!key) {
    cluster.on('-node', left);
    client.on('end', () => cluster.off('-node', left));
  }
  client.on('close', () => {
    if (key) cluster.refreshSlotsCache();
    choose();
  });
  return client;
}
