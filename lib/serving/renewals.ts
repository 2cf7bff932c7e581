import { LRUCache } from 'lru-cache';
import { intelligenceKeys } from '../intelligence/keys.js';
import { boundedTtl } from '../redis/expiry.js';
import { intelligenceKey } from '../redis/keys.js';
import type { RedisClient } from '../redis/connect.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';

const MAX_REMEMBERED = 50_000;
const script = new Script<number>(loadScript('lib/serving/renew.lua'));

/** Renews the expiry of what is kept of sessions (renew.lua), where this process does not know that it lasts. */
export class Renewals {
  /** Until when what is kept of a session lasts at least, by performance.now(). */
  readonly #untilMs = new LRUCache<string, number>({ max: MAX_REMEMBERED });

  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
  ) {}

  /** One script call where it is due: once in a sixteenth of the ttl at most. */
  renew(sid: string, ttlSeconds: number): Promise<void> | undefined {
    const ttlMs = boundedTtl(ttlSeconds) * 1000;
    const nowMs = performance.now();
    if ((this.#untilMs.get(sid) ?? 0) - nowMs >= ttlMs) return undefined;
    // What is made while the script runs is kept for as long.
    this.#untilMs.set(sid, nowMs + ttlMs + ttlMs / 16);
    return this.#run(sid, ttlMs, nowMs);
  }

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
