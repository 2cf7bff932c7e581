/** No option and no message lets a key live for longer than this (and a sixteenth more): as long as browsers keep a cookie, 400 days. */
export const MAX_TTL_SECONDS = 400 * 86_400;

/** A ttl in whole seconds: Redis refuses a fraction, which would come after the first write, and 0 would remove the key. */
export const boundedTtl = (ttlSeconds: number): number => Math.min(Math.max(1, Math.ceil(ttlSeconds)), MAX_TTL_SECONDS);
