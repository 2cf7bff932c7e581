import type { RedisOptions } from 'ioredis';

export type Role = 'commands' | 'blocking' | 'subscriber' | 'tracking';

/** A server that has become a replica: by itself, or as Redis 6.2 tells it of a command in a script. */
export const tellsOfReplica = (message: string): boolean =>
  /^(READONLY|UNBLOCKED)|^(@user_script|ERR Error running script).*-READONLY/.test(message);

/**
 * Every role: nothing waits unseen, nothing is sent twice, it comes back by itself. What has no limit here is bounded by
 * liveness.ts, which ends a dead connection and so every command on it. ARCHITECTURE.md, "Connections".
 */
const everyRole: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  maxLoadingRetryTime: 200,
  retryStrategy: (times) => Math.min(20 * 2 ** Math.min(times, 5), 250) + Math.random() * 20,
  reconnectOnError: (error) => tellsOfReplica(error.message),
  lazyConnect: false,
  // a connection that is given up waits no longer for the other side; ioredis' timer keeps the process, too
  disconnectTimeout: 50,
  // what a caller's own client may have otherwise
  keyPrefix: '',
  stringNumbers: false,
  enableAutoPipelining: false,
  blockingTimeout: undefined,
};

/** A caller's own limits for commands are not for connections that wait on purpose. */
const waiting: RedisOptions = { ...everyRole, commandTimeout: undefined, socketTimeout: undefined };

export const roleOptions: Record<Role, RedisOptions> = {
  commands: everyRole,
  blocking: waiting,
  subscriber: waiting,
  tracking: { ...waiting, protocol: 2 },
};

/** Sentinels that do not answer are passed over after this, where the caller says nothing. */
export const SENTINEL_COMMAND_MS = 1_000;
