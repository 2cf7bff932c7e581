import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { redisFault } from '../errors/errors.js';
import { INVALIDATIONS } from '../redis/channels.js';
import { endConnection } from '../redis/end-connection.js';
import type { RedisTarget } from '../redis/target.js';

/** A value is served only if this process surely knows of every write that is older than this. */
const FRESH_MS = 50;
/** Three PINGs in FRESH_MS, so that one which is answered late does not empty the cache. */
const PING_INTERVAL_MS = 15;

/**
 * Keeps the stored values of sessions in this process. Redis says which keys were written: CLIENT TRACKING in broadcast mode for
 * the prefix, redirected to the connection that asks for it (https://redis.io/docs/latest/commands/client-tracking/). A value is
 * served only while that connection's last answered PING was sent less than 50 ms ago: Redis sends the answer after the
 * invalidations of all earlier writes. Emits `fault`.
 */
export class NearCache extends EventEmitter {
  readonly client: Redis;
  readonly #values: LRUCache<string, string>;
  /**
   * The tokens of reads under way, by key. Where the key is written during a read, the token is removed, and the value that was
   * read is not kept. The number of tokens is bounded, since the token of a read that finds nothing, or fails, stays here.
   */
  readonly #reads: LRUCache<string, symbol>;
  readonly #ttlMs: number;
  /** This process knows of every write up to this time of performance.now(). */
  #heardUpToMs = Number.NEGATIVE_INFINITY;
  /** set while Redis tells of writes */
  #pingTimer: NodeJS.Timeout | undefined;

  constructor(
    target: RedisTarget,
    prefix: string,
    { max, maxBytes, ttlSeconds }: { max: number; maxBytes: number; ttlSeconds: number },
  ) {
    super();
    this.#ttlMs = ttlSeconds * 1000;
    this.#reads = new LRUCache({ max });
    // a string with one character beyond Latin-1 takes two bytes for each character
    const sizeCalculation = (value: string, key: string) => 2 * (value.length + key.length);
    this.#values = new LRUCache({ max, maxSize: maxBytes, sizeCalculation, ttl: this.#ttlMs });
    this.client = target.connect('tracking');
    this.client.on('ready', () => void this.#track(prefix));
    this.client.on('close', () => this.#stop());
    this.client.on('messageBuffer', (_channel: Buffer, keys: unknown) => {
      // null instead of a list: the whole database was emptied
      if (!Array.isArray(keys)) this.clear();
      else for (const key of keys) this.forget(String(key));
    });
  }

  /** The value of a key, if it is cached and surely was the value in Redis less than 50 ms ago. */
  get(key: string): string | undefined {
    return performance.now() - this.#heardUpToMs <= FRESH_MS ? this.#values.get(key) : undefined;
  }

  /** To be called before a read. Returns the token with which keep() stores the value, unless the key is written meanwhile. */
  begin(key: string): symbol {
    const token = Symbol();
    this.#reads.set(key, token);
    return token;
  }

  /** To be called after a read. Keeps the value for `leftMs`, the time that the session still lives. */
  keep(key: string, token: symbol, value: string, leftMs: number): void {
    if (this.#reads.get(key) !== token) return;
    this.#reads.delete(key);
    if (leftMs > 0 && this.#pingTimer)
      this.#values.set(key, value, { ttl: Math.max(1, Math.min(this.#ttlMs, leftMs)) });
  }

  /** Removes a key that was written, or is about to be. */
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
      this.#pingTimer = setInterval(() => this.#ping(), PING_INTERVAL_MS);
      this.#ping();
    } catch (error) {
      this.emit('fault', redisFault(error));
    }
  }

  #ping(): void {
    const sent = performance.now();
    this.client.ping().then(
      () => {
        if (this.#pingTimer) this.#heardUpToMs = sent;
      },
      () => {},
    );
  }

  #stop(): void {
    clearInterval(this.#pingTimer);
    this.#pingTimer = undefined;
    this.#heardUpToMs = Number.NEGATIVE_INFINITY;
    this.clear();
  }
}
