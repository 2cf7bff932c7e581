/** No option and no message lets a key live for longer than this (and a sixteenth more): 400 days, as long as browsers keep a cookie. */
export const MAX_TTL_SECONDS = 400 * 86_400;

/** A ttl in whole seconds, at least 1: with a fraction a script would fail after its first write, and 0 would remove the key. */
export const boundedTtl = (ttlSeconds: number): number => Math.min(Math.max(1, Math.ceil(ttlSeconds)), MAX_TTL_SECONDS);
