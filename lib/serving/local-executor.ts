import debug from 'debug';
import { type BloomChoice, bloomFilterMaker } from '../bloom-choice/choose-bloom-filter.js';
import { applicationFault, IntelligentSessionError, redisFault } from '../errors/errors.js';
import type { NamedCombo } from '../intelligence/command/descriptor.js';
import { storedItems } from '../intelligence/command/stored-item.js';
import type { ResolvedCommand } from '../intelligence/own-command.js';
import { ExecutorMetrics } from '../intelligence/executor-metrics.js';
import { ItemKey } from '../intelligence/item-key.js';
import { toCaller } from '../intelligence/script-calls.js';
import { type Result, ScriptExecutor } from '../intelligence/script-executor.js';
import { SharedShape } from '../intelligence/shape.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import type { ItemSecretOption } from '../options/item-secrets.js';
import { Availability } from '../redis/availability.js';
import { DEFAULT_MAX_WAIT_MS, namespaceOf, type RedisClient, type RedisOption } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { boundedTtl } from '../redis/expiry.js';
import { distanceMsOf } from '../redis/liveness.js';
import { loopNowMs, onLoopTick } from '../redis/loop-clock.js';
import { openTarget } from '../redis/open-target.js';
import { ServerClock } from '../redis/server-clock.js';
import type { RedisTarget } from '../redis/target.js';
import { PUBLISHED_AGE_SECONDS } from '../transport/protocol.js';
import { CarriesUnderWay } from './carries-under-way.js';
import { commandFault, isUnknown } from './command-fault.js';
import { Dispatcher, type SendResult } from './dispatcher.js';
import type { Answer, Executor, Message, Question } from './executor.js';
import { ExecutorEmitter } from './executor-emitter.js';
import { KeptIntelligence } from './kept-intelligence.js';
import { LocalTask, type TaskEnding } from './local-task.js';
import { Outcomes } from './outcomes.js';
import { RequestIds } from './request-ids.js';

export interface LocalExecutorOptions {
  readonly namespace: string;
  readonly combos: readonly NamedCombo[];
  readonly commands: ReadonlyMap<string, ResolvedCommand>;
  readonly bloom: BloomChoice;
  readonly errorRate: number;
  readonly capacity: number;
  readonly expansion: number;
  readonly activityDays: number;
  readonly commandTimeoutMs: number;
  readonly maxQueue: number;
  readonly maxQueueBytes: number;
  readonly itemSecret?: ItemSecretOption | undefined;
  /** Does the application name users? Their data are kept apart from those of sessions. @default false */
  readonly hasUsers?: boolean;
  /** Does the console say that Redis is away, where nobody listens to `away`? Not where a store on it says so. @default true */
  readonly tellsAway?: boolean;
  /** How long the first connection is waited for, and a message that nobody waits for is held without one, ms. @default 3000 */
  readonly maxWaitMs?: number;
}

/** The pause before another try, where what the script executor is made of could not be read from Redis. */
const RETRY_MS = 1_000;
const log = debug('intelligent-session:local');

/** Carries out commands by scripts that this process sends itself, those of one turn of the event loop in one call. */
export class LocalExecutor extends ExecutorEmitter implements Executor {
  readonly namespace: string;
  readonly itemKey: ItemKey;
  /** The options are private, so that no log of this object shows `itemSecret`. */
  readonly #options: LocalExecutorOptions;
  readonly #target: RedisTarget;
  readonly #client: RedisClient;
  readonly #availability: Availability;
  readonly #metrics = new Metrics();
  readonly #executorMetrics = new ExecutorMetrics(this.#metrics, () => this.#scripts?.waiting ?? 0);
  readonly #outcomes: Outcomes;
  readonly #ids = new RequestIds();
  readonly #carries = new CarriesUnderWay();
  readonly #dispatcher: Dispatcher;
  readonly #kept: KeptIntelligence;
  /** How the data of the namespace is stored, which its processes agree on. */
  readonly #shape: SharedShape;
  /** Made once the item key and the shape have been read, and it is known which Bloom filters the server has. */
  #scripts: ScriptExecutor<LocalTask> | undefined;
  /** Why the last try to make #scripts failed, though Redis can be reached. Then no request waits for the next try. */
  #refusal: Error | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** The tasks of this turn of the event loop, which #flush() takes together. */
  #gathered: LocalTask[] = [];
  /** Tasks whose answer somebody waits for. */
  readonly #awaited = new Set<LocalTask>();
  #stopTicks: (() => void) | undefined;
  #isClosed = false;

