import type { Redis } from 'ioredis';
import type { RedisClient } from './client.js';

const ended = new WeakSet<RedisClient>();
/** Did endConnection() end this connection? Its `status` can't tell: a Cluster emits `close` before `status` is `end`. */
export const wasEnded = (client: RedisClient): boolean => ended.has(client);

/**
 * Ends the present connection, so that ioredis makes another one. Does nothing where there is none: while ioredis asks Sentinels
 * for the master, its disconnect() would end the client for good.
 */
export function reconnect(client: Redis): void {
  if (client.status === 'connect' || client.status === 'ready') client.disconnect(true);
}

/**
 * Ends a connection for good, and has `end` emitted in any case. For a client that waits to reconnect, ioredis' disconnect()
 * emits no event, and whoever waits for `end` would wait until a time limit.
 */
export function endConnection(client: RedisClient): void {
  ended.add(client);
  const wasReconnecting = client.status === 'reconnecting';
  client.disconnect();
  if (!wasReconnecting) return;
  client.status = 'end';
  client.emit('end');
}
