import { randomBytes } from 'node:crypto';
import debug from 'debug';
import { type BloomChoice, chooseBloomFilter } from '../bloom/choose.js';
import { checkSessionId, checkTtl, optionsOf } from '../check-arguments.js';
import { CommandCounts } from '../counts.js';
import { applicationFault, IntelligentSessionError, OptionError, redisFault } from '../errors.js';
import { itemKeyOf } from '../item-keys.js';
import { commandKeys, isSendable, MAX_ID_LENGTH } from '../keys.js';
import type { PromRegistry } from '../metrics.js';
import { CLOSE_TIMEOUT_MS, Pending } from '../pending.js';
import { checkCommand, formatPayload, GROUP, isRead, MOST_TTL_SECONDS, PUBLISHED_AGE_SECONDS } from '../protocol.js';
import { Availability } from '../redis/availability.js';
import {
  connectCommands,
  DEFAULT_MAX_WAIT_MS,
  namespaceOf,
  type RedisClient,
  type RedisOption,
} from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { distanceMsOf } from '../redis/liveness.js';
import { loopNowMs, onLoopTick } from '../redis/loop-clock.js';
import { tellAway } from '../redis/tell-away.js';
import { tellFaults } from '../redis/tell-faults.js';
import { RepeatedLines } from '../repeated-lines.js';
import type { Command } from '../worker/commands/command.js';
import { WorkerMetrics } from '../worker/metrics.js';
import type { NamedCombo } from '../worker/options.js';
import type { Asker, Job } from '../worker/queue.js';
import { Workbench } from '../worker/workbench.js';
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

/** Who asked here, until it has its answer or its time is up. */
class LocalAsker implements Asker {
  waits = true;

  constructor(
    readonly command: string,
    readonly dueMs: number,
    readonly resolve: (answer: Answer) => void,
    readonly onEnd: (asker: LocalAsker, answered: boolean) => void,
  ) {}

  answer(data: string): void {
    if (this.waits) this.end({ answered: true, data: JSON.parse(data) });
  }

  end(answer: Answer): void {
    this.waits = false;
    this.onEnd(this, answer.answered);
    this.resolve(answer);
  }
}

