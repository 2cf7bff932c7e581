import type { BloomFilter } from '../../bloom/bloom-filter.js';
import type { ItemKey } from '../../item-keys.js';
import type { CommandKeys, IntelligenceKeys } from '../../keys.js';
import type { Message } from '../../protocol.js';
import type { RedisClient } from '../../redis/connect.js';
import type { ScriptArgument } from '../../redis/run-script.js';

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
  /** The worker's connection, for an application's own commands. */
  readonly redis: RedisClient;
}

/**
 * Does what a message asks and returns the answer: anything that JSON can say; nothing, too: then ask() gives undefined at
 * once. What it throws is logged and counted, and the asker goes on without.
 */
export type Command = (request: CommandRequest) => unknown;

/** What the built-in commands' arguments are made with. */
export interface Intelligence {
  readonly bloom: BloomFilter;
  readonly activityDays: number;
  readonly combos: ReadonlyMap<string, readonly string[]>;
  readonly itemKey: ItemKey;
}

/** A built-in command on a list: a function of Lua in lib/scripts/<name>.lua, which works on it in pieces. */
export interface ListCommand {
  readonly keys: readonly (keyof CommandKeys)[];
  /** A payload that it can't read is a coded error. */
  items(payload: string, of: Intelligence): readonly string[];
  /** Of some of the items. */
  arguments(items: readonly string[], of: Intelligence, sid: string): ScriptArgument[];
  /** The answer from what the pieces gave. */
  join(parts: readonly string[]): string;
}

export const joinArray = (parts: readonly string[]): string => `[${parts.filter((text) => text !== '').join(',')}]`;

/** A built-in command: a function of Lua in lib/scripts/<name>.lua, and how its keys and arguments are found. */
export interface BuiltIn {
  readonly keys: readonly (keyof CommandKeys)[];
  /** A payload that it can't read is a coded error. */
  arguments(payload: string, of: Intelligence, message: Message): ScriptArgument[];
}
