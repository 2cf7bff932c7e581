import { randomBytes } from 'node:crypto';
import debug from 'debug';
import type { BloomFilter } from '../bloom/bloom-filter.js';
import { type BloomChoice, chooseBloomFilter } from '../bloom-choice/choose-bloom-filter.js';
import { checkSessionId, checkTtl, optionsOf } from '../options/check-arguments.js';
import { CommandCounts } from '../intelligence/command-counter.js';
import { applicationFault, IntelligentSessionError, OptionError, redisFault } from '../errors/errors.js';
import type { NamedCombo } from '../intelligence/command/descriptor.js';
import { builtIn, isRead } from '../intelligence/commands.js';
import { commandKeys } from '../intelligence/keys.js';
import type { Command } from '../intelligence/own-command.js';
import { SharedShape } from '../intelligence/shape.js';
import { toCaller } from '../intelligence/script-calls.js';
import { type Result, ScriptExecutor } from '../intelligence/script-executor.js';
import { Task } from '../intelligence/task.js';
import { itemKeyOf } from '../intelligence/command/keyed-item.js';
import { isSendable, MAX_ID_LENGTH } from '../redis/keys.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { CLOSE_TIMEOUT_MS, Pending } from '../redis/unfinished-work.js';
import { boundedTtl } from '../redis/expiry.js';
import { checkCommand, formatPayload, PUBLISHED_AGE_SECONDS } from '../transport/protocol.js';
import { Availability } from '../redis/availability.js';
import { DEFAULT_MAX_WAIT_MS, namespaceOf, type RedisClient, type RedisOption } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { distanceMsOf } from '../redis/liveness.js';
import { loopNowMs, onLoopTick } from '../redis/loop-clock.js';
import { openTarget } from '../redis/open-target.js';
import type { RedisTarget } from '../redis/target.js';
import { tellAway } from '../redis/log-availability.js';
import { tellFaults } from '../redis/connection-faults.js';
import { RepeatedLines } from '../errors/deduplicated-log.js';
import { ExecutorMetrics } from '../intelligence/executor-metrics.js';
import { type Answer, type DegradedReason, type Executor, ExecutorEmitter, MOST_TIMEOUT_MS } from './executor.js';
import { type Held, HeldMessages } from './held-messages.js';
import { Renewals } from './renewals.js';
import { commandFault, isUnknown, WITHOUT_INSIGHT } from './unanswered.js';

export interface LocalExecutorOptions {
  readonly namespace: string;
  readonly combos: readonly NamedCombo[];
  readonly commands: ReadonlyMap<string, Command>;
  readonly bloom: BloomChoice;
  readonly errorRate: number;
  readonly capacity: number;
  readonly expansion: number;
  readonly activityDays: number;
  readonly commandTimeoutMs: number;
  readonly maxQueue: number;
  readonly maxQueueBytes: number;
  readonly itemSecret?: string | undefined;
  /** Warns where Redis is away and nobody listens; false where a store on the same Redis does. @default true */
  readonly tellsAway?: boolean;
  /** How long the first connection is waited for, and how long a message that nobody waits for is kept, ms. @default 3000 */
  readonly maxWaitMs?: number;
}

/** A shape of the Bloom filters that Redis did not tell is asked again after this. */
const RETRY_MS = 1_000;
/** Six digits to the base 36. */
const LAST_NUMBER = 36 ** 6 - 1;
const newSender = (): string => randomBytes(6).toString('base64url');
const say = debug('intelligent-session:local');

/** A message of this process; who asked for its answer waits here until it is there, or the time is up. */
class LocalTask extends Task {
  readonly awaited: boolean;
  /** until when somebody waits */
  dueMs = Number.POSITIVE_INFINITY;
  /** undefined: nobody waits, or not any longer */
  resolve: ((answer: Answer) => void) | undefined;

  constructor(command: string, sid: string, id: string, payload: string, ttlSeconds: number, ask?: Ask) {
    super(command, sid, id, payload, ttlSeconds, performance.now());
    this.awaited = ask !== undefined;
    if (!ask) return;
    this.dueMs = ask.dueMs;
    this.resolve = ask.resolve;
  }

  get isExpired(): boolean {
    return this.awaited && this.resolve === undefined;
  }

