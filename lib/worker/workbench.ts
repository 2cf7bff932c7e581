import { IntelligentSessionError } from '../errors.js';
import { intelligenceKeys } from '../keys.js';
import { answerOf, dataText, errorText, isRead } from '../protocol.js';
import type { RedisClock } from '../redis/clock.js';
import { isCluster, type RedisClient } from '../redis/connect.js';
import { LoopTimeout } from '../redis/loop-clock.js';
import { Calls, type Outcome } from './calls.js';
import type { Command, Intelligence } from './commands/command.js';
import { builtIn, listCommands } from './commands/index.js';
import type { WorkerMetrics } from './metrics.js';
import { type Dropped, type Job, Queue } from './queue.js';
import { Replies } from './replies.js';

/** Calls under way: while Redis works on one, the other's replies are on their way. */
const IN_FLIGHT = 2;
/** In a Cluster they go to many nodes, and one that failed would come after the next: a session's order is worth the wait. */
const IN_FLIGHT_CLUSTER = 1;
/** Messages of one call: 64 page views on the fallback's filters hold Redis for some 1.5 ms. */
const MOST = 64;
/** A call is not halved for the other one's sake below this. */
const HALF = 8;
/** One session's share of a call while others wait. */
const SHARE = MOST / 4;
/** So many bytes of payload count as another message; of a list, only what a call takes of it. */
const PAYLOAD_BYTES = 512;
const LIST_WEIGHT = 8;
const LIST_BYTES = 16_384;
/** So many minutes of activity: this process reads the bits. */
const MINUTES = 10_080;
/** Up to so many days of activity a page view is one. */
const RING_DAYS = 25;
/** Application's commands at work at once. */
const OWN_AT_ONCE = 256;
const PAUSE_MS = 50;

export interface WorkbenchOptions {
  readonly namespace: string;
  readonly ttlSeconds: number;
  readonly group: string;
  /** of a stream's message */
  readonly maxMessageAgeSeconds: number;
  readonly commands: ReadonlyMap<string, Command>;
  /** of an application's own command */
  readonly commandTimeoutMs: number;
  readonly maxQueue: number;
  readonly maxQueueBytes: number;
}

