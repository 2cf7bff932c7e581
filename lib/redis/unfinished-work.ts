import type { RedisClient } from './connect.js';

/** How long a close() waits at most for what is under way, ms. */
export const CLOSE_TIMEOUT_MS = 5_000;

/** Counts what has begun and has not ended, so that a close() can wait for it. */
export class Pending {
  #count = 0;
  #connected: boolean;
  /** Is Redis away, as far as is known? A first connection that is still on its way is not. */
  #away = false;
  readonly #waiting = new Set<() => void>();

  /** With the client that the work needs, if one is needed: while Redis is away, nobody waits for it. */
  constructor(client?: RedisClient) {
    this.#connected = client === undefined || client.status === 'ready';
    client?.on('ready', () => {
      [this.#connected, this.#away] = [true, false];
    });
    const lost = () => {
      [this.#connected, this.#away] = [false, true];
      this.#tell();
    };
    client?.on('close', lost);
    // Sentinels that can't be reached are an error, and no close
    client?.on('error', () => {
      if (client.status !== 'ready') lost();
    });
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count === 0) this.#tell();
  }

  track(work: Promise<unknown>): void {
    this.begin();
    const end = () => this.end();
    work.then(end, end);
  }

  /**
   * Resolves when everything has ended, after `timeoutMs`, or where Redis is away: at once then. A connection that is lost
   * meanwhile ends by itself what needed it.
   */
  async settled(timeoutMs: number): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    const wasConnected = this.#connected;
    while (!(this.#away && !wasConnected)) {
      // What has just ended may begin something else: a session that was read is saved in the same turn.
      if (this.#count === 0) await new Promise((resolve) => setImmediate(resolve));
      const leftMs = endMs - performance.now();
      if (this.#count === 0 || leftMs <= 0) return;
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          this.#waiting.delete(done);
          resolve();
        };
        const timer = setTimeout(done, leftMs);
        this.#waiting.add(done);
      });
    }
  }

  #tell(): void {
    for (const done of [...this.#waiting]) done();
  }
}
