/**
 * The channels that Redis itself publishes to: https://redis.io/docs/latest/develop/reference/client-side-caching/, and
 * keyspace notifications.
 */
export const INVALIDATIONS = '__redis__:invalidate';
export const expiredChannel = (db: number): string => `__keyevent@${db}__:expired`;
