import { EventEmitter, once } from 'node:events';
import { IntelligentSessionError } from '../../errors/errors.js';
import { checkPayload, parseChannel, patternOf } from '../protocol.js';
import { loopSignal } from '../../redis/loop-clock.js';
import { Subscriber } from '../../redis/subscriber.js';
import type { RedisTarget } from '../../redis/target.js';
import type { Source, SourceEvents } from '../source.js';
import { type MessageContext, WorkerTask } from '../worker-task.js';

/** Messages by pub/sub (the white paper's way): at most once, and what is published while nobody listens is gone. */
export class PubSubSource extends EventEmitter<SourceEvents> implements Source {
  readonly #subscriber: Subscriber;
  readonly #patterns: readonly string[];
  readonly #closed = new AbortController();
  #messages: WorkerTask[] = [];
  #deafSinceMs: number | undefined;

  constructor(
    readonly target: RedisTarget,
    readonly options: { namespace: string; sessionGlob: string; startMs: number },
    commands: Iterable<string>,
    readonly context: MessageContext,
  ) {
    super();
    const { namespace, sessionGlob } = options;
    this.#patterns = Array.from(commands, (command) => patternOf(namespace, command, sessionGlob, target.database));
    this.#subscriber = new Subscriber(target, this.#patterns);
    this.#subscriber.on('message', (channel: string, payload: string) => this.#hear(channel, payload));
    this.#subscriber.on('fault', (error: Error) =>
      this.emit('fault', /NOPERM/.test(error.message) ? this.#notAllowed() : error),
    );
    this.#subscriber.on('lost', () => {
      this.#deafSinceMs ??= performance.now();
    });
  }

  get listening(): boolean {
    return this.#subscriber.subscribed;
  }

  async start(): Promise<void> {
    const limit = loopSignal(this.options.startMs);
    // AbortSignal.any() would hold its signals weakly, and one that nobody holds may never come
    this.#closed.signal.addEventListener('abort', () => limit.abort(), { once: true });
    const { signal } = limit;
    await once(this.#subscriber, 'ready', { signal })
      .catch(() => {
        throw this.#notAllowed();
      })
      .finally(() => limit.clear());
    this.#subscriber.on('ready', () => {
      if (this.#deafSinceMs !== undefined) this.emit('gap', performance.now() - this.#deafSinceMs);
      this.#deafSinceMs = undefined;
      this.emit('ready');
    });
  }

  #notAllowed(): IntelligentSessionError {
    return new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_NOT_READY',
      `Redis does not let this worker subscribe: an ACL needs ${this.#patterns.map((one) => `&${one}`).join(' ')}`,
    );
  }

  #hear(channel: string, payload: string): void {
    try {
      const message = parseChannel(this.options.namespace, channel, this.target.database);
      checkPayload(payload);
      // what came in one piece goes on in one piece, and at once: microtasks come after the piece
      if (this.#messages.length === 0) queueMicrotask(() => this.#pass());
      this.#messages.push(new WorkerTask(message, payload, performance.now(), this.context));
    } catch (error) {
      this.emit('fault', error as Error);
    }
  }

  #pass(): void {
    const messages = this.#messages;
    this.#messages = [];
    this.emit('messages', messages);
  }

  finished(): void {}

  stop(): Promise<void> {
    return this.#subscriber.unsubscribe();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#subscriber.close();
  }
}
