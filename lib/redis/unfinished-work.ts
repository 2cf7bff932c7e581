import type { RedisClient } from './connect.js';

/** The longest that a close() waits for unfinished work, ms. */
export const CLOSE_TIMEOUT_MS = 5_000;

/** Counts work that has begun and not ended, so that a close() can wait for it. */
export class UnfinishedWork {
  #count = 0;
  #connected: boolean;
  /** Whether Redis is known to be away: not while the first connection is being made. */
  #away = false;
  /** Each ends the pause of one call of settled(), which then looks again. */
  readonly #wakers = new Set<() => void>();

  /** `client` is the one that the work needs, if it needs one: settled() does not wait for work while Redis is away. */
  constructor(client?: RedisClient) {
    this.#connected = client === undefined || client.status === 'ready';
    client?.on('ready', () => {
      [this.#connected, this.#away] = [true, false];
    });
    const lost = () => {
      [this.#connected, this.#away] = [false, true];
      this.#wake();
    };
    client?.on('close', lost);
    // where no Sentinel can be reached, the client emits `error` and no `close`
    client?.on('error', () => {
      if (client.status !== 'ready') lost();
    });
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count === 0) this.#wake();
  }

  track(work: Promise<unknown>): void {
    this.begin();
    const end = () => this.end();
    work.then(end, end);
  }

  /**
   * Resolves when all work has ended, after `timeoutMs`, or at once where Redis is away. A connection that is lost meanwhile
   * ends no wait: the work that needs it fails by itself.
   */
  async settled(timeoutMs: number): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    const wasConnected = this.#connected;
    while (!(this.#away && !wasConnected)) {
      // Work that has just ended may begin other work: a session that was read is saved in the same turn.
      if (this.#count === 0) await new Promise((resolve) => setImmediate(resolve));
      const leftMs = endMs - performance.now();
      if (this.#count === 0 || leftMs <= 0) return;
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          this.#wakers.delete(done);
          resolve();
        };
        const timer = setTimeout(done, leftMs);
        this.#wakers.add(done);
      });
    }
  }

  #wake(): void {
    for (const done of [...this.#wakers]) done();
  }
}
