/** An Express process (store and insight); a worker; what only sends messages, without sessions (WIRE.md); who publishes notifications. */
export type AclRole = 'serving' | 'worker' | 'publisher' | 'notifications';

/** What needs further rights of a serving process: features of the store, and reading notifications. */
export type StoreFeature = 'users' | 'near-cache' | 'expired-events' | 'scan' | 'notifications';

/** The features of a server, which server.ts asks for. */
export interface ServerFeatures {
  /** Major and minor version as INFO gives them in `redis_version`; Valkey says 7.2. */
  readonly version: readonly [major: number, minor: number];
  readonly bloom: 'module' | 'fallback';
  /** BF.CARD, since RedisBloom 2.4.4 */
  readonly bloomCard: boolean;
}

/** All that the rights depend on. */
export interface AclScope {
  readonly server: ServerFeatures;
  /** The client's `keyPrefix` and the namespace. */
  readonly namespace: string;
  readonly keyPrefix: string;
  /** The store's option `prefix`. */
  readonly prefix: string;
  readonly db: number;
  readonly transport: 'pubsub' | 'stream';
  readonly replies: 'inbox' | 'list';
  readonly cluster: boolean;
  /** A worker's on pub/sub: an ACL has to name its patterns as they are. */
  readonly sessionGlob: string;
  /** The application's own commands. */
  readonly commands: readonly string[];
  readonly store: ReadonlySet<StoreFeature>;
  /** The worker's option `bloom`. */
  readonly bloom: 'auto' | 'module' | 'fallback';
}

/**
 * Commands, and the keys and channels that they may be used on. `~` before a key means read and write, `%R~` read, `%W~` write.
 * Where the server has selectors, each group is one.
 */
export interface RightGroup {
  readonly name: string;
  readonly commands: readonly string[];
  readonly keys?: readonly string[];
  readonly channels?: readonly string[];
}
