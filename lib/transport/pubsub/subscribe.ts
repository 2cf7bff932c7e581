import { EventEmitter, once } from 'node:events';
import { causeOf, faultText, IntelligentSessionError } from '../../errors/errors.js';
import { noConnection } from '../../redis/connect.js';
import { loopSignal } from '../../redis/loop-clock.js';
import { Subscriber } from '../../redis/subscriber.js';
import type { RedisTarget } from '../../redis/target.js';
import { checkPayload, parseChannel, patternOf } from '../protocol.js';
import type { Source, SourceEvents } from '../source.js';
import type { SourceMetrics } from '../source-metrics.js';
import { type MessageContext, WorkerTask } from '../worker-task.js';

export interface PubSubSourceOptions {
  readonly namespace: string;
  /** A Redis glob on the encoded session id: it matches the sessions whose messages this worker takes. */
  readonly sessionGlob: string;
  /** The commands that this worker carries out. */
  readonly commands: readonly string[];
  /** How long start() waits for the subscription, by the loop's clock. */
  readonly startTimeoutMs: number;
}

/** Receives messages by pub/sub, as the white paper describes it: at most once; a message that is published while nobody listens is lost. */
export class PubSubSource extends EventEmitter<SourceEvents> implements Source {
  readonly failingPartitions = 0;
  readonly #subscriber: Subscriber;
  readonly #patterns: readonly string[];
  readonly #closed = new AbortController();
  /** Why it is not subscribed, as was heard last. */
  #lastFault: Error | undefined;
  /** The messages that were received since #pass() last ran. */
  #tasks: WorkerTask[] = [];
  /** When the subscription was lost, by performance.now(); undefined while it stands. */
  #lostSinceMs: number | undefined;

  constructor(
    readonly target: RedisTarget,
    readonly options: PubSubSourceOptions,
    readonly metrics: SourceMetrics,
    readonly context: MessageContext,
  ) {
    super();
    const { namespace, sessionGlob, commands } = options;
    this.#patterns = commands.map((command) => patternOf(namespace, command, sessionGlob, target.database));
    this.#subscriber = new Subscriber(target, this.#patterns);
    this.#subscriber.on('message', (channel: string, payload: string) => this.#hear(channel, payload));
    this.#subscriber.on('fault', (error: Error) => {
      this.#lastFault = /NOPERM/.test(error.message) ? this.#notAllowed() : error;
      this.emit('fault', this.#lastFault);
    });
    this.#subscriber.client.on('error', (error: Error) => {
      this.#lastFault = this.#notConnected(error);
    });
    this.#subscriber.on('lost', () => {
      this.#lostSinceMs ??= performance.now();
    });
  }

  get listening(): boolean {
    return this.#subscriber.subscribed;
  }

  async start(): Promise<void> {
    const limit = loopSignal(this.options.startTimeoutMs);
    // close() ends the wait, too. AbortSignal.any() holds its signals weakly, and one that was collected would never abort.
    this.#closed.signal.addEventListener('abort', () => limit.abort(), { once: true });
    const { signal } = limit;
    await once(this.#subscriber, 'ready', { signal })
      .catch(() => {
        throw this.#lastFault ?? this.#notConnected(new Error('no answer'));
      })
      .finally(() => limit.clear());
    this.#subscriber.on('ready', () => this.#subscribedAgain());
  }

  /** Does nothing: pub/sub has no acknowledgements. */
  finished(): void {}

  async stop(): Promise<void> {
    await this.#subscriber.unsubscribe();
    // A connection that is lost later would come back, and subscribe again.
    this.abandon();
  }

  async close(): Promise<void> {
    this.abandon();
  }

  abandon(): void {
    this.#closed.abort();
    this.#subscriber.close();
  }

  #subscribedAgain(): void {
    if (this.#lostSinceMs !== undefined) {
      const lostMs = performance.now() - this.#lostSinceMs;
      this.#lostSinceMs = undefined;
      this.metrics.subscriptionsLost.inc();
      this.metrics.subscriptionLostSeconds.inc(lostMs / 1000);
      this.emit('subscription-lost', lostMs);
    }
    this.emit('ready');
  }

  #hear(channel: string, payload: string): void {
    try {
      const message = parseChannel(this.options.namespace, channel, this.target.database);
      checkPayload(payload);
      // The messages of one chunk from the socket are passed on together: the microtask runs after the whole chunk was parsed.
      if (this.#tasks.length === 0) queueMicrotask(() => this.#pass());
      this.#tasks.push(new WorkerTask(message, payload, performance.now(), this.context));
    } catch (error) {
      this.emit('refused', error as Error);
    }
  }

  #pass(): void {
    const tasks = this.#tasks;
    this.#tasks = [];
    this.emit('messages', tasks);
  }

  #notConnected(error: Error): IntelligentSessionError {
    return new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_NOT_READY',
      noConnection(this.#subscriber.client, faultText(error)),
      causeOf(error),
    );
  }

  #notAllowed(): IntelligentSessionError {
    return new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_NOT_READY',
      `Redis does not let this worker subscribe: an ACL needs ${this.#patterns.map((pattern) => `&${pattern}`).join(' ')}`,
    );
  }
}
