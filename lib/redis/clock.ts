import type { RedisClient } from './target.js';

const REFRESH_MS = 30_000;
/** A sample is kept in place of a better one only when that is so old: clocks drift by less than a millisecond meanwhile. */
const KEEP_MS = 300_000;

/** Redis' clock, estimated from TIME: processes whose own clocks differ agree on a deadline. One TIME in 30 s. */
export class RedisClock {
  /** Redis' time less this process' own steady clock */
  #offsetMs = performance.timeOrigin;
  /** half the round trip of the sample in use: so far the estimate may be off */
  #uncertaintyMs = Number.POSITIVE_INFINITY;
  #sampledAt = Number.NEGATIVE_INFINITY;
  #measuredAt = Number.NEGATIVE_INFINITY;

  constructor(readonly client: RedisClient) {
    client.on('ready', () => {
      this.#uncertaintyMs = Number.POSITIVE_INFINITY; // perhaps another server's clock
      this.#measure();
    });
    if (client.status === 'ready') this.#measure();
  }

  /** The latest that it may be now by Redis' clock. */
  latestMs(): number {
    return Math.ceil(this.#now() + this.#errorMs);
  }

  /** The earliest that it may be now by Redis' clock. */
  earliestMs(): number {
    return Math.floor(this.#now() - this.#errorMs);
  }

  #now(): number {
    if (performance.now() - this.#measuredAt > REFRESH_MS && this.client.status === 'ready') this.#measure();
    return performance.now() + this.#offsetMs;
  }

  /** Before the first answer it is taken for this machine's. */
  get #errorMs(): number {
    return Number.isFinite(this.#uncertaintyMs) ? this.#uncertaintyMs : 0;
  }

  #measure(): void {
    const sentAt = performance.now();
    this.#measuredAt = sentAt;
    this.client.time().then(
      ([seconds, micros]) => {
        const now = performance.now();
        const uncertaintyMs = (now - sentAt) / 2;
        // a reply that waited for a stall of this process, or of Redis, says less than an older one that did not
        if (uncertaintyMs > this.#uncertaintyMs && now - this.#sampledAt < KEEP_MS) return;
        this.#uncertaintyMs = uncertaintyMs;
        this.#sampledAt = now;
        this.#offsetMs = Number(seconds) * 1000 + Number(micros) / 1000 - (sentAt + now) / 2;
      },
      () => {
        this.#measuredAt = Number.NEGATIVE_INFINITY;
      },
    );
  }
}
