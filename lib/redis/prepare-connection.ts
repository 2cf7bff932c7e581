import type { Redis } from 'ioredis';
import { hidePasswords } from '../errors/errors.js';
import { reconnect } from './end-connection.js';
import { watchLiveness } from './liveness.js';
import { allowNoInfo } from './ready-check.js';
import type { Role } from './roles.js';

/** Does what every connection of ours needs. Alone it is for connections to nodes, which the Cluster's client reconnects. */
export function watchConnection(client: Redis, role: Role): void {
  hidePasswords(client.options.password);
  watchLiveness(client, role === 'blocking');
  allowNoInfo(client);
}

/** Prepares a connection of ours that reconnects by itself. */
export function prepare(client: Redis, role: Role): Redis {
  watchConnection(client, role);
  // Where SELECT is refused (no such database, an ACL), ioredis would go on in database 0, and overwrite data of others.
  client.on('error', (error: Error & { command?: { name?: string } }) => {
    if (error.command?.name === 'select') reconnect(client);
  });
  // The owner learns of faults by the commands that fail. Without a listener ioredis would print each of them.
  return client.on('error', () => {});
}
