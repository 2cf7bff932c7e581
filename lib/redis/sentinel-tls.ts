import type { RedisOptions } from 'ioredis';

/**
 * Options with Sentinels, completed so that TLS is used wherever the caller asks for it. ioredis uses TLS for the nodes that
 * Sentinels name only where both `tls` and `enableTLSForSentinelMode` are set; with one of them it sends the password in clear.
 * A caller who sets `enableTLSForSentinelMode` chooses TLS for the Sentinels by `sentinelTLS`, as with ioredis; for others `tls`
 * is for the Sentinels, too.
 */
export function tlsWithSentinels(options: RedisOptions): RedisOptions {
  const { tls, sentinelTLS, enableTLSForSentinelMode } = options;
  if (enableTLSForSentinelMode) return { ...options, tls: tls ?? sentinelTLS ?? {} };
  if (!tls) return options;
  return { ...options, enableTLSForSentinelMode: true, sentinelTLS: sentinelTLS ?? tls };
}
