import type { Cluster, ClusterOptions, RedisOptions } from 'ioredis';
import { checkedUrl, type NodeRedisOptions, ofNodeRedisOptions } from './caller-options.js';

interface NodeRedisClusterOptions {
  readonly rootNodes: readonly NodeRedisOptions[];
  readonly defaults?: NodeRedisOptions;
  readonly nodeAddressMap?: ClusterOptions['natMap'];
}

/** Where node-redis keeps what createCluster() was given (5 and later). */
function nodeRedisCluster(redis: object): NodeRedisClusterOptions | undefined {
  const { _options } = redis as { _options?: NodeRedisClusterOptions };
  return Array.isArray(_options?.rootNodes) ? _options : undefined;
}

function ofNodeUrl(text: string): NodeRedisOptions {
  const { hostname, port, protocol, username, password } = checkedUrl(text, 'option "client": the URL of a node');
  return {
    socket: { host: hostname, port: Number(port || 6379), ...(protocol === 'rediss:' && { tls: true }) },
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
  };
}

type StartNode = RedisOptions | string | number;

/** A start node's TLS options; a text is what ioredis reads there: a port, host:port or a URL, which stays ioredis' to parse. */
function tlsOfStartNode(node: StartNode): RedisOptions['tls'] {
  if (typeof node === 'object') return node.tls;
  if (typeof node === 'number' || /^\d+$/.test(node)) return undefined;
  const url = checkedUrl(
    node.includes('://') ? node : `redis://${node.replace(/^\/\//, '')}`,
    'a start node of the Cluster',
  );
  return url.protocol === 'rediss:' ? {} : undefined;
}

/** The nodes and options of a Cluster's client, ioredis' or node-redis'. */
export function nodesOf(cluster: Cluster): { nodes: object[]; options: ClusterOptions } {
  const given = nodeRedisCluster(cluster);
  if (!given) {
    const { startupNodes } = cluster as unknown as { startupNodes: StartNode[] };
    const nodes = startupNodes as object[];
    // ioredis keeps a start node's `tls` to that node, and goes in clear to those that it names
    const ofNodes = startupNodes.map(tlsOfStartNode).find((one) => one !== undefined);
    const tls = cluster.options.redisOptions?.tls ?? ofNodes;
    if (!tls) return { nodes, options: cluster.options };
    return { nodes, options: { ...cluster.options, redisOptions: { ...cluster.options.redisOptions, tls } } };
  }
  const { rootNodes, defaults, nodeAddressMap } = given;
  const nodes = rootNodes.map((node) => {
    const { socket, ...rest } = { ...node, ...(node.url !== undefined && ofNodeUrl(node.url)) };
    return ofNodeRedisOptions({ ...defaults, ...rest, socket: { ...defaults?.socket, ...node.socket, ...socket } });
  });
  // who says it for one node only says it for all, and TLS for any of them
  const { host: _host, port: _port, path: _path, ...ofFirst } = nodes[0] ?? {};
  const tls = nodes.find((node) => node.tls)?.tls;
  const redisOptions = { ...ofFirst, ...(tls && { tls }) };
  return { nodes, options: { redisOptions, ...(nodeAddressMap && { natMap: nodeAddressMap }) } };
}
