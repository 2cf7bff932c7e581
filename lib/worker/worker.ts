import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import debug from 'debug';
import type { BloomFilter } from '../bloom/bloom-filter.js';
import { bloomFilterMaker } from '../bloom-choice/choose-bloom-filter.js';
import { applicationFault, IntelligentSessionError, redisFault, safeText } from '../errors/errors.js';
import { DeduplicatedLog } from '../errors/deduplicated-log.js';
import { WarnOnce } from '../errors/warnings.js';
import type { CommandContext } from '../intelligence/command/descriptor.js';
import { storedItems } from '../intelligence/command/stored-item.js';
import { builtIn } from '../intelligence/commands.js';
import { ExecutorMetrics } from '../intelligence/executor-metrics.js';
import { toCaller } from '../intelligence/script-calls.js';
import { ScriptExecutor } from '../intelligence/script-executor.js';
import { ItemKey } from '../intelligence/item-key.js';
import { SharedShape } from '../intelligence/shape.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { optionsOf } from '../options/check-arguments.js';
import { Availability } from '../redis/availability.js';
import { type RedisClient, whenReady } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { openTarget } from '../redis/open-target.js';
import type { RedisTarget } from '../redis/target.js';
import { logAvailability } from '../redis/log-availability.js';
import { messageAgeMsOf } from '../transport/protocol.js';
import { PubSubSource } from '../transport/pubsub/subscribe.js';
import { Replies } from '../transport/replies/push.js';
import type { Source } from '../transport/source.js';
import { SourceMetrics } from '../transport/source-metrics.js';
import { StreamSource } from '../transport/stream/consume.js';
import type { MessageContext, WorkerTask } from '../transport/worker-task.js';
import { AcknowledgeAndPush } from './acknowledge-and-push.js';
import { type Logger, resolveWorkerOptions, type WorkerOptions } from './options.js';

/** How long Redis may take to answer at start. */
const START_TIMEOUT_MS = 5_000;
/** How long close() waits for the messages that the worker has taken. */
const CLOSE_TIMEOUT_MS = 5_000;
/** Where close() has waited in vain: how long Redis may then take to end the worker's reading, and its leases of partitions. */
const RELEASE_TIMEOUT_MS = 100;

export interface WorkerEvents {
  /** The worker listens: at start, and after every reconnection. */
  ready: [];
  /** A message failed, or else what `command` names: `shape`, `item-key`, `reply` or the transport. The worker goes on. */
  fault: [error: Error, command: string];
  /** The worker is subscribed again, after so long without a subscription, ms: what was published meanwhile was not heard. */
  'subscription-lost': [ms: number];
  /** The worker has taken over so many messages of a stream that were given out before and not finished. */
  claimed: [messages: number];
  close: [];
}

/**
 * The session microservice. A source hears messages through Redis; an executor keeps them in a bounded queue and carries out
 * their commands on the sessions' keys; their answers go back through Redis.
 */
