import type { RedisOptions } from 'ioredis';

/**
 * What a connection is for: ordinary commands; commands that block until something comes (BLPOP); SUBSCRIBE; or the
 * invalidations of CLIENT TRACKING, which the near cache hears.
 */
export type Role = 'commands' | 'blocking' | 'subscriber' | 'tracking';

/**
 * Does the error say that the server has become a replica? A write gets READONLY, and a command that blocks gets UNBLOCKED.
 * Where a script sent the write, Redis 6.2 puts other words before READONLY.
 */
export const tellsOfReplica = (message: string): boolean =>
  /^(READONLY|UNBLOCKED)|^(@user_script|ERR Error running script).*-READONLY/.test(message);

/**
 * For every role: no command waits in a queue, none is sent twice, and the connection comes back by itself. liveness.ts bounds
 * what has no limit here: it ends a dead connection, and with it every command on it. ARCHITECTURE.md, "Connections".
 */
const everyRole: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  // the longest pause between two ready checks while Redis loads its data, ms
  maxLoadingRetryTime: 200,
  // the pause before a connection is made again, ms: it doubles from 40 to 250, with a random part so that processes do not all
  // come at once
  retryStrategy: (times) => Math.min(20 * 2 ** Math.min(times, 5), 250) + Math.random() * 20,
  reconnectOnError: (error) => tellsOfReplica(error.message),
  lazyConnect: false,
  // how long an ended connection waits for the other side; ioredis' timer for that keeps the process alive
  disconnectTimeout: 50,
  // ioredis' defaults, which a caller's own client may have changed
  keyPrefix: '',
  stringNumbers: false,
  enableAutoPipelining: false,
  blockingTimeout: undefined,
};

/** Connections that wait on purpose do not have a caller's limits for commands. */
const waitingRole: RedisOptions = { ...everyRole, commandTimeout: undefined, socketTimeout: undefined };

export const roleOptions: Record<Role, RedisOptions> = {
  commands: everyRole,
  blocking: waitingRole,
  subscriber: waitingRole,
  // with RESP2, invalidations arrive as messages of a channel, which is what near-cache.ts subscribes to
  tracking: { ...waitingRole, protocol: 2 },
};

/**
 * How long a Sentinel may take to answer, where the caller says nothing; then the next one is asked. ioredis counts the
 * connection in: with TLS four round trips.
 */
export const SENTINEL_COMMAND_MS = 1_500;
