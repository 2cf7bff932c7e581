import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { redisFault } from '../errors/errors.js';
import { INVALIDATIONS } from '../redis/channels.js';
import { endConnection } from '../redis/end-connection.js';
import type { RedisTarget } from '../redis/target.js';

const PING_MS = 15;
/** Everything that was written this long ago has been heard of, or nothing is served. */
const FRESH_MS = 50;

/**
 * Sessions' stored texts in this process. Redis says which keys were written (CLIENT TRACKING, broadcast for the prefix, on
 * one connection that it is redirected to: https://redis.io/docs/latest/commands/client-tracking/). What is here is served
 * only while that connection's last answered PING was sent less than 50 ms ago: the answer stands behind everything that
 * was written before it. Emits `fault`.
 */
export class NearCache extends EventEmitter {
  readonly client: Redis;
  readonly #texts: LRUCache<string, string>;
  /** reads under way, by key: one that a write crosses is not kept; bounded, since a read may find nothing, or fail */
  readonly #reads: LRUCache<string, symbol>;
  #heardUpTo = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  readonly #ttlMs: number;

  constructor(
    target: RedisTarget,
    prefix: string,
    { max, maxBytes, ttl }: { max: number; maxBytes: number; ttl: number },
  ) {
    super();
    this.#ttlMs = ttl * 1000;
    this.#reads = new LRUCache({ max });
    // a text with one character beyond Latin-1 takes two bytes for each
    const sizeCalculation = (text: string, key: string) => 2 * (text.length + key.length);
    this.#texts = new LRUCache({ max, maxSize: maxBytes, sizeCalculation, ttl: this.#ttlMs });
    this.client = target.connect('tracking');
    this.client.on('ready', () => void this.#track(prefix));
    this.client.on('close', () => this.#stop());
    this.client.on('messageBuffer', (_channel: Buffer, keys: unknown) => {
      if (!Array.isArray(keys)) this.clear();
      else for (const key of keys) this.forget(String(key));
    });
  }

  /** The text under a key, if it is here and surely of the last 50 ms. */
  get(key: string): string | undefined {
    return performance.now() - this.#heardUpTo <= FRESH_MS ? this.#texts.get(key) : undefined;
  }

  /** Before a read: what was read is kept by this mark, if nobody writes the key meanwhile. */
  begin(key: string): symbol {
    const mark = Symbol();
    this.#reads.set(key, mark);
    return mark;
  }

  /** After a read: keeps the text for as long as the session has left. */
  keep(key: string, mark: symbol, text: string, leftMs: number): void {
    if (this.#reads.get(key) !== mark) return;
    this.#reads.delete(key);
    if (leftMs > 0 && this.#timer) this.#texts.set(key, text, { ttl: Math.max(1, Math.min(this.#ttlMs, leftMs)) });
  }

  /** The key was written, or is about to be. */
  forget(key: string): void {
    this.#texts.delete(key);
    this.#reads.delete(key);
  }

  clear(): void {
    this.#texts.clear();
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
        if (this.#timer) this.#heardUpTo = sent;
      },
      () => {},
    );
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#heardUpTo = Number.NEGATIVE_INFINITY;
    this.clear();
  }
}
