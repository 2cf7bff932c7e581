import type { RedisClient } from './client.js';

/**
 * Ends a connection for good. ioredis' disconnect() leaves a client that is between two attempts without an event: whoever
 * waits for that client would wait for as long as his timer lasts.
 */
export function endConnection(client: RedisClient): void {
  const between = client.status === 'reconnecting';
  client.disconnect();
  if (!between) return;
  client.status = 'end';
  client.emit('end');
}
