import { optionsOf } from '../options/check-arguments.js';
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import debug from 'debug';
import type { BloomFilter } from '../bloom/bloom-filter.js';
import { chooseBloomFilter } from '../bloom-choice/choose-bloom-filter.js';
import { applicationFault, IntelligentSessionError, redisFault, safeText } from '../errors/errors.js';
import { builtIn } from '../intelligence/commands.js';
import { toCaller } from '../intelligence/script-calls.js';
import { ScriptExecutor } from '../intelligence/script-executor.js';
import { SharedShape } from '../intelligence/shape.js';
import { itemKeyOf } from '../intelligence/command/keyed-item.js';
import { Availability } from '../redis/availability.js';
import type { PromRegistry } from '../metrics/metrics.js';
import { type RedisClient, whenReady } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { openTarget } from '../redis/open-target.js';
import type { RedisTarget } from '../redis/target.js';
import { tellAway } from '../redis/tell-away.js';
import { RepeatedLines } from '../errors/repeated-lines.js';
import { WarnOnce } from '../errors/warnings.js';
import { AcknowledgeAndPush } from './acknowledge-and-push.js';
import { WorkerMetrics } from '../intelligence/worker-metrics.js';
import { type Logger, resolveWorkerOptions, type WorkerOptions } from './options.js';
import { PubSubSource } from '../transport/pubsub/subscribe.js';
import { Replies } from '../transport/replies/push.js';
import type { Source } from '../transport/source.js';
import { StreamSource } from '../transport/stream/consume.js';
import type { WorkerTask, MessageContext } from '../transport/worker-task.js';

/** How long Redis may take to answer at start. */
const START_TIMEOUT_MS = 5_000;

export interface WorkerEvents {
  /** Listening: at start, and after every reconnection. */
  ready: [];
  /** One message failed; the worker goes on. */
  fault: [error: Error, command: string];
  /** The subscription was away for so long; what was published meanwhile was not heard. */
  gap: [ms: number];
  /** Messages of a stream that were given out before and not finished. */
  'taken-over': [messages: number];
  close: [];
}

