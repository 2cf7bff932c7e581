import type { ServerResponse } from 'node:http';
import { UnfinishedWork } from '../lib/redis/unfinished-work.js';
import type { RedisClient } from '../lib/redis/connect.js';

/** The responses that are under way, so that a close() can wait for what they save and send. */
export class Responses {
  readonly #pending: UnfinishedWork;
  readonly #open = new Set<ServerResponse>();
  #closing = false;

  /** `client` is the Redis client of the package's own store: while its Redis is away, close() waits for nothing. */
  constructor(client: RedisClient | undefined) {
    this.#pending = new UnfinishedWork(client);
  }

  /**
   * Calls `onEnd` when the response has ended or was aborted. A WebSocket's handshake (socket.io, ws) comes with a response
   * that has no events: it is not waited for, and it is no page view.
   */
  add(res: ServerResponse, onEnd: () => void): void {
    if (typeof res.once !== 'function') return;
    this.#pending.begin();
    this.#open.add(res);
    res.once('close', () => {
      this.#open.delete(res);
      onEnd();
      this.#pending.end();
    });
    if (this.#closing) endConnectionAfter(res);
  }

  /** From now on each connection ends with its response. Resolves when all responses have ended, or after `timeoutMs`. */
  close(timeoutMs: number): Promise<void> {
    this.#closing = true;
    this.#open.forEach(endConnectionAfter);
    return this.#pending.settled(timeoutMs);
  }
}

/** Without this, connections that are kept alive would go on bringing requests after server.close(). */
function endConnectionAfter(res: ServerResponse): void {
  if (!res.headersSent) res.setHeader('Connection', 'close');
}
