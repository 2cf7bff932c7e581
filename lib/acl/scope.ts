/**
 * `serving`: an Express process with the store and `req.intelligence`; `worker`: a worker; `publisher`: a process that only
 * sends messages, without sessions (WIRE.md); `notifications`: a process that publishes notifications.
 */
export type AclRole = 'serving' | 'worker' | 'publisher' | 'notifications';

/** What gives a serving process further rights: features of the store, visitors' notifications, and the option `itemSecret`. */
export type StoreFeature = 'users' | 'near-cache' | 'expired-events' | 'scan' | 'notifications' | 'item-secret';

/** The features of a Redis server, as server.ts finds them. */
export interface ServerFeatures {
  /** Major and minor version as INFO gives them in `redis_version`; Valkey gives 7.2. */
  readonly version: readonly [major: number, minor: number];
  readonly bloom: 'module' | 'fallback';
  /** Does the server have BF.CARD (since RedisBloom 2.4.4)? */
  readonly bloomCard: boolean;
}

/** Everything that the rights of a role depend on. */
export interface AclScope {
  readonly server: ServerFeatures;
  /** The client's `keyPrefix` followed by the option `namespace`. */
  readonly namespace: string;
  readonly keyPrefix: string;
  /** The store's option `prefix`. */
  readonly prefix: string;
  readonly db: number;
  readonly transport: 'pubsub' | 'stream';
  readonly replies: 'inbox' | 'list';
  readonly cluster: boolean;
  /**
   * The option `sessionGlob` of a worker on pub/sub: an ACL has to name the patterns exactly as the worker subscribes to them.
   */
  readonly sessionGlob: string;
  /** The application's own commands. */
  readonly commands: readonly string[];
  readonly store: ReadonlySet<StoreFeature>;
  /** The worker's option `bloom`. */
  readonly bloom: 'auto' | 'module' | 'fallback';
}

/**
 * Commands, and the keys and channels on which they may be used. `~` before a key means read and write, `%R~` read, `%W~`
 * write. On a server with selectors (Redis 7 and later) each group becomes one selector.
 */
export interface RightGroup {
  readonly name: string;
  readonly commands: readonly string[];
  readonly keys?: readonly string[];
  readonly channels?: readonly string[];
}