export class Worker extends EventEmitter<WorkerEvents> {
  /** Who this worker is among the workers of a stream. */
  readonly id = randomBytes(9).toString('base64url');
  readonly #options: ReturnType<typeof resolveWorkerOptions>;
  readonly #target: RedisTarget;
  readonly #client: RedisClient;
  readonly #shape: SharedShape;
  readonly #itemKey: ItemKey;
  #bloom: BloomFilter | undefined;
  #source: Source | undefined;
  #executor: ScriptExecutor<WorkerTask> | undefined;
  readonly #replies: Replies;
  readonly #metrics = new Metrics();
  readonly #executorMetrics = new ExecutorMetrics(this.#metrics, () => this.#executor?.waiting ?? 0);
  readonly #sourceMetrics = new SourceMetrics(this.#metrics, {
    isListening: () => this.listening,
    failingPartitions: () => this.#source?.failingPartitions ?? 0,
  });
  readonly #log: Logger;
  readonly #faultLines = new DeduplicatedLog((text, times) =>
    this.#log.warn(times === 1 ? text : `${text} (${times.toLocaleString('en')} times within a second)`),
  );
  readonly #warnings = new WarnOnce();
  #closing: Promise<void> | undefined;

  constructor(options: WorkerOptions = {}) {
    super();
    this.#options = resolveWorkerOptions(options);
    const { redis, namespace, combos, itemSecret, log } = this.#options;
    const toDebug = debug('intelligent-session:worker');
    this.#log = log ?? { info: toDebug, warn: toDebug };
    this.#target = openTarget(redis);
    this.#client = this.#target.client;
    // With an `itemSecret` Express processes key the pages that they send. This worker itself keys the pages of its named
    // combos alone.
    const shape = { ...this.#options, keysItems: combos.length > 0 };
    this.#shape = new SharedShape(this.#client, namespace, shape, (error) => this.#fault(error, 'shape'));
    this.#itemKey = new ItemKey({ client: this.#client }, namespace, itemSecret, {
      loadEnded: () => {},
      replaced: (error) => this.#fault(error, 'item-key'),
    });
    this.#replies = new Replies(this.#client, (error) => this.#fault(error, 'reply'));
  }

  /** Resolves when the worker listens; rejects if Redis does not answer within 5 s (the message names the address). */
  async start(): Promise<this> {
    try {
      await whenReady(this.#client, START_TIMEOUT_MS);
      const context = await this.#readContext();
      this.#throwIfClosed();
      this.#source = this.#makeSource();
      this.#executor = this.#makeExecutor(this.#source, context);
      this.#followSource(this.#source, this.#executor);
      await this.#source.start();
      this.#throwIfClosed();
      this.#source.on('ready', () => this.emit('ready')); // from the second time on: the first is emitted below
    } catch (error) {
      this.#shape.close();
      this.#itemKey.close();
      endConnection(this.#client);
      await this.#source?.close();
      this.#throwIfClosed(); // what failed then has failed because of that
      throw redisFault(error);
    }
    this.#logStart();
    this.emit('ready');
    return this;
  }

  /** What commands need: which Bloom filters there are, and how the namespace's data is read. */
  async #readContext(): Promise<CommandContext> {
    const { bloom, combos } = this.#options;
    const [{ activityDays, ...filters }, makeFilter] = await Promise.all([
      this.#shape.read(),
      bloomFilterMaker(this.#client, bloom),
      this.#itemKey.load(),
    ]);
    this.#bloom = makeFilter(filters);
    return {
      bloom: this.#bloom,
      activityDays,
      combos: new Map(combos.map(({ name, pages }) => [name, pages])),
      items: storedItems(this.#itemKey.value),
      messageAgeMs: messageAgeMsOf(this.#options),
    };
  }

  #makeSource(): Source {
    const { namespace, transport, sessionGlob, commands } = this.#options;
    const context: MessageContext = { ...this.#options, replies: this.#replies };
    if (transport === 'stream')
      return new StreamSource(this.#target, { ...this.#options, id: this.id }, this.#sourceMetrics, context);
    const names = [...builtIn.keys(), ...commands.keys()];
    const options = { namespace, sessionGlob, commands: names, startTimeoutMs: START_TIMEOUT_MS };
    return new PubSubSource(this.#target, options, this.#sourceMetrics, context);
  }

  #makeExecutor(source: Source, context: CommandContext): ScriptExecutor<WorkerTask> {
    // On one Redis the script itself acknowledges and answers. In a Cluster its keys and the list for an answer are on several
    // nodes.
    const ending = this.#target.sharesCalls
      ? new AcknowledgeAndPush(this.#replies.undrained, (error) => this.#fault(error, 'reply'))
      : toCaller;
    return new ScriptExecutor<WorkerTask>(this.#target, context, this.#options, ending, this.#executorMetrics, {
      finished: (task) => source.finished(task),
      fault: (error, command) => this.#fault(error, command),
    });
  }

  #followSource(source: Source, executor: ScriptExecutor<WorkerTask>): void {
    source.on('messages', (tasks) => executor.take(tasks));
    source.on('claimed', (messages) => this.emit('claimed', messages));
    source.on('subscription-lost', (ms) => {
      this.#log.warn(`was not subscribed for ${Math.round(ms)} ms`);
      this.emit('subscription-lost', ms);
    });
    source.on('refused', (error) => {
      this.#executorMetrics.messages.inc('unknown', 'refused');
      this.#fault(error, this.#options.transport);
    });
    source.on('fault', (error) => this.#fault(error, this.#options.transport));
  }

  /** Logs that the worker listens, and from now on that Redis is away or back. */
  #logStart(): void {
    const { namespace, transport, log } = this.#options;
    const availability = new Availability(this.#client, START_TIMEOUT_MS);
    logAvailability(availability, 'no message is worked on', () => this.#closing !== undefined, log);
    const where = `${this.#target.address()}, database ${this.#target.database}, namespace "${namespace}"`;
    this.#log.info(safeText(`listening at ${where} (${transport}), Bloom filters: ${this.bloom}`));
  }

  /**
   * Is the worker connected, and subscribed or reading? That Redis refuses or ends a subscription or a read is known at once,
   * that a connection is silently dead after some 2.5 s (liveness.ts). Asking sends no command.
   */
  get listening(): boolean {
    return this.#closing === undefined && this.#source?.listening === true && this.#client.status === 'ready';
  }

  /** `listening`, for a readiness route: no command is sent, so whoever reaches the route can't load Redis through it. */
  async isReady(): Promise<boolean> {
    return this.listening;
  }

  /**
   * Prometheus metrics, in a registry of this worker's; without prom-client, an optional peer, an error with the code
   * `ERR_INTELLIGENT_SESSION_METRICS`.
   */
  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  /** Which Bloom filter is in use, once started. */
  get bloom(): BloomFilter['implementation'] | undefined {
    return this.#bloom?.implementation;
  }

  /** Logs a fault and emits it. Without a listener and the option `log`, the process is warned of it once. */
  #fault(cause: unknown, command: string): void {
    const error = applicationFault(cause, 'ERR_INTELLIGENT_SESSION_COMMAND');
    this.#faultLines.add(safeText(`${command}: ${error.message}`));
    if (this.emit('fault', error, command) || this.#options.log) return;
    if (error instanceof IntelligentSessionError || !this.#options.commands.has(command))
      this.#warnings.unheard(redisFault(error), this.#client.status === 'ready');
    else this.#warnings.commandFailed(command, error);
  }

  /**
   * Takes no more messages, finishes those that it has, and closes, whether Redis answers or not: after `timeout` ms (by
   * default 5000) and 0.1 s at most. A second call waits for the end of the first.
   */
  close(options?: { timeout?: number | undefined }): Promise<void> {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timedOut = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    const isFinished = await Promise.race([this.#finish().then(() => true), timedOut]);
    clearTimeout(timer);
    this.#shape.close();
    this.#itemKey.close();
    this.#executor?.close();
    // A command may still run: the leases are given back all the same, so that other workers need not wait until they expire.
    if (!isFinished) await Promise.race([this.#source?.close(), pause(RELEASE_TIMEOUT_MS)]);
    endConnection(this.#client);
    this.#source?.abandon();
    this.#faultLines.flush();
    this.emit('close');
  }

  async #finish(): Promise<void> {
    await this.#source?.stop();
    await this.#executor?.idle();
    this.#replies.flush();
    await this.#source?.close();
    await this.#client.quit().catch(() => {});
  }

  /** close() may be called while start() waits for an answer: what start() opened after that, nobody would close. */
  #throwIfClosed(): void {
    if (this.#closing) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_NOT_READY', 'This worker was closed');
  }
}

/** A worker, started: `createWorker({ redis, namespace, commands })`. */
export const createWorker = (options?: WorkerOptions): Promise<Worker> => new Worker(options).start();
