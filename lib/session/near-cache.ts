import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { redisFault } from '../errors.js';
import { connect, type RedisOption } from '../redis/connect.js';

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
  /** reads under way, by key: one that a write crosses is not kept */
  readonly #reads = new Map<string, symbol>();
  #heardUpTo = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  readonly ttlMs: number;

  constructor(redis: RedisOption, prefix: string, { max, ttl }: { max: number; ttl: number }) {
    super();
    this.ttlMs = ttl * 1000;
    this.#texts = new LRUCache({ max, ttl: this.ttlMs });
    this.client = connect(redis, 'tracking');
    this.client.on('ready', () => this.#track(prefix));
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

  /** Reads a key (GET, and PTTL in the same round trip) and keeps what comes till it ends, unless it is written meanwhile. */
  async read(key: string, client: Pick<Redis, 'get' | 'pttl'>): Promise<string | null> {
    const mark = Symbol();
    this.#reads.set(key, mark);
    try {
      const [text, leftMs] = await Promise.all([client.get(key), client.pttl(key)]);
      const kept = text !== null && leftMs !== -2 && this.#reads.get(key) === mark && this.#timer;
      // Redis tells of an expiry when it removes the key, which may be later
      if (kept) this.#texts.set(key, text, leftMs >= 0 ? { ttl: Math.max(1, Math.min(this.ttlMs, leftMs)) } : {});
      return text;
    } finally {
      if (this.#reads.get(key) === mark) this.#reads.delete(key);
    }
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
    this.client.disconnect();
  }

  async #track(prefix: string): Promise<void> {
    try {
      const id = await this.client.client('ID');
      await this.client.client('TRACKING', 'ON', 'REDIRECT', id, 'BCAST', 'PREFIX', prefix);
      await this.client.subscribe('__redis__:invalidate');
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