  answer(json: string): void {
    this.end({ answered: true, data: JSON.parse(json) });
  }

  /** The outcome tells it (#finished). */
  refuse(): void {}

  end(answer: Answer): void {
    this.resolve?.(answer);
    this.resolve = undefined;
  }
}

/** Who waits for an answer, and until when. */
interface Ask {
  readonly dueMs: number;
  readonly resolve: (answer: Answer) => void;
}

/** Carries out commands by scripts that this process sends itself, those of one turn of the event loop in one call. */
export class LocalExecutor extends ExecutorEmitter implements Executor {
  readonly namespace: string;
  readonly #target: RedisTarget;
  readonly #client: RedisClient;
  readonly #availability: Availability;
  readonly #metrics = new Metrics();
  readonly #executorMetrics = new ExecutorMetrics(this.#metrics, () => this.#executor?.waiting ?? 0);
  readonly #requests: CommandCounts;
  readonly #held: HeldMessages;
  readonly #pending: Pending;
  readonly #renewals: Renewals;
  readonly #waiting = new Set<LocalTask>();
  #executor: ScriptExecutor<LocalTask> | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #shape: SharedShape;
  /** Redis is there, and what is stored can't be used: nobody waits. */
  #isRefused = false;
  /** of this turn of the event loop */
  #gathered: LocalTask[] = [];
  #stopTicks: (() => void) | undefined;
  #sender = newSender();
  #count = 0;
  #closed = false;
  #ended = false;
  #closing: Promise<void> | undefined;
  readonly #faults = new RepeatedLines((text, times) => say('%s (%d)', text, times));

