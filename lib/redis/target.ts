import type { Redis, RedisOptions } from 'ioredis';
import type { RedisClient } from './client.js';
import type { Role } from './roles.js';
import type { Script, ScriptArgument } from './run-script.js';

/**
 * A Redis to work with: one server, the master that Sentinels name, or a Cluster, with a client for commands. open-target.ts
 * alone decides which of the three it is. Code that depends on a difference asks for that difference, by the fields below.
 */
export interface RedisTarget {
  /** Takes commands on single keys. Whoever opened the target closes this client. */
  readonly client: RedisClient;
  /** The options of each connection. */
  readonly options: RedisOptions;
  readonly database: number;
  /** May one script call have keys of several sessions, and streams and lists beside them? */
  readonly sharesCalls: boolean;
  /** Are commands on different keys carried out in the order in which they are sent? */
  readonly ordersKeys: boolean;
  /** Does PUBLISH count all subscribers, wherever they are connected? */
  readonly countsSubscribers: boolean;
  /** About how many round trips to Redis a new connection takes, with all that is asked before. */
  readonly connectRoundTrips: number;
  /** host:port, for messages; it never has a password. */
  address(): string;
  /** How a worker's command line names this Redis, without a password. */
  commandLine(): string;
  /** The servers that hold the keys: a SCAN is each one's own. */
  masters(): readonly Redis[];
  /** Can the connection be written to? ioredis calls it ready until it is closed, even when the other side has ended it. */
  isWritable(): boolean;
  /** Splits items into script calls: one call for all, or in a Cluster one for each hash tag, which `tagOf` gives. */
  inCalls<T>(items: readonly T[], tagOf: (item: T) => string): readonly (readonly T[])[];
  /** Names the server that has a key, so that calls to one that is slow or away hold up no calls to the others. */
  serverOf(key: () => string): string;
  /** Sends a command in which ioredis does not recognize the key, so that it would not find the node in a Cluster. */
  callOnKey(command: string, key: string, args: readonly ScriptArgument[]): Promise<unknown>;
  /** Loads a script at each new connection, where a NOSCRIPT would otherwise put its first call behind later ones. */
  loadAtReady(script: Pick<Script, 'loadAtReady'>): void;
  /** Calls back for each connection for commands: one server's is there; a Cluster's are those that it makes from now on. */
  eachConnection(act: (connection: Redis) => void): void;
  /** Opens one more connection, which the caller closes. In a Cluster it goes to the node that holds `key`, asked anew each time. */
  connect(role: Role, key?: () => string): Redis;
  /** The target to publish at, over one connection, so that a session's messages keep their order. */
  publisher(): RedisTarget;
  /** Reconnects where the server has become a replica, which takes a PUBLISH without an error. Asks with ROLE. */
  leaveReplica(): Promise<void>;
}
