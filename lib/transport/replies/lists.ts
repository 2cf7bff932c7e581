import { createPool, type Pool } from 'generic-pool';
import type { Redis } from 'ioredis';
import { DEFAULT_MAX_WAIT_MS, whenReady } from '../../redis/connect.js';
import { endConnection } from '../../redis/end-connection.js';
import { LoopTimeout, loopNowMs } from '../../redis/loop-clock.js';
import type { RedisTarget } from '../../redis/target.js';

/** A blocking read ends after this long at most: liveness.ts takes a connection for dead that is silent for 2 s. */
const BLOCK_SECONDS = 0.5;
/** How many requests may wait for a free connection at once, and for how long: their visitors wait as long for their pages. */
const MAX_WAITING = 1_000;
const MAX_WAIT_MS = 1_000;

/** The white paper's way of waiting: a list for every request, and a blocking connection from a pool of a fixed size. */
export class ReplyLists {
  /** All connections, also those in use: close() ends them. */
  readonly #clients = new Set<Redis>();
  readonly #pool: Pool<Redis>;

  constructor(
    readonly target: RedisTarget,
    size: number,
  ) {
    const create = () => this.#connect();
    const destroy = async (client: Redis) => {
      this.#clients.delete(client);
      endConnection(client);
    };
    const validate = async ({ status }: Redis) => status === 'ready';
    const limits = { max: size, maxWaitingClients: MAX_WAITING, acquireTimeoutMillis: MAX_WAIT_MS };
    this.#pool = createPool<Redis>({ create, destroy, validate }, { ...limits, testOnBorrow: true });
  }

  async #connect(): Promise<Redis> {
    const client = this.target.connect('blocking');
    this.#clients.add(client);
    await whenReady(client, DEFAULT_MAX_WAIT_MS).catch((error) => {
      this.#clients.delete(client);
      endConnection(client);
      throw error;
    });
    return client;
  }

  /** A free connection, within `timeoutMs`; rejects where there is none. */
  async take(timeoutMs: number): Promise<Redis> {
    let isGivenUp = false;
    let timeout: LoopTimeout | undefined;
    const timedOut = new Promise<never>((_, reject) => {
      timeout = new LoopTimeout(() => {
        isGivenUp = true;
        reject(new Error('no connection was free in time'));
      }, timeoutMs);
    });
    const taken = this.#pool.acquire().then((client) => {
      if (isGivenUp) void this.#pool.release(client); // It came too late for the caller.
      return client;
    });
    return Promise.race([taken, timedOut]).finally(() => timeout?.clear());
  }

  /**
   * Resolves with what arrives on a list until `untilMs` (of the loop's clock), or with null. Then frees the connection, which
   * may be later than the request's own timer: Redis looks only ten times a second for BLPOPs that have timed out.
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

  close(): void {
    for (const client of this.#clients) endConnection(client);
    // Whoever waits for a connection gets an error; the pool drops connections as they come back.
    void this.#pool.drain().then(() => this.#pool.clear());
  }
}
