import type { RedisOptions } from 'ioredis';

/**
 * Options with Sentinels, completed so that TLS is used wherever the caller asks for it. ioredis uses TLS for the nodes that
 * Sentinels name only where both `tls` and `enableTLSForSentinelMode` are set; with only one of the two it sends the password
 * in clear. Where the caller sets `enableTLSForSentinelMode`, `sentinelTLS` alone decides about the Sentinels, as with
 * ioredis; elsewhere `tls` holds for the Sentinels, too.
 */
export function tlsWithSentinels(options: RedisOptions): RedisOptions {
  const { tls, sentinelTLS, enableTLSForSentinelMode } = options;
  if (enableTLSForSentinelMode) return { ...options, tls: tls ?? sentinelTLS ?? {} };
  if (!tls) return options;
  return { ...options, enableTLSForSentinelMode: true, sentinelTLS: sentinelTLS ?? tls };
}
