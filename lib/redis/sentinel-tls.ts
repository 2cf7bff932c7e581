import type { RedisOptions } from 'ioredis';

/**
 * Options with Sentinels, so that TLS is spoken wherever the caller asks for it. ioredis alone follows `tls` to the nodes that
 * Sentinels name only with `enableTLSForSentinelMode`, and that only with `tls`: with one of them, it sends the password in clear.
 * Who sets `enableTLSForSentinelMode` says of the Sentinels by `sentinelTLS`, as with ioredis; else `tls` is for them, too.
 */
export function tlsWithSentinels(options: RedisOptions): RedisOptions {
  const { tls, sentinelTLS, enableTLSForSentinelMode } = options;
  if (enableTLSForSentinelMode) return { ...options, tls: tls ?? sentinelTLS ?? {} };
  if (!tls) return options;
  return { ...options, enableTLSForSentinelMode: true, sentinelTLS: sentinelTLS ?? tls };
}
