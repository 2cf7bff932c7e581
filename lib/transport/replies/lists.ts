import { createPool, type Pool } from 'generic-pool';
import type { Redis } from 'ioredis';
import { DEFAULT_MAX_WAIT_MS, whenReady } from '../../redis/connect.js';
import { endConnection } from '../../redis/end-connection.js';
import { LoopTimeout, loopNowMs } from '../../redis/loop-clock.js';
import type { RedisTarget } from '../../redis/target.js';

/**
 * A blocking read ends after this long, and a tenth of a second in which Redis looks for it: liveness.ts takes a connection for
 * dead that is silent for 2 s.
 */
const BLOCK_SECONDS = 0.5;
/** How many requests may wait for a free connection at once; those count whose time is up until a connection is free. */
const MAX_WAITING = 1_000;

/** The white paper's way of waiting: a list for every request, and a blocking connection for it from a pool, of `size` at most. */
export class ReplyLists {
  /** All connections, also those in use: close() ends them. */
  readonly #clients = new Set<Redis>();
  readonly #pool: Pool<Redis>;
  /** Of each take() that waits, what makes it reject. */
  readonly #waiting = new Set<(error: Error) => void>();
  #isClosed = false;

  constructor(
    readonly target: RedisTarget,
    size: number,
  ) {
    // The pool asks for another connection at once where one could not be made, so after close() it gets no answer.
    const create = () => (this.#isClosed ? new Promise<never>(() => {}) : this.#connect());
    const destroy = async (client: Redis) => {
      this.#clients.delete(client);
      endConnection(client);
    };
    const validate = async ({ status }: Redis) => status === 'ready';
    const limits = { max: size, maxWaitingClients: MAX_WAITING };
    this.#pool = createPool<Redis>({ create, destroy, validate }, { ...limits, testOnBorrow: true });
  }

  async #connect(): Promise<Redis> {
    const client = this.target.connect('blocking');
    this.#clients.add(client);
    await whenReady(client, DEFAULT_MAX_WAIT_MS).catch((error) => {
      this.#clients.delete(client);
      endConnection(client);
      this.#giveUpAll(error);
      throw error;
    });
    return client;
  }

  /**
   * A free connection, within `timeoutMs` of the loop's clock. Rejects where there is none, once this is closed, and, with a coded
   * error, where Redis can't be reached.
   */
  take(timeoutMs: number): Promise<Redis> {
    if (this.#isClosed) return Promise.reject(new Error('closed'));
    return new Promise((resolve, reject) => {
      const giveUp = (error: Error) => {
        timeout.clear();
        this.#waiting.delete(giveUp);
        reject(error);
      };
      const timeout = new LoopTimeout(() => giveUp(new Error('no connection was free in time')), timeoutMs);
      this.#waiting.add(giveUp);
      this.#pool.acquire().then((client) => {
        if (!this.#waiting.delete(giveUp)) return void this.#pool.release(client); // It came too late for the caller.
        timeout.clear();
        resolve(client);
      }, giveUp);
    });
  }

  /**
   * Resolves with what arrives on a list until `untilMs` (of the loop's clock), or with null. Then frees the connection, which
   * may be later than the request's own timer: Redis looks for BLPOPs that have timed out ten times a second.
   */
  async wait(client: Redis, key: string, untilMs: number): Promise<string | null> {
    try {
      for (let leftMs = untilMs - loopNowMs(); leftMs > 0; leftMs = untilMs - loopNowMs()) {
        // A ms more, so that no rest is rounded to 0, which is no limit.
        const reply = await client.blpop(key, Math.min(BLOCK_SECONDS, leftMs / 1000 + 0.001));
        if (reply) return reply[1];
      }
      return null;
    } finally {
      void this.#pool.release(client);
    }
  }

  /** Whoever waits for a connection or for an answer gets an error. */
  close(): void {
    this.#isClosed = true;
    this.#giveUpAll(new Error('closed'));
    for (const client of this.#clients) endConnection(client);
  }

  #giveUpAll(error: Error): void {
    for (const giveUp of this.#waiting) giveUp(error);
  }
}
