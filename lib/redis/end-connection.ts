import type { RedisClient } from './client.js';

const ended = new WeakSet<RedisClient>();
/** Was the connection ended by endConnection()? A Cluster's client that is being ended says `close` twice, the first time before `end`. */
export const wasEnded = (client: RedisClient): boolean => ended.has(client);

/**
 * Ends a connection for good. ioredis' disconnect() emits no event for a client that is between two attempts, so that
 * whoever waits for one would wait until a timer ends.
 */
export function endConnection(client: RedisClient): void {
  ended.add(client);
  const between = client.status === 'reconnecting';
  client.disconnect();
  if (!between) return;
  client.status = 'end';
  client.emit('end');
}
