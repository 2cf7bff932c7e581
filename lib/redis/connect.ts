import { causeOf, faultText, IntelligentSessionError } from '../errors/errors.js';
import { LoopTimeout } from './loop-clock.js';
import { targetOf } from './open-target.js';
import type { RedisClient } from './client.js';

export { keyPrefixOf, namespaceOf } from './open-target.js';
export type { RedisClient, RedisOption } from './client.js';

/** How long a request waits for Redis where the option `maxWaitMs` says nothing, ms. */
export const DEFAULT_MAX_WAIT_MS = 3_000;

/** Texts of Redis and ioredis, and our own 'no answer', with words that say what to do about them. */
const CAUSES: readonly (readonly [RegExp, string])[] = [
  [/^NOAUTH/, 'NOAUTH, it asks for a password and none was given'],
  [/^Unknown RESP type/, 'what answers there is no Redis (another port?)'],
  [/^no answer$/, 'no answer (a firewall, or TLS on one side only?)'],
];

/** Says, for a person to read, which Redis can't be reached, and why. */
export function noConnection(client: RedisClient, cause: string): string {
  const why = CAUSES.find(([pattern]) => pattern.test(cause))?.[1] ?? cause.replace(/\.$/, '');
  return `No connection to Redis at ${targetOf(client).address()}: ${why}`;
}

/**
 * Resolves when commands can be sent. Rejects with the last fault after `timeoutMs`, without counting time in which this
 * process was blocked, or when the client ends.
 */
export function whenReady(client: RedisClient, timeoutMs: number): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    let last = 'no answer';
    let cause: unknown;
    const settle = (act: () => void) => {
      timeout.clear();
      client.off('ready', onReady).off('error', onError).off('end', onEnd);
      act();
    };
    const fail = () =>
      settle(() =>
        reject(
          new IntelligentSessionError('ERR_INTELLIGENT_SESSION_NOT_READY', noConnection(client, last), causeOf(cause)),
        ),
      );
    const onReady = () => settle(resolve);
    const onEnd = fail;
    const onError = (error: Error) => {
      last = faultText(error) || last;
      cause = error;
    };
    const timeout = new LoopTimeout(fail, timeoutMs);
    client.on('ready', onReady).on('error', onError).on('end', onEnd);
    if (client.status === 'end') fail(); // its event has passed
  });
}
