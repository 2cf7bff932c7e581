import type { Redis } from 'ioredis';
import { hidePasswords } from '../errors/errors.js';
import { watchLiveness } from './liveness.js';
import { allowNoInfo } from './ready-check.js';
import type { Role } from './roles.js';

/** What every connection of ours has, whoever reconnects it. */
export function watchConnection(client: Redis, role: Role): void {
  hidePasswords(client.options.password);
  watchLiveness(client, role === 'blocking');
  allowNoInfo(client);
}

/** The same, and what one has that ioredis reconnects by itself. */
export function prepare(client: Redis, role: Role): Redis {
  watchConnection(client, role);
  // ioredis goes on in database 0 where SELECT is refused (no such number, an ACL): what is another's there would be written over
  client.on('error', (error: Error & { command?: { name?: string } }) => {
    if (error.command?.name === 'select') client.disconnect(true);
  });
  // The owner hears of faults through what it asked; without a listener ioredis would print each of them.
  return client.on('error', () => {});
}
