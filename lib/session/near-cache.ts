import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { redisFault } from '../errors/errors.js';
import { INVALIDATIONS } from '../redis/channels.js';
import { endConnection } from '../redis/end-connection.js';
import type { RedisTarget } from '../redis/target.js';

const PING_MS = 15;
/** Nothing is served unless everything that was written this long ago has been heard of. */
const FRESH_MS = 50;

/**
 * Sessions' stored values in this process. Redis says which keys were written (CLIENT TRACKING, broadcast for the prefix, on
 * one connection that it is redirected to: https://redis.io/docs/latest/commands/client-tracking/). What is here is served
 * only while that connection's last answered PING was sent less than 50 ms ago: the answer stands behind everything that
 * was written before it. Emits `fault`.
 */
export class NearCache extends EventEmitter {
  readonly client: Redis;
  readonly #values: LRUCache<string, string>;
  /**
   * Reads under way, by key. A read that a write crosses loses its token, and is not kept. Their number is bounded, since a
   * read that finds nothing, or fails, stays here.
   */
  readonly #reads: LRUCache<string, symbol>;
  readonly #ttlMs: number;
  /** Everything that was written until then has been heard of; by performance.now(). */
  #heardUpToMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    target: RedisTarget,
    prefix: string,
    { max, maxBytes, ttlSeconds }: { max: number; maxBytes: number; ttlSeconds: number },
  ) {
    super();
    this.#ttlMs = ttlSeconds * 1000;
    this.#reads = new LRUCache({ max });
    // a string with one character beyond Latin-1 takes two bytes for each
    const sizeCalculation = (value: string, key: string) => 2 * (value.length + key.length);
    this.#values = new LRUCache({ max, maxSize: maxBytes, sizeCalculation, ttl: this.#ttlMs });
    this.client = target.connect('tracking');
    this.client.on('ready', () => void this.#track(prefix));
    this.client.on('close', () => this.#stop());
    this.client.on('messageBuffer', (_channel: Buffer, keys: unknown) => {
      if (!Array.isArray(keys)) this.clear();
      else for (const key of keys) this.forget(String(key));
    });
  }

  /** The value of a key, if it is here and was surely the value within the last 50 ms. */
  get(key: string): string | undefined {
    return performance.now() - this.#heardUpToMs <= FRESH_MS ? this.#values.get(key) : undefined;
  }

  /** Before a read: gives the token by which the value is kept if nobody writes the key meanwhile. */
  begin(key: string): symbol {
    const token = Symbol();
    this.#reads.set(key, token);
    return token;
  }

  /** After a read: keeps the value for as long as the session has left. */
  keep(key: string, token: symbol, value: string, leftMs: number): void {
    if (this.#reads.get(key) !== token) return;
    this.#reads.delete(key);
    if (leftMs > 0 && this.#timer) this.#values.set(key, value, { ttl: Math.max(1, Math.min(this.#ttlMs, leftMs)) });
  }

  /** The key was written, or is about to be. */
  forget(key: string): void {
    this.#values.delete(key);
    this.#reads.delete(key);
  }

  clear(): void {
    this.#values.clear();
    this.#reads.clear();
  }

  close(): void {
    this.#stop();
    endConnection(this.client);
  }

  async #track(prefix: string): Promise<void> {
    try {
      const id = await this.client.client('ID');
      await this.client.client('TRACKING', 'ON', 'REDIRECT', id, 'BCAST', 'PREFIX', prefix);
      await this.client.subscribe(INVALIDATIONS);
      this.#stop();
      this.#timer = setInterval(() => this.#ping(), PING_MS);
      this.#ping();
    } catch (error) {
      this.emit('fault', redisFault(error));
    }
  }

  #ping(): void {
    const sent = performance.now();
    this.client.ping().then(
      () => {
        if (this.#timer) this.#heardUpToMs = sent;
      },
      () => {},
    );
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#heardUpToMs = Number.NEGATIVE_INFINITY;
    this.clear();
  }
}
