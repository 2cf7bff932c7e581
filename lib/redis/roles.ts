import type { RedisOptions } from 'ioredis';

export type Role = 'commands' | 'blocking' | 'subscriber' | 'tracking';

/** Every role: nothing waits unseen, nothing is sent twice, it comes back by itself. ARCHITECTURE.md, "Connections". */
const everyRole: RedisOptions = {
  connectTimeout: 500,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  maxLoadingRetryTime: 200,
  retryStrategy: (times) => Math.min(20 * 2 ** Math.min(times, 5), 250) + Math.random() * 20,
  reconnectOnError: (error) => /^(READONLY|UNBLOCKED)/.test(error.message),
  lazyConnect: false,
  // a connection that is given up waits no longer for the other side; ioredis' timer keeps the process, too
  disconnectTimeout: 50,
  // what a caller's own client may have otherwise
  keyPrefix: '',
  stringNumbers: false,
  enableAutoPipelining: false,
  commandTimeout: undefined,
  blockingTimeout: undefined,
  monitor: false,
};

export const roleOptions: Record<Role, RedisOptions> = {
  commands: { ...everyRole, commandTimeout: 250, socketTimeout: 600 },
  blocking: { ...everyRole, socketTimeout: 900 },
  subscriber: { ...everyRole, socketTimeout: 400 },
  tracking: { ...everyRole, socketTimeout: 400, protocol: 2 },
};
