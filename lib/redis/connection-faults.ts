import { redisFault } from '../errors/errors.js';
import type { RedisClient } from './client.js';

const MOST_REASONS = 16;

/**
 * Tells why a connection does not come about (a wrong password, a proxy that has no INFO, too many clients, nobody there):
 * each reason once, until the connection is ready again.
 */
export function tellFaults(client: RedisClient, tell: (error: Error) => void): void {
  const told = new Set<string>();
  /** has this attempt an end that is known: it is ready, or its error was told? */
  let known = false;
  const tellOnce = (cause: unknown) => {
    const error = redisFault(cause);
    if (told.has(error.message) || told.size >= MOST_REASONS) return;
    told.add(error.message);
    tell(error);
  };
  client.on('ready', () => {
    known = true;
    told.clear();
  });
  client.on('error', (cause) => {
    known = true;
    tellOnce(cause);
  });
  client.on('close', () => {
    if (client.status === 'end') return; // it was ended here
    if (!known) tellOnce('the connection was closed before it was ready (too many clients, or TLS on one side only?)');
    known = false;
  });
}
