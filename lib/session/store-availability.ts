import type { Store } from 'express-session';
import { Availability } from '../redis/availability.js';
import type { RedisClient } from '../redis/client.js';
import { logAvailability } from '../redis/log-availability.js';

interface Options {
  readonly whenAway: 'pass' | 'error';
  readonly maxWaitMs: number;
}

/** Tells express-session and the application, by events of the store, when Redis can't be reached, and when it can again. */
export function watchStoreAvailability(
  store: Store & { readonly client: RedisClient },
  { whenAway, maxWaitMs }: Options,
  isClosing: () => boolean,
): Availability {
  const availability = new Availability(store.client, maxWaitMs);
  logAvailability(
    availability,
    whenAway === 'pass'
      ? "requests are served without a session (whenAway: 'pass')"
      : "requests that have a session get status 503 (whenAway: 'error')",
    (reason) => isClosing() || store.emit('away', reason), // true: nothing is to be logged
  );
  availability.on('back', () => {
    store.emit('back');
    store.emit('connect');
  });
  // Upon `disconnect` express-session passes requests on without a session.
  if (whenAway === 'pass') availability.on('away', () => store.emit('disconnect'));
  return availability;
}
