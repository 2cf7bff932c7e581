import type { Redis, RedisOptions } from 'ioredis';
import type { RedisClient } from './client.js';
import type { Role } from './roles.js';
import type { Script, ScriptArgument } from './run-script.js';

/**
 * Where Redis is, with a client for commands, and how it is used there: one server, one that Sentinels name, or a Cluster.
 * Which it is, is decided once, in open-target.ts; who needs to know what differs asks for that by its name.
 */
export interface RedisTarget {
  /** Takes commands on single keys; who opened the target closes it. */
  readonly client: RedisClient;
  /** of each connection */
  readonly options: RedisOptions;
  readonly database: number;
  /** May a call have keys of several sessions, and streams and lists beside them? */
  readonly sharesCalls: boolean;
  /** Is what is sent for one key done before what is sent later for another? */
  readonly ordersKeys: boolean;
  /** Does PUBLISH say how many heard it, wherever they listen? */
  readonly countsSubscribers: boolean;
  /** host:port, for messages: never a password */
  address(): string;
  /** what a worker's command line says of it, without a password */
  commandLine(): string;
  /** The servers that hold the keys: a SCAN is each one's own. */
  masters(): readonly Redis[];
  /** ioredis calls a connection ready until it is closed, also when the other side has ended it. */
  isWritable(): boolean;
  /** What may go in one call: everything, or what has the same hash tag. */
  inCalls<T>(items: readonly T[], tagOf: (item: T) => string): readonly (readonly T[])[];
  /** The server that has a key: a call to one that is slow or away keeps nothing waiting that is another's. */
  serverOf(key: () => string): string;
  /** A command whose key ioredis does not know: it neither prefixes it nor finds its node. */
  callOnKey(command: string, key: string, args: readonly ScriptArgument[]): Promise<unknown>;
  /** Loads a script at each new connection, where its first call would else lose its place among the others. */
  loadAtReady(script: Pick<Script, 'loadAtReady'>): void;
  /** Each connection for commands that there is, or comes to be. */
  eachConnection(act: (connection: Redis) => void): void;
  /** One more connection to the same place; the caller owns it and closes it. `key` names what its server should hold. */
  connect(role: Role, key?: () => string): Redis;
  /** Where to publish: over one connection, so that a session's messages keep their order. */
  publisher(): RedisTarget;
  /** Connects anew where the server has become a replica, which takes a PUBLISH without an error. ROLE */
  leaveReplica(): Promise<void>;
}
