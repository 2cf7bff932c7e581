import { redisFault } from '../errors/errors.js';
import type { RedisClient } from './client.js';
import { wasEnded } from './end-connection.js';

/** The most reasons that are told until the next `ready`, since their texts may come from outside. */
const MAX_REASONS = 16;

/**
 * Calls `listener` with the reason why a connection does not come about, or breaks with an error (a wrong password, a proxy
 * that has no INFO, too many clients, nobody there): each reason once until the connection is ready again. Call this before
 * the client is ready.
 */
export function onConnectionFault(client: RedisClient, listener: (error: Error) => void): void {
  const reported = new Set<string>();
  /** Whether the present attempt's outcome is known: the connection is ready, or its error was reported. */
  let outcomeKnown = false;
  const reportOnce = (cause: unknown) => {
    const error = redisFault(cause);
    if (reported.has(error.message) || reported.size >= MAX_REASONS) return;
    reported.add(error.message);
    listener(error);
  };
  client.on('ready', () => {
    outcomeKnown = true;
    reported.clear();
  });
  client.on('error', (cause) => {
    outcomeKnown = true;
    reportOnce(cause);
  });
  client.on('close', () => {
    if (client.status === 'end' || wasEnded(client)) return; // this process has ended it, or ioredis tries no longer
    if (!outcomeKnown)
      reportOnce('the connection was closed before it was ready (too many clients, or TLS on one side only?)');
    outcomeKnown = false;
  });
}