/** Carries out commands by scripts that this process sends itself, those of one turn of the event loop in one call. */
export class LocalExecutor extends ExecutorEmitter implements Executor {
  readonly namespace: string;
  readonly #client: RedisClient;
  readonly #availability: Availability;
  readonly #metrics: WorkerMetrics;
  readonly #requests: CommandCounts;
  readonly #held: HeldMessages;
  readonly #pending: Pending;
  readonly #renewals: Renewals;
  readonly #waiting = new Set<LocalAsker>();
  #workbench: Workbench | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** of this turn of the event loop */
  #gathered: Job[] = [];
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
    this.#client = connectCommands(redis);
    this.#availability = new Availability(this.#client, maxWaitMs);
    const { tellsAway = true } = options;
    const heard = (reason: Error) => this.#closed || this.emit('away', reason) || !tellsAway;
    tellAway(this.#availability, WITHOUT_INSIGHT, heard);
    this.#availability.on('away', () => this.#giveUp());
    this.#availability.on('back', () => this.emit('back'));
    this.#held = new HeldMessages(maxWaitMs);
    this.#pending = new Pending(this.#client);
    this.#renewals = new Renewals(this.#client, this.namespace);
    this.#metrics = new WorkerMetrics({
      waiting: () => this.#workbench?.waiting ?? 0,
      listening: () => this.#isReady,
    });
    this.#requests = new CommandCounts(
      'intelligent_session_requests_total',
      'Requests by command and result (sent, answered, or why not)',
      this.#metrics.metrics,
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
    checkCommand(command);
    checkSessionId('ask', sid);
    checkTtl('ask', ttlSeconds);
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1 && timeoutMs <= MOST_TIMEOUT_MS))
      throw new OptionError(
        `ask(): "timeout" should be a number of ms from 1 to ${MOST_TIMEOUT_MS}`,
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
    const text = formatPayload(payload);
    if (!isSendable(sid)) return Promise.resolve(this.#unsendable(command));
    return new Promise((resolve) => {
      const go = () => this.#ask(command, sid, text, ttlSeconds, timeoutMs, resolve);
      if (this.#isReady) return go();
      const { state } = this.#availability;
      if (state === 'lost' || state === 'away' || this.#closed) {
        if (!isRead(command) && !this.#closed) this.#send(command, sid, text, ttlSeconds);
        return resolve(this.#degrade(command, this.#closed ? 'closed' : 'redis'));
      }
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
    const held: Held & { giveUp(): void } = {
      go: () => {
        this.#heldAsks.delete(held);
        go();
      },
      fail: (posted, error) => {
        this.#heldAsks.delete(held);
        resolve(this.#degrade(command, this.#closed ? 'closed' : posted === 'shed' ? 'shed' : 'redis', error));
      },
      giveUp: () => {
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
        held.fail('sent', new Error('not connected'));
      },
    };
    this.#heldAsks.add(held);
    this.#held.add(held);
  }

  readonly #heldAsks = new Set<Held & { giveUp(): void }>();

  #giveUp(): void {
    for (const held of [...this.#heldAsks]) held.giveUp();
  }

  #ask(
    command: string,
    sid: string,
    payload: string,
    ttlSeconds: number,
    timeoutMs: number,
    resolve: (answer: Answer) => void,
  ): void {
    const dueMs = loopNowMs() + timeoutMs + 2 * distanceMsOf(this.#client);
    const asker = new LocalAsker(command, dueMs, resolve, this.#settled);
    this.#waiting.add(asker);
    this.#stopTicks ??= onLoopTick(() => this.#endLate());
    this.#take(command, sid, payload, ttlSeconds, asker);
  }

  readonly #settled = (asker: LocalAsker, answered: boolean): void => {
    this.#waiting.delete(asker);
    if (answered) this.#requests.inc(asker.command, 'answered');
  };

  #endLate(): void {
    const nowMs = loopNowMs();
    for (const asker of this.#waiting) if (nowMs >= asker.dueMs) asker.end(this.#degrade(asker.command, 'timeout'));
    if (this.#waiting.size > 0) return;
    this.#stopTicks?.();
    this.#stopTicks = undefined;
  }

  #take(command: string, sid: string, payload: string, ttlGiven: number, asker?: Asker): void {
    const id = this.#newId();
    const ttlSeconds = Math.min(ttlGiven, MOST_TTL_SECONDS);
    const request = asker ? { id, ttlSeconds } : { id, ttlSeconds, inbox: '' };
    if (this.#gathered.length === 0) setImmediate(() => this.#flush());
    const job: Job = { message: { command, sid, rid: '', request }, payload, heardMs: performance.now() };
    if (asker) job.asker = asker;
    this.#gathered.push(job);
  }

  #flush(): void {
    const jobs = this.#gathered;
    this.#gathered = [];
    this.#workbench?.take(jobs);
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
    this.#held.fail(new Error('closed'));
    for (const asker of [...this.#waiting]) asker.end(this.#degrade(asker.command, 'closed'));
    this.#stopTicks?.();
    this.#workbench?.close();
    this.#faults.flush();
    endConnection(this.#client);
  }

  get #isReady(): boolean {
    return this.#workbench !== undefined && this.#client.status === 'ready' && !this.#closed;
  }

  /** There is a connection: which Bloom filters the server has is known once, and then what was held goes. */
  #start(): void {
    if (this.#workbench) return this.#held.flush();
    const { bloom, errorRate, capacity, expansion } = this.options;
    chooseBloomFilter(this.#client, bloom, { errorRate, capacity, expansion }).then(
      (filter) => {
        if (this.#ended || this.#workbench) return;
        this.#workbench = this.#makeWorkbench(filter);
        this.#held.flush();
      },
      (error) => {
        if (this.#ended) return;
        this.emit('fault', redisFault(error));
        this.#retry = setTimeout(() => this.#start(), RETRY_MS).unref();
      },
    );
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

  #makeWorkbench(bloom: Awaited<ReturnType<typeof chooseBloomFilter>>): Workbench {
    const { combos, activityDays, itemSecret } = this.options;
    const of = {
      bloom,
      activityDays,
      combos: new Map(combos.map(({ name, pages }) => [name, pages])),
      itemKey: itemKeyOf(itemSecret),
    };
    const options = {
      ...this.options,
      namespace: this.namespace,
      ttlSeconds: PUBLISHED_AGE_SECONDS,
      group: GROUP,
      maxMessageAgeSeconds: PUBLISHED_AGE_SECONDS,
    };
    return new Workbench(this.#client, undefined, of, options, this.#metrics, {
      finished: (job, result) => this.#finished(job, result),
      fault: (error, command, job) => this.#failed(error, command, job?.payload ?? ''),
    });
  }

  #finished({ asker, message: { command } }: Job, result: string): void {
    if (!asker) {
      this.#pending.end();
      if (result === 'done' || result === 'again' || result === 'gone') this.#requests.inc(command, 'sent');
      else this.#degrade(command, result === 'full' ? 'shed' : 'failed');
      return;
    }
    const waiting = asker as LocalAsker;
    if (!waiting.waits) return;
    if (result === 'done' || result === 'again' || result === 'gone') waiting.answer('null');
    else waiting.end(this.#degrade(command, result === 'full' ? 'shed' : 'failed'));
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
