import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { redisFault } from '../errors/errors.js';
import { endConnection, reconnect } from './end-connection.js';
import { wasLost } from './lost-connection.js';
import type { RedisTarget } from './target.js';

/**
 * A connection that is subscribed to patterns. It subscribes whenever it becomes ready, since ioredis' own resubscribing can
 * fail unnoticed; liveness.ts finds a dead connection. In a Cluster it goes to any node: each node gets what is published at
 * any other. Emits `message` (channel, payload), `ready` (subscribed), `lost` (no longer), and `fault` (Error), each reason
 * once until it is subscribed again.
 */
export class Subscriber extends EventEmitter {
  readonly client: Redis;
  subscribed = false;
  #reportedReason: string | undefined;
  #isStopped = false;

  constructor(target: RedisTarget, patterns: readonly string[]) {
    super();
    this.client = target.connect('subscriber');
    this.client.on('pmessageBuffer', (_pattern: string, channel: Buffer, payload: Buffer) =>
      this.emit('message', channel.toString(), payload.toString()),
    );
    this.client.on('ready', () => void this.#subscribe(patterns));
    this.client.on('close', () => {
      if (this.subscribed) this.emit('lost');
      this.subscribed = false;
    });
  }

  async #subscribe(patterns: readonly string[]): Promise<void> {
    if (this.#isStopped) return;
    try {
      await this.client.psubscribe(...patterns);
    } catch (cause) {
      if (!wasLost(cause)) this.#refused(redisFault(cause));
      return; // a lost connection comes back by itself
    }
    if (this.#isStopped) return;
    this.subscribed = true;
    this.#reportedReason = undefined;
    this.emit('ready'); // outside of `try`: what a listener throws is no fault of Redis
  }

  #refused(error: Error): void {
    const isKnown = error.message === this.#reportedReason;
    this.#reportedReason = error.message;
    reconnect(this.client);
    if (!isKnown) this.emit('fault', error);
  }

  /** Stops listening, for good. When it resolves, all messages that came before have been emitted. */
  async unsubscribe(): Promise<void> {
    this.#isStopped = true;
    this.subscribed = false;
    await this.client.punsubscribe().catch(() => {});
  }

  close(): void {
    endConnection(this.client);
  }
}