/** The session microservice: hears requests through Redis, works on the session's keys, answers through Redis. */
export class Worker extends EventEmitter<WorkerEvents> {
  /** who it is among the workers of a stream */
  readonly id = randomBytes(9).toString('base64url');
  readonly #options: ReturnType<typeof resolveWorkerOptions>;
  readonly #log: Logger;
  readonly #faultLines = new RepeatedLines((text, times) =>
    this.#log.warn(times === 1 ? text : `${text} (${times.toLocaleString('en')} times within a second)`),
  );
  readonly #warnings = new WarnOnce();
  readonly #target: RedisTarget;
  readonly #client: RedisClient;
  readonly #metrics: WorkerMetrics;
  #source: Source | undefined;
  #executor: ScriptExecutor<WorkerTask> | undefined;
  readonly #replies: Replies;
  readonly #shape: SharedShape;
  #bloom: BloomFilter | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: WorkerOptions = {}) {
    super();
    this.#options = resolveWorkerOptions(options);
    const say = debug('intelligent-session:worker');
    this.#log = this.#options.log ?? { info: say, warn: say };
    this.#target = openTarget(this.#options.redis);
    this.#client = this.#target.client;
    // what comes unkeyed is a named combo's pages; who asks keys the rest
    const keysItems = this.#options.combos.length > 0;
    this.#shape = new SharedShape(this.#client, this.#options.namespace, { ...this.#options, keysItems }, (error) =>
      this.#fault(error, 'shape'),
    );
    this.#replies = new Replies(this.#client, (error) => this.#fault(error, 'reply'));
    this.#metrics = new WorkerMetrics({
      waiting: () => this.#executor?.waiting ?? 0,
      listening: () => this.listening,
    });
  }

  /** Prometheus metrics, in a registry of its own; without prom-client, an optional peer, an error with the code `METRICS`. */
  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  /** Which Bloom filter is in use, once started. */
  get bloom(): BloomFilter['implementation'] | undefined {
    return this.#bloom?.implementation;
  }

  /**
   * Is it connected, and subscribed or reading? A subscription or a read that Redis refuses or ends is known at once, a connection
   * that is silently dead after some 2.5 s (liveness.ts). Costs nothing, however many ask.
   */
  get listening(): boolean {
    return this.#closing === undefined && this.#source?.listening === true && this.#client.status === 'ready';
  }

  /** Resolves when it listens; rejects if Redis does not answer within 5 s (the message names the address). */
  async start(): Promise<this> {
    const { transport, bloom, combos, itemSecret } = this.#options;
    try {
      await whenReady(this.#client, START_TIMEOUT_MS);
      const { activityDays, ...filters } = await this.#shape.read();
      this.#bloom = await chooseBloomFilter(this.#client, bloom, filters);
      this.#refuseClosed();
      const source = this.#makeSource();
      this.#source = source;
      const of = {
        bloom: this.#bloom,
        activityDays,
        combos: new Map(combos.map(({ name, pages }) => [name, pages])),
        itemKey: itemKeyOf(itemSecret),
      };
      const ending = this.#target.sharesCalls
        ? new AcknowledgeAndPush(this.#replies.undrained, (error) => this.#fault(error, 'reply'))
        : toCaller;
      const executor = new ScriptExecutor<WorkerTask>(this.#target, of, this.#options, ending, this.#metrics, {
        finished: (task) => source.finished(task),
        fault: (error, command) => this.#fault(error, command),
      });
      this.#executor = executor;
      source.on('messages', (messages) => executor.take(messages));
      source.on('fault', (error) => {
        const isMessage = error instanceof IntelligentSessionError && error.code === 'ERR_INTELLIGENT_SESSION_MESSAGE';
        if (isMessage) this.#metrics.messages.inc('unknown', 'refused');
        this.#fault(error, transport);
      });
      source.on('gap', (ms) => {
        this.#metrics.gaps.inc();
        this.#metrics.gapSeconds.inc(ms / 1000);
        this.#log.warn(`did not hear for ${Math.round(ms)} ms`);
        this.emit('gap', ms);
      });
      source.on('taken-over', (messages) => {
        this.#metrics.takenOver.inc(messages);
        this.emit('taken-over', messages);
      });
      await source.start();
      this.#refuseClosed();
      source.on('ready', () => this.emit('ready'));
    } catch (error) {
      this.#shape.close();
      endConnection(this.#client);
      await this.#source?.close();
      throw redisFault(error);
    }
    const availability = new Availability(this.#client, START_TIMEOUT_MS);
    tellAway(availability, 'no message is worked on', () => this.#closing !== undefined, this.#options.log);
    const { namespace } = this.#options;
    const where = `${this.#target.address()}, database ${this.#target.database}, namespace "${namespace}"`;
    this.#log.info(safeText(`listening at ${where} (${transport}), Bloom filters: ${this.#bloom.implementation}`));
    this.emit('ready');
    return this;
  }

  /** `listening`, for a readiness route: no command is sent, so whoever reaches the route can't load Redis through it. */
  async isReady(): Promise<boolean> {
    return this.listening;
  }

  /** An answer may still come after close(): what would be opened then, nobody would close. */
  #refuseClosed(): void {
    if (this.#closing) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_NOT_READY', 'This worker was closed');
  }

  #makeSource(): Source {
    const { namespace, transport, sessionGlob, partitions, commands } = this.#options;
    const context: MessageContext = { ...this.#options, replies: this.#replies };
    if (transport === 'stream') {
      const options = { ...this.#options, id: this.id, partitions };
      return new StreamSource(this.#target, options, this.#metrics, context);
    }
    const names = [...builtIn.keys(), ...commands.keys()];
    const options = { namespace, sessionGlob, startMs: START_TIMEOUT_MS };
    return new PubSubSource(this.#target, options, names, context);
  }

  #fault(cause: unknown, command: string): void {
    const error = applicationFault(cause);
    this.#faultLines.add(safeText(`${command}: ${error.message}`));
    if (this.emit('fault', error, command) || this.#options.log) return;
    if (error instanceof IntelligentSessionError || !this.#options.commands.has(command))
      this.#warnings.unheard(redisFault(error), this.#client.status === 'ready');
    else this.#warnings.commandFailed(command, error);
  }

  /** Takes no more messages, finishes what is in hand (at most `timeout` ms), closes. Can be called twice. */
  close(options?: { timeout?: number | undefined }): Promise<void> {
    const { timeout = 5_000 } = optionsOf('close', options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  async #close(timeout: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeout);
    });
    const finish = async () => {
      await this.#source?.stop();
      await this.#executor?.idle();
      this.#replies.flush();
      await this.#source?.close();
      await this.#client.quit().catch(() => {});
    };
    await Promise.race([finish(), patience]);
    clearTimeout(timer);
    this.#shape.close();
    this.#executor?.close();
    await this.#source?.close();
    endConnection(this.#client);
    this.#faultLines.flush();
    this.emit('close');
  }
}

/** A worker, started: `createWorker({ redis, namespace, commands })`. */
export const createWorker = (options?: WorkerOptions): Promise<Worker> => new Worker(options).start();
