import { EventEmitter, once } from 'node:events';
import { IntelligentSessionError, redisFault } from '../errors.js';
import { channelOf, checkPayload, parseChannel, patternOf, requestOf, SELF_COMMAND } from '../protocol.js';
import { loopSignal } from '../redis/loop-clock.js';
import { Subscriber } from '../redis/subscriber.js';
import type { RedisTarget } from '../redis/target.js';
import type { Job } from './queue.js';
import type { Source, SourceEvents } from './source.js';

/** Messages by pub/sub (the white paper's way): at most once, and what is published while nobody listens is gone. */
export class PubSubSource extends EventEmitter<SourceEvents> implements Source {
  readonly #subscriber: Subscriber;
  readonly #patterns: readonly string[];
  readonly #heardItself = new EventEmitter();
  readonly #closed = new AbortController();
  #jobs: Job[] = [];
  #deafSinceMs: number | undefined;
  #pings = 0;

  constructor(
    readonly target: RedisTarget,
    readonly options: { namespace: string; sessionGlob: string; id: string; startMs: number },
    commands: Iterable<string>,
  ) {
    super();
    const { namespace, sessionGlob } = options;
    const { database: db } = target;
    const patterns = Array.from(commands, (command) => patternOf(namespace, command, sessionGlob, db));
    // every worker's: an ACL allows a pattern only as it stands there
    this.#patterns = [...patterns, patternOf(namespace, SELF_COMMAND, '*', db)];
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
      if (message.command === SELF_COMMAND) {
        if (message.sid === this.options.id) this.#heardItself.emit(payload);
        return;
      }
      // what came in one piece goes on in one piece, and at once: microtasks come after the piece
      if (this.#jobs.length === 0) queueMicrotask(() => this.#pass());
      this.#jobs.push({ message, payload, heardMs: performance.now() });
    } catch (error) {
      this.emit('fault', error as Error);
    }
  }

  #pass(): void {
    const jobs = this.#jobs;
    this.#jobs = [];
    this.emit('jobs', jobs);
  }

  finished(): void {}

  stop(): Promise<void> {
    return this.#subscriber.unsubscribe();
  }

  async hearsItself(timeoutMs: number): Promise<boolean> {
    if (!this.listening) return false;
    const ping = String(++this.#pings);
    const limit = loopSignal(timeoutMs);
    const heard = once(this.#heardItself, ping, { signal: limit.signal }).finally(() => limit.clear());
    const { namespace, id } = this.options;
    const channel = channelOf(namespace, requestOf(SELF_COMMAND, id, ping), this.target.database);
    this.target.client.publish(channel, ping).catch((error: unknown) => this.emit('fault', redisFault(error)));
    return heard.then(
      () => true,
      () => false,
    );
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#subscriber.close();
  }
}
