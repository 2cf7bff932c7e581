import type { RedisClient } from '../redis/connect.js';
import type { IntelligenceKeys } from './keys.js';
import type { OwnKey } from './declared-keys.js';

/** One message as an application's command gets it. `Own` are the names of the keys that the command declares. */
export interface CommandRequest<Own extends string = string> {
  readonly command: string;
  /** Whose data it is about: a session's id, or the subject of a user. */
  readonly sid: string;
  /** unique to the request */
  readonly id: string;
  readonly payload: string;
  /** How long what is kept of the subject lives from now on. */
  readonly ttlSeconds: number;
  /** The keys of what is kept of the subject, and by their names those that the command declares. */
  readonly keys: IntelligenceKeys & { readonly [Name in Own]: string };
  /** Does somebody wait for the answer? */
  readonly awaited: boolean;
  /** The connection on which the built-in commands run: the worker's, or the application's own. */
  readonly redis: RedisClient;
}

/**
 * Does what a message asks and returns the answer, anything that JSON can say. A command that returns nothing answers, too, and ask()
 * gives null. What it throws is logged and counted, and the asker goes on without an answer.
 */
export type Command = (request: CommandRequest) => unknown;

/** A command with keys of its own, which are kept, carried at a login, explained and erased with what is kept of the subject. */
export interface CommandWithKeys<Own extends string = string> {
  /** By their names: 1 to 64 of a-z 0-9 -. Commands that declare the same name share the key, and merge it alike. */
  readonly keys: { readonly [Name in Own]: OwnKey };
  /** Does what a message asks, as a Command does. It is not called for a session that has ended. */
  run(request: CommandRequest<Own>): unknown;
}

/** A command as it is carried out. */
export interface ResolvedCommand {
  readonly run: Command;
  /** What the command declares; undefined: nothing. */
  readonly declared: DeclaredKeys | undefined;
}

/** The names of a command's keys, and in the same order how each is merged at a login. */
export interface DeclaredKeys {
  readonly names: readonly string[];
  readonly merges: readonly OwnKey['merge'][];
}