/** Works on messages in their order: built-in commands many at a time, an application's own beside them. */
export class Workbench {
  readonly #queue: Queue;
  /** an application's commands that wait for a place */
  readonly #own: Queue;
  readonly #calls: Calls;
  readonly #replies: Replies;
  readonly #most: number;
  #inFlight = 0;
  /** whose messages are under way: a session's are in one call at a time, so that what is put back keeps its order */
  readonly #sessionsInFlight = new Set<string>();
  /** what failed, till every call that is under way has ended */
  #unsent: Job[] = [];
  #ownAtWork = 0;
  #pause: NodeJS.Timeout | undefined;
  #idle: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(
    readonly client: RedisClient,
    readonly clock: RedisClock,
    readonly of: Intelligence,
    readonly options: WorkbenchOptions,
    readonly metrics: WorkerMetrics,
    readonly hooks: { finished(job: Job): void; fault(error: unknown, command: string): void },
  ) {
    const bounds = { messages: options.maxQueue, bytes: options.maxQueueBytes };
    const isLate = (job: Job) => this.#isLate(job);
    const onDrop = (job: Job, why: Dropped) => this.#finish(job, why);
    this.#queue = new Queue(bounds, isLate, onDrop);
    this.#own = new Queue(bounds, isLate, onDrop);
    this.#replies = new Replies(client, (error) => hooks.fault(error, 'reply'));
    const onOutcome = (job: Job, outcome: Outcome, fault?: unknown) => this.#finish(job, outcome, fault);
    const onRefused = (items: number) => metrics.refusedItems.inc(items);
    this.#calls = new Calls(client, of, this.#replies, options, onOutcome, onRefused);
    this.#most = isCluster(client) ? IN_FLIGHT_CLUSTER : IN_FLIGHT;
    client.on('ready', () => this.#pump());
  }

  get waiting(): number {
    return this.#queue.length + this.#own.length;
  }

  take(jobs: readonly Job[]): void {
    for (const job of jobs) {
      if (this.#isExpired(job)) this.#finish(job, 'expired');
      else this.#queue.push(job);
    }
    this.#pump();
  }

  /** Resolves when nothing is in hand. */
  async idle(): Promise<void> {
    while (this.#busy) {
      if (!this.#idle) {
        let resolve = () => {};
        const promise = new Promise<void>((done) => {
          resolve = done;
        });
        this.#idle = { promise, resolve };
      }
      await this.#idle.promise;
    }
    this.#replies.flush();
  }

  get #busy(): boolean {
    return this.waiting + this.#unsent.length + this.#inFlight + this.#ownAtWork > 0;
  }

  close(): void {
    clearTimeout(this.#pause);
  }

  #pump(): void {
    // What was heard while the connection comes back waits for it, in its order.
    const held = () => this.#pause !== undefined || this.#unsent.length > 0 || this.client.status !== 'ready';
    while (this.#inFlight < this.#most && this.#queue.length > 0 && !held()) {
      const waiting = this.#queue.length;
      const { jobs, own } = this.#next();
      if (this.#queue.length === waiting) break; // all that wait are of sessions under way
      if (jobs.length > 0) void this.#call(jobs);
      // after the call: what a session's visitor did before is then done
      for (const job of own) this.#own.push(job);
      this.#startOwn();
    }
    if (this.#idle && !this.#busy) {
      this.#idle.resolve();
      this.#idle = undefined;
    }
  }

  /** The next call's messages, up to an application's command. */
  #next(): { jobs: Job[]; own: Job[] } {
    const most = this.#inFlight > 0 ? MOST : Math.min(MOST, Math.max(HALF, Math.ceil(this.#queue.length / 2)));
    const jobs: Job[] = [];
    const own: Job[] = [];
    let weight = 0;
    for (const sid of this.#queue.sessions()) {
      if (this.#sessionsInFlight.has(sid)) continue;
      for (let share = 0; share < SHARE && weight < most && own.length === 0;) {
        const job = this.#queue.shift(sid);
        if (!job) break;
        if (!builtIn.has(job.message.command)) own.push(job);
        else if (isRead(job.message.command) && this.#isLate(job)) this.#finish(job, 'late');
        else {
          jobs.push(job);
          const cost = this.#weightOf(job);
          share += cost;
          weight += cost;
        }
      }
      this.#queue.defer(sid);
      if (weight >= most || own.length > 0) break;
    }
    return { jobs, own };
  }

  /** What a message costs, in page views at the default of 7 days: the ring of days is read whole. */
  #weightOf({ message: { command }, payload }: Job): number {
    if (listCommands.has(command))
      return 1 + Math.min(LIST_WEIGHT, payload.length / PAYLOAD_BYTES) + payload.length / LIST_BYTES;
    if (command === 'activity') return 1 + (/^\d{1,6}$/.test(payload) ? Number(payload) / MINUTES : 0);
    const ring = command === 'pageview' ? this.of.activityDays / RING_DAYS : 0;
    return Math.max(1, ring) + payload.length / PAYLOAD_BYTES;
  }

  async #call(jobs: readonly Job[]): Promise<void> {
    this.#inFlight++;
    const started = performance.now();
    this.metrics.queueing.observe((started - (jobs[0]?.heardMs ?? started)) / 1000);
    for (const { message } of jobs) this.#sessionsInFlight.add(message.sid);
    const { held, unsent } = await this.#calls.run(jobs).catch((error: unknown) => {
      for (const job of jobs) this.#finish(job, 'failed', error);
      return { held: [], unsent: [] };
    });
    for (const { message } of jobs) this.#sessionsInFlight.delete(message.sid);
    this.#queue.unshift(held);
    this.metrics.processing.observe((performance.now() - started) / 1000);
    this.#unsent.push(...unsent);
    this.#inFlight--;
    // all that failed goes back at once, in its order, before anything else is sent
    if (this.#unsent.length > 0 && this.#inFlight === 0) {
      this.#queue.unshift(this.#unsent);
      this.#unsent = [];
      this.#pause ??= setTimeout(() => {
        this.#pause = undefined;
        this.#pump();
      }, PAUSE_MS);
    }
    this.#pump();
  }

  #startOwn(): void {
    while (this.#ownAtWork < OWN_AT_ONCE) {
      const job = this.#own.shift();
      if (!job) return;
      void this.#workOn(job);
    }
  }

  async #workOn(job: Job): Promise<void> {
    const { message, payload } = job;
    const { namespace, ttlSeconds, commands } = this.options;
    const { sid, request } = message;
    const answer = answerOf(namespace, message);
    this.#ownAtWork++;
    try {
      const command = commands.get(message.command);
      if (!command) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'Unknown command');
      const work = command({
        command: message.command,
        sid,
        id: request.id,
        payload,
        ttlSeconds: request.ttlSeconds ?? ttlSeconds,
        keys: intelligenceKeys(namespace, sid),
        awaited: answer !== undefined && !this.#isLate(job),
        redis: this.client,
      });
      const data = await withinMs(work, this.options.commandTimeoutMs);
      if (answer && !this.#isLate(job)) this.#replies.push(answer, dataText(answer.head, data));
      this.#finish(job, 'done');
    } catch (error) {
      const known = error instanceof IntelligentSessionError;
      if (answer && answer.head !== '')
        this.#replies.push(answer, errorText(answer.head, known ? error.message : 'The command failed'));
      this.#finish(job, error instanceof CommandTimeout ? 'timeout' : 'failed', error);
    }
    this.#ownAtWork--;
    this.#startOwn();
    this.#pump();
  }

  #finish(job: Job, result: Outcome | Dropped | 'timeout', fault?: unknown): void {
    const { command } = job.message;
    const known = builtIn.has(command) || this.options.commands.has(command);
    this.metrics.messages.inc(known ? command : 'unknown', result);
    if (fault !== undefined) this.hooks.fault(fault, command);
    this.hooks.finished(job);
  }

  /** An entry's id begins with when it was added, ms by Redis' clock. */
  #isExpired({ entry }: Job): boolean {
    return (
      entry !== undefined &&
      this.clock.earliestMs() - Number.parseInt(entry.id, 10) > this.options.maxMessageAgeSeconds * 1000
    );
  }

  #isLate({ message }: Job): boolean {
    const { inbox, deadlineMs } = message.request;
    return inbox !== '' && deadlineMs !== undefined && this.clock.earliestMs() > deadlineMs;
  }
}

class CommandTimeout extends IntelligentSessionError {}

/** What an application's command gives, or an error in time: one that never ends would keep its place for ever. */
async function withinMs(work: unknown, limitMs: number): Promise<unknown> {
  if (typeof (work as PromiseLike<unknown> | undefined)?.then !== 'function') return work;
  let timeout: LoopTimeout | undefined;
  const late = new Promise((_, reject) => {
    const error = new CommandTimeout('ERR_INTELLIGENT_SESSION_MESSAGE', `The command took longer than ${limitMs} ms`);
    timeout = new LoopTimeout(() => reject(error), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timeout?.clear();
  }
}
