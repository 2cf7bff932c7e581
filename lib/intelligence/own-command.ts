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
 * Does what a message asks and returns the answer, anything that JSON can say. A command that returns nothing answers, too, and ask()
 * gives null. What it throws is logged and counted, and the asker goes on without an answer.
 */
export type Command = (request: CommandRequest) => unknown;
