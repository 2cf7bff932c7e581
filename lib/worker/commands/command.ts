import type { Redis } from 'ioredis';
import type { IntelligenceKeys } from '../../keys.js';

/** One message as a command gets it. */
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
  /** The worker's connection, for an application's own commands. */
  readonly redis: Redis;
}

/**
 * Does what a message asks and returns the answer (anything that JSON can say; undefined: no answer).
 * What it throws is logged and counted, and the asker goes on without.
 */
export type Command = (request: CommandRequest) => unknown;
