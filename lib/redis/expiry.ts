/** No option and no message lets a key live for longer than 400 days (and a sixteenth): as long as browsers keep a cookie. */
export const MAX_TTL_SECONDS = 400 * 86_400;

/** A ttl in whole seconds, at least 1: a script would fail at a fraction after its first write, and 0 would remove the key. */
export const boundedTtl = (ttlSeconds: number): number => Math.min(Math.max(1, Math.ceil(ttlSeconds)), MAX_TTL_SECONDS);
