import type { RedisClient } from './connect.js';

const REFRESH_MS = 30_000;

/** Redis' clock, estimated from TIME: processes whose own clocks differ agree on a deadline. One TIME in 30 s. */
export class RedisClock {
  #offsetMs = 0;
  #measuredAt = Number.NEGATIVE_INFINITY;

  constructor(readonly client: RedisClient) {
    client.on('ready', () => this.#measure());
    if (client.status === 'ready') this.#measure();
  }

  now(): number {
    if (performance.now() - this.#measuredAt > REFRESH_MS && this.client.status === 'ready') this.#measure();
    return Math.round(Date.now() + this.#offsetMs);
  }

  #measure(): void {
    this.#measuredAt = performance.now();
    const sent = Date.now();
    this.client.time().then(
      ([seconds, micros]) => {
        this.#offsetMs = Number(seconds) * 1000 + Number(micros) / 1000 - (sent + Date.now()) / 2;
      },
      () => {
        this.#measuredAt = Number.NEGATIVE_INFINITY;
      },
    );
  }
}
