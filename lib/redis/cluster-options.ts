import type { Cluster, ClusterOptions, RedisOptions } from 'ioredis';
import { checkedUrl, type NodeRedisOptions, fromNodeRedisOptions, numericTimeouts } from './caller-options.js';

interface NodeRedisClusterOptions {
  readonly rootNodes: readonly NodeRedisOptions[];
  readonly defaults?: NodeRedisOptions;
  readonly nodeAddressMap?: ClusterOptions['natMap'];
}

/** What node-redis' createCluster() was given, where its version 5 and later keep it; undefined for a Cluster of ioredis. */
function nodeRedisCluster(redis: object): NodeRedisClusterOptions | undefined {
  const { _options } = redis as { _options?: NodeRedisClusterOptions };
  return Array.isArray(_options?.rootNodes) ? _options : undefined;
}

function fromNodeUrl(text: string): NodeRedisOptions {
  const { hostname, port, protocol, username, password } = checkedUrl(text, 'option "redis": the URL of a node');
  return {
    // an IPv6 address without its brackets, as in target-of-urls.ts
    socket: {
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port || 6379),
      ...(protocol === 'rediss:' && { tls: true }),
    },
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
  };
}

type StartNode = RedisOptions | string | number;

/** A start node's TLS options. ioredis also takes a text for a node: a port, host:port or a URL. */
function tlsOfStartNode(node: StartNode): RedisOptions['tls'] {
  if (typeof node === 'object') return node.tls;
  if (typeof node === 'number' || /^\d+$/.test(node)) return undefined;
  const url = checkedUrl(
    node.includes('://') ? node : `redis://${node.replace(/^\/\//, '')}`,
    'a start node of the Cluster',
  );
  return url.protocol === 'rediss:' ? {} : undefined;
}

/** The nodes and options of a Cluster's client, of ioredis or of node-redis. */
export function nodesOf(cluster: Cluster): { nodes: object[]; options: ClusterOptions } {
  const nodeRedis = nodeRedisCluster(cluster);
  if (!nodeRedis) {
    const { startupNodes } = cluster as unknown as { startupNodes: StartNode[] };
    const nodes = startupNodes as object[];
    // ioredis uses a start node's `tls` for that node only, and connects in clear to the nodes that it learns of
    const tlsOfNodes = startupNodes.map(tlsOfStartNode).find((one) => one !== undefined);
    const { redisOptions = {} } = cluster.options;
    const tls = redisOptions.tls ?? tlsOfNodes;
    const ofEachNode = { ...redisOptions, ...numericTimeouts(redisOptions), ...(tls && { tls }) };
    return { nodes, options: { ...cluster.options, redisOptions: ofEachNode } };
  }
  const { rootNodes, defaults, nodeAddressMap } = nodeRedis;
  const nodes = rootNodes.map((node) => {
    const { socket, ...rest } = { ...node, ...(node.url !== undefined && fromNodeUrl(node.url)) };
    return fromNodeRedisOptions({ ...defaults, ...rest, socket: { ...defaults?.socket, ...node.socket, ...socket } });
  });
  // ioredis has one set of options for all nodes. It gets those of the first node, `defaults` among them, and TLS where any node has it.
  const { host: _host, port: _port, path: _path, ...optionsOfFirst } = nodes[0] ?? {};
  const tls = nodes.find((node) => node.tls)?.tls;
  const redisOptions = { ...optionsOfFirst, ...(tls && { tls }) };
  return { nodes, options: { redisOptions, ...(nodeAddressMap && { natMap: nodeAddressMap }) } };
}
