import type { RedisClient } from '../redis/connect.js';
import type { IntelligenceKeys } from './keys.js';

/** One message as an application's command gets it. */
export interface CommandRequest {
  readonly command: string;
  readonly sid: string;
  /** unique to the request */
  readonly id: string;
  readonly payload: string;
  readonly ttlSeconds: number;
  readonly keys: IntelligenceKeys;
  /** somebody waits for the answer */
  readonly awaited: boolean;
  /** The connection on which the built-in commands run: the worker's, or the application's own. */
  readonly redis: RedisClient;
}

/**
 * Does what a message asks and returns the answer: anything that JSON can say; nothing, too: then ask() gives undefined at
 * once. What it throws is logged and counted, and the asker goes on without.
 */
export type Command = (request: CommandRequest) => unknown;
