import type { RedisClient } from './client.js';

/**
 * Ends a connection for good. ioredis' disconnect() emits no event for a client that is between two attempts, so that
 * whoever waits for one would wait until a timer ends.
 */
export function endConnection(client: RedisClient): void {
  const between = client.status === 'reconnecting';
  client.disconnect();
  if (!between) return;
  client.status = 'end';
  client.emit('end');
}
