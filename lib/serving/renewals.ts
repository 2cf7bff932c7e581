import { LRUCache } from 'lru-cache';
import { intelligenceKeys } from '../intelligence/keys.js';
import { boundedTtl } from '../redis/expiry.js';
import { intelligenceKey } from '../redis/keys.js';
import type { RedisClient } from '../redis/connect.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';

/** For how many sessions this process remembers how long their keys last. */
const MAX_REMEMBERED = 50_000;
/** A renewal sets an expiry that is later by ttl / 16, so that the next requests need no renewal (renew.lua). */
const SPARE_PART = 16;
const script = new Script<number>(loadScript('lib/serving/renew.lua'));

/** Renews the expiry of the intelligence keys of a session (renew.lua), unless this process knows that they last as long as the session. */
export class Renewals {
  /** By session id: until when its keys last at least, by performance.now(). */
  readonly #untilMs = new LRUCache<string, number>({ max: MAX_REMEMBERED });

  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
  ) {}

  /** Renews the expiry by one script call, if it is due: at most once in a sixteenth of the ttl. */
  renew(sid: string, ttlSeconds: number): Promise<void> | undefined {
    const ttlMs = boundedTtl(ttlSeconds) * 1000;
    const nowMs = performance.now();
    if ((this.#untilMs.get(sid) ?? 0) - nowMs >= ttlMs) return undefined;
    // It is set at once, so that calls meanwhile send nothing: a key that a worker creates meanwhile gets the same expiry.
    this.#untilMs.set(sid, nowMs + ttlMs + ttlMs / SPARE_PART);
    return this.#run(sid, ttlMs, nowMs);
  }

  /** Makes the next renew() run the script. */
  forget(sid: string): void {
    this.#untilMs.delete(sid);
  }

  async #run(sid: string, ttlMs: number, nowMs: number): Promise<void> {
    const keys = [...Object.values(intelligenceKeys(this.namespace, sid)), intelligenceKey(this.namespace, sid, 'own')];
    try {
      const leftMs = await script.run(this.client, [...keys, ttlMs], keys.length);
      if (leftMs > 0) this.#untilMs.set(sid, nowMs + leftMs);
    } catch (error) {
      this.#untilMs.delete(sid);
      throw error;
    }
  }
}