  constructor(
    redis: RedisOption,
    readonly options: LocalExecutorOptions,
  ) {
    super();
    const { namespace, maxWaitMs = DEFAULT_MAX_WAIT_MS } = options;
    this.namespace = namespaceOf(redis, namespace);
    this.#target = openTarget(redis);
    this.#client = this.#target.client;
    this.#availability = new Availability(this.#client, maxWaitMs);
    const { tellsAway = true } = options;
    const heard = (reason: Error) => this.#closed || this.emit('away', reason) || !tellsAway;
    tellAway(this.#availability, WITHOUT_INSIGHT, heard);
    this.#availability.on('away', () => this.#giveUp(new Error('not connected')));
    this.#availability.on('back', () => this.emit('back'));
    this.#shape = new SharedShape(this.#client, this.namespace, { ...options, keysItems: true }, (error) =>
      this.emit('fault', error),
    );
    this.#held = new HeldMessages(maxWaitMs);
    this.#pending = new Pending(this.#client);
    this.#renewals = new Renewals(this.#client, this.namespace);
    this.#requests = new CommandCounts(
      'intelligent_session_requests_total',
      'Requests by command and result (sent, answered, or why not)',
      this.#metrics,
    );
    tellFaults(this.#client, (error) => this.emit('fault', error));
    this.#client.on('ready', () => this.#start());
    if (this.#client.status === 'ready') this.#start();
  }

  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  send(command: string, sid: string, payload: unknown, ttlSeconds: number): void {
    checkCommand(command);
    checkSessionId('send', sid);
    checkTtl('send', ttlSeconds);
    const text = formatPayload(payload);
    if (!isSendable(sid)) return void this.#unsendable(command);
    this.#send(command, sid, text, ttlSeconds);
  }

  #send(command: string, sid: string, payload: string, ttlSeconds: number): void {
    this.#pending.begin();
    const go = () => this.#take(command, sid, payload, ttlSeconds);
    if (this.#isReady) go();
    else
      this.#held.add({
        go,
        fail: (posted, error) => {
          this.#pending.end();
          this.#degrade(command, this.#closed ? 'closed' : posted === 'shed' ? 'shed' : 'redis', error);
        },
      });
  }

  ask(command: string, sid: string, payload: unknown, ttlSeconds: number, timeoutMs: number): Promise<Answer> {
    if (!builtIn.has(command)) checkCommand(command);
    checkSessionId('ask', sid);
    checkTtl('ask', ttlSeconds);
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1 && timeoutMs <= MOST_TIMEOUT_MS))
      throw new OptionError(
        `ask(): "timeout" should be a number of ms from 1 to ${MOST_TIMEOUT_MS}`,
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
    const text = formatPayload(payload);
    if (!isSendable(sid)) return Promise.resolve(this.#unsendable(command));
    if (this.#isReady) return new Promise((resolve) => this.#ask(command, sid, text, ttlSeconds, timeoutMs, resolve));
    const { state } = this.#availability;
    if (state === 'lost' || state === 'away' || this.#closed || this.#isRefused) {
      if (!isRead(command) && !this.#closed) this.#send(command, sid, text, ttlSeconds);
      return Promise.resolve(this.#degrade(command, this.#closed ? 'closed' : 'redis'));
    }
    return new Promise((resolve) => {
      const go = () => this.#ask(command, sid, text, ttlSeconds, timeoutMs, resolve);
      this.#holdAsk(command, sid, text, ttlSeconds, go, resolve);
    });
  }

  /** The first connection is waited for. */
  #holdAsk(
    command: string,
    sid: string,
    payload: string,
    ttlSeconds: number,
    go: () => void,
    resolve: (answer: Answer) => void,
  ): void {
    const held: Held & { giveUp(why: Error): void } = {
      go: () => {
        this.#heldAsks.delete(held);
        go();
      },
      fail: (posted, error) => {
        this.#heldAsks.delete(held);
        resolve(this.#degrade(command, this.#closed ? 'closed' : posted === 'shed' ? 'shed' : 'redis', error));
      },
      giveUp: (why) => {
        // what counts is kept for a while, though nobody waits for its answer any longer
        let kept: Held | undefined;
        if (!isRead(command)) {
          this.#pending.begin();
          kept = {
            go: () => this.#take(command, sid, payload, ttlSeconds),
            fail: () => this.#pending.end(),
          };
        }
        this.#held.replace(held, kept);
        held.fail('sent', why);
      },
    };
    this.#heldAsks.add(held);
    this.#held.add(held);
  }

  readonly #heldAsks = new Set<Held & { giveUp(why: Error): void }>();

  #giveUp(why: Error): void {
    for (const held of [...this.#heldAsks]) held.giveUp(why);
  }

  #ask(
    command: string,
    sid: string,
    payload: string,
    ttlSeconds: number,
    timeoutMs: number,
    resolve: (answer: Answer) => void,
  ): void {
    const dueMs = loopNowMs() + timeoutMs + 2 * distanceMsOf(this.#target);
    this.#stopTicks ??= onLoopTick(() => this.#endLate());
    this.#waiting.add(this.#take(command, sid, payload, ttlSeconds, { dueMs, resolve }));
  }

  #endLate(): void {
    const nowMs = loopNowMs();
    for (const task of this.#waiting) if (nowMs >= task.dueMs) this.#giveUpOn(task, 'timeout');
    if (this.#waiting.size > 0) return;
    this.#stopTicks?.();
    this.#stopTicks = undefined;
  }

  #giveUpOn(task: LocalTask, reason: DegradedReason): void {
    this.#waiting.delete(task);
    task.end(this.#degrade(task.command, reason));
  }

  #take(command: string, sid: string, payload: string, ttlGiven: number, ask?: Ask): LocalTask {
    const ttlSeconds = boundedTtl(ttlGiven);
    const task = new LocalTask(command, sid, this.#newId(), payload, ttlSeconds, ask);
    if (this.#gathered.length === 0) setImmediate(() => this.#flush());
    this.#gathered.push(task);
    return task;
  }

  #flush(): void {
    const tasks = this.#gathered;
    this.#gathered = [];
    this.#executor?.take(tasks);
  }

  forget(sid: string): void {
    checkSessionId('forget', sid);
    this.#renewals.forget(sid);
    const { gone, ...keys } = commandKeys(this.namespace, sid);
    const left = this.#client.set(gone, '', 'PX', PUBLISHED_AGE_SECONDS * 1000);
    const forgotten = Promise.all([left, this.#client.unlink(...Object.values(keys))]);
    this.#pending.track(forgotten.catch((error) => this.#degrade('forget', 'redis', error)));
  }

  renew(sid: string, ttlSeconds: number): void {
    checkSessionId('renew', sid);
    checkTtl('renew', ttlSeconds);
    if (this.#closed || this.#client.status !== 'ready') return;
    this.#renewals.renew(sid, ttlSeconds)?.catch((error) => this.#degrade('renew', 'redis', error));
  }

  close(options?: { timeout?: number | undefined }): Promise<void> {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    await this.#pending.settled(timeoutMs);
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#shape.close();
    this.#held.fail(new Error('closed'));
    for (const task of this.#waiting) this.#giveUpOn(task, 'closed');
    this.#stopTicks?.();
    this.#executor?.close();
    this.#faults.flush();
    endConnection(this.#client);
  }

  get #isReady(): boolean {
    return this.#executor !== undefined && this.#client.status === 'ready' && !this.#closed;
  }

  /** There is a connection: which Bloom filters the server has is known once, and then what was held goes. */
  #start(): void {
    if (this.#executor) return this.#held.flush();
    this.#open().then(
      (executor) => {
        if (this.#ended || this.#executor) return executor.close();
        this.#executor = executor;
        this.#isRefused = false;
        this.#held.flush();
      },
      (error) => {
        if (this.#ended) return;
        const fault = redisFault(error);
        this.emit('fault', fault);
        this.#isRefused = true;
        this.#giveUp(fault);
        this.#retry = setTimeout(() => this.#start(), RETRY_MS).unref();
      },
    );
  }

  async #open(): Promise<ScriptExecutor<LocalTask>> {
    const { activityDays, ...filters } = await this.#shape.read();
    return this.#makeExecutor(await chooseBloomFilter(this.#client, this.options.bloom, filters), activityDays);
  }

  protected override get connected(): boolean | undefined {
    return this.#ended ? undefined : this.#client.status === 'ready';
  }

  /** What kept a command from its answer. */
  #failed(cause: unknown, command: string, payload: string): void {
    const error = applicationFault(cause);
    if (!(error instanceof IntelligentSessionError)) this.commandThrew(command, error);
    else this.emit('fault', isUnknown(error.message) ? commandFault(command, payload, error.message) : error);
  }

  #makeExecutor(bloom: BloomFilter, activityDays: number): ScriptExecutor<LocalTask> {
    const { combos, itemSecret } = this.options;
    const of = {
      bloom,
      activityDays,
      combos: new Map(combos.map(({ name, pages }) => [name, pages])),
      itemKey: itemKeyOf(itemSecret),
    };
    const options = { ...this.options, namespace: this.namespace };
    return new ScriptExecutor<LocalTask>(this.#target, of, options, toCaller, this.#executorMetrics, {
      finished: (task, result) => this.#finished(task, result),
      fault: (error, command, task) => this.#failed(error, command, task?.payload ?? ''),
    });
  }

  #finished(task: LocalTask, result: Result): void {
    const { command } = task;
    const wasDone = result === 'done' || result === 'duplicate' || result === 'gone';
    if (!task.awaited) {
      this.#pending.end();
      if (wasDone) this.#requests.inc(command, 'sent');
      else this.#degrade(command, result === 'full' ? 'shed' : 'failed');
      return;
    }
    if (!this.#waiting.delete(task)) return; // its time was up
    if (!wasDone) return this.#giveUpOn(task, result === 'full' ? 'shed' : 'failed');
    this.#requests.inc(command, 'answered');
    task.end({ answered: true, data: null }); // where it has no answer
  }

  /** In ascending order: by that it is known what was counted. */
  #newId(): string {
    if (++this.#count > LAST_NUMBER) [this.#sender, this.#count] = [newSender(), 1];
    return `${this.#sender}~${this.#count.toString(36)}`;
  }

  /** An id of the application's own genid(): the page is not to blame. */
  #unsendable(command: string): Answer {
    const message = `A session id has 1 to ${MAX_ID_LENGTH} characters`;
    this.emit('fault', new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', message));
    return this.#degrade(command, 'session-id');
  }

  #degrade(command: string, reason: DegradedReason, cause?: unknown): Answer {
    this.#requests.inc(command, reason);
    say('%s: %s', command, reason);
    this.emit('degraded', command, reason);
    if (cause !== undefined) this.emit('fault', redisFault(cause));
    return { answered: false };
  }
}