  constructor(redis: RedisOption, options: LocalExecutorOptions) {
    super();
    this.#options = options;
    const { maxWaitMs = DEFAULT_MAX_WAIT_MS, tellsAway } = options;
    this.namespace = namespaceOf(redis, options.namespace);
    this.#target = openTarget(redis);
    this.#client = this.#target.client;
    this.#outcomes = new Outcomes(this, this.#metrics, log);
    this.#availability = new Availability(this.#client, maxWaitMs);
    this.tellOf(this.#availability, tellsAway);
    const carrier = {
      canSend: () => this.#isReady,
      canAsk: () => this.#isReady,
      isConnecting: () => this.#isConnecting(),
      whyHeld: () => (this.isConnected ? this.#refusal : undefined),
      send: (message: Message, finished: (result: SendResult) => void) => this.#take(message, { finished }),
      ask: (question: Question, answered: (answer: Answer) => void) => this.#ask(question, answered),
    };
    const clock = new ServerClock(this.#client, this.#target.sharesCalls && options.hasUsers === true);
    const onFault = (error: Error) => void this.emit('fault', error);
    this.itemKey = new ItemKey(this.#availability, this.namespace, options.itemSecret, {
      loadEnded: () => {},
      replaced: onFault,
    });
    this.#dispatcher = new Dispatcher(this.#client, carrier, this.#outcomes, this.itemKey, maxWaitMs, clock);
    this.#availability.on('away', () => this.#dispatcher.connectionChanged());
    const messageAgeMs = PUBLISHED_AGE_SECONDS * 1000;
    this.#kept = new KeptIntelligence(
      this.#availability,
      this.namespace,
      this.#dispatcher,
      this.#outcomes,
      messageAgeMs,
    );
    this.#shape = new SharedShape(this.#client, this.namespace, { ...options, keysItems: true }, onFault);
    this.#client.on('ready', () => this.#start());
    if (this.#client.status === 'ready') this.#start();
  }

  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  addMetrics(metrics: Metrics): void {
    this.#metrics.include(metrics);
  }

  send(...request: Parameters<Executor['send']>): void {
    this.#dispatcher.send(...request);
  }

  ask(...request: Parameters<Executor['ask']>): Promise<Answer> {
    return this.#dispatcher.ask(...request);
  }

  forget(sid: string): Promise<boolean> {
    return this.#kept.forget(sid);
  }

  renew(sid: string, ttlSeconds: number): void {
    this.#kept.renew(sid, ttlSeconds);
  }

  close(options?: { timeout?: number | undefined }): Promise<void> {
    return this.#dispatcher.close(options, () => {
      this.#isClosed = true;
      clearTimeout(this.#retry);
      this.#shape.close();
      this.itemKey.close();
      for (const task of this.#awaited) this.#stopWaiting(task, 'closed');
      this.#stopTicks?.();
      this.#scripts?.close();
      endConnection(this.#client);
    });
  }

  #ask(question: Question, answered: (answer: Answer) => void): void {
    // The round trip of the task's script call, and of the call before it with an earlier message of the session; a third where
    // a page view is sent again with all keys; behind a login also the two of the carry.
    const roundTrips = this.#carries.has(question.sid) ? 5 : 3;
    const dueMs = loopNowMs() + question.timeoutMs + roundTrips * distanceMsOf(this.#target);
    this.#stopTicks ??= onLoopTick(() => this.#endLate());
    this.#awaited.add(this.#take(question, { answered: this.#carries.noted(question, answered), dueMs }));
  }

  /** Ends the waits whose time is up, at each tick of the loop's clock while somebody waits. */
  #endLate(): void {
    const nowMs = loopNowMs();
    for (const task of this.#awaited) if (nowMs >= task.dueMs) this.#stopWaiting(task, 'timeout');
    if (this.#awaited.size > 0) return;
    this.#stopTicks?.();
    this.#stopTicks = undefined;
  }

  #stopWaiting(task: LocalTask, reason: 'timeout' | 'closed'): void {
    this.#awaited.delete(task);
    task.end(this.#outcomes.unanswered(task.command, reason));
  }

  #take(message: Message, ending: TaskEnding): LocalTask {
    const ttlSeconds = boundedTtl(message.ttlSeconds);
    const bounded = ttlSeconds === message.ttlSeconds ? message : { ...message, ttlSeconds };
    const task = new LocalTask(bounded, this.#ids.next(), ending);
    if (this.#gathered.length === 0) setImmediate(() => this.#flush());
    this.#gathered.push(task);
    return task;
  }

  #flush(): void {
    const tasks = this.#gathered;
    this.#gathered = [];
    this.#scripts?.take(tasks);
  }

  #finished(task: LocalTask, result: Result): void {
    const { command } = task;
    const wasDone = result === 'done' || result === 'duplicate' || result === 'gone';
    const why = result === 'full' ? 'shed' : 'failed';
    if (task.finished) return task.finished(wasDone ? 'sent' : why);
    if (!this.#awaited.delete(task)) return; // Its time was up.
    // Where the command gave an answer, end() was called with it: this call then only counts the request as answered.
    if (wasDone) task.end(this.#outcomes.answered(command, null));
    else if (why === 'shed') task.end(this.#outcomes.unanswered(command, why));
    else task.end(this.#outcomes.failed(command, task.error));
  }

  /** Tells why a command failed, and keeps it for the answer. An error that is not ours is of an application's command. */
  #failed(cause: unknown, command: string, task: LocalTask | undefined): void {
    const thrown = applicationFault(cause, 'ERR_INTELLIGENT_SESSION_COMMAND');
    const isOurs = thrown instanceof IntelligentSessionError;
    const error =
      isOurs && isUnknown(thrown.message) ? commandFault(command, task?.payload ?? '', thrown.message) : thrown;
    if (task) task.error = error;
    if (isOurs) this.emit('fault', error);
    else this.commandThrew(command, error);
  }

  get #isReady(): boolean {
    return this.#scripts !== undefined && this.isConnected;
  }

  #isConnecting(): boolean {
    const { state } = this.#availability;
    return !this.#refusal && (state === 'connecting' || state === 'ready');
  }

  /** There is a connection: makes #scripts where it is not there yet, and then what was held is sent. */
  #start(): void {
    if (this.#scripts) return this.#dispatcher.connectionChanged();
    clearTimeout(this.#retry); // So that there is one, however often the connection comes anew.
    this.#makeScriptExecutor().then(
      (scripts) => {
        if (this.#isClosed || this.#scripts) return scripts.close();
        this.#scripts = scripts;
        this.#refusal = undefined;
        this.#dispatcher.connectionChanged();
      },
      (error) => {
        if (this.#isClosed) return;
        this.#refusal = redisFault(error);
        this.emit('fault', this.#refusal);
        this.#dispatcher.connectionChanged();
        this.#retry = setTimeout(() => this.#start(), RETRY_MS).unref();
      },
    );
  }

  async #makeScriptExecutor(): Promise<ScriptExecutor<LocalTask>> {
    // A first page waits for these, so they share one round trip.
    const [{ activityDays, ...filters }, makeFilter] = await Promise.all([
      this.#shape.read(),
      bloomFilterMaker(this.#client, this.#options.bloom),
      this.itemKey.load(),
    ]);
    const intelligence = {
      bloom: makeFilter(filters),
      activityDays,
      combos: new Map(this.#options.combos.map(({ name, pages }) => [name, pages])),
      items: storedItems(this.itemKey.value),
      messageAgeMs: PUBLISHED_AGE_SECONDS * 1000,
    };
    const options = { ...this.#options, namespace: this.namespace };
    return new ScriptExecutor<LocalTask>(this.#target, intelligence, options, toCaller, this.#executorMetrics, {
      finished: (task, result) => this.#finished(task, result),
      fault: (error, command, task) => this.#failed(error, command, task),
    });
  }

  protected override get isConnected(): boolean {
    return this.#client.status === 'ready';
  }

  protected override get isClosed(): boolean {
    return this.#isClosed;
  }
}
