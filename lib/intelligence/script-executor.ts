import calculateSlot from 'cluster-key-slot';
import { IntelligentSessionError } from '../errors.js';
import { intelligenceKeys } from '../keys.js';
import { answerOf, dataText, errorText, FAILED_COMMAND, isRead, NO_COMMAND } from '../protocol.js';
import type { RedisClock } from '../redis/clock.js';
import { isCluster, type RedisClient } from '../redis/connect.js';
import { LoopTimeout } from '../redis/loop-clock.js';
import { Calls, type Outcome } from './calls.js';
import type { Command, Intelligence } from './commands/command.js';
import { builtIn, listCommands } from './commands/index.js';
import type { WorkerMetrics } from './metrics.js';
import { type Dropped, type Job, Queue } from './queue.js';
import { Replies } from './replies.js';

/** Calls under way to one server: while Redis works on one, the other's replies are on their way. */
const IN_FLIGHT = 2;
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

/** What became of a message, in the end. */
export type Result = Outcome | Dropped | 'timeout';

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

/** The calls to one server: in a Cluster, a node that is slow or away holds up its own sessions only. */
interface Lane {
  inFlight: number;
  /** what failed, till every call that is under way has ended */
  unsent: Job[];
  pause: NodeJS.Timeout | undefined;
}

/** Works on messages in their order: built-in commands many at a time, an application's own beside them. */
export class Workbench {
  readonly #queue: Queue;
  /** an application's commands that wait for a place */
  readonly #own: Queue;
  readonly #calls: Calls;
  readonly #replies: Replies;
  /** by a master's address; one for a single Redis */
  readonly #lanes = new Map<string, Lane>();
  /** whose messages are under way: a session's are in one call at a time, so that what is put back keeps its order */
  readonly #sessionsInFlight = new Set<string>();
  #ownAtWork = 0;
  #idle: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(
    readonly client: RedisClient,
    /** by which messages from elsewhere say until when somebody waits */
    readonly clock: RedisClock | undefined,
    readonly of: Intelligence,
    readonly options: WorkbenchOptions,
    readonly metrics: WorkerMetrics,
    readonly hooks: {
      finished(job: Job, result: Result): void;
      fault(error: unknown, command: string, job?: Job): void;
    },
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
    if (this.waiting + this.#ownAtWork > 0) return true;
    for (const { inFlight, unsent } of this.#lanes.values()) if (inFlight + unsent.length > 0) return true;
    return false;
  }

  close(): void {
    for (const { pause } of this.#lanes.values()) clearTimeout(pause);
  }

  #pump(): void {
    // What was heard while the connection comes back waits for it, in its order.
    while (this.#queue.length > 0 && this.client.status === 'ready') {
      const waiting = this.#queue.length;
      const { jobs, own, lane } = this.#next();
      if (this.#queue.length === waiting) break; // all that wait are of sessions or servers that are under way
      if (jobs.length > 0 && lane) void this.#call(jobs, lane);
      // after the call: what a session's visitor did before is then done
      for (const job of own) this.#own.push(job);
      this.#startOwn();
    }
    if (this.#idle && !this.#busy) {
      this.#idle.resolve();
      this.#idle = undefined;
    }
  }

  #laneOf(sid: string): Lane {
    const { client } = this;
    let server = '';
    if (isCluster(client)) {
      const { activity } = intelligenceKeys(this.options.namespace, sid);
      server = client.slots[calculateSlot(activity)]?.[0] ?? '';
    }
    let lane = this.#lanes.get(server);
    if (!lane) {
      lane = { inFlight: 0, unsent: [], pause: undefined };
      this.#lanes.set(server, lane);
    }
    return lane;
  }

  /** The next call's messages, all to one server, up to an application's command. */
  #next(): { jobs: Job[]; own: Job[]; lane: Lane | undefined } {
    let lane: Lane | undefined;
    let most = MOST;
    const jobs: Job[] = [];
    const own: Job[] = [];
    let weight = 0;
    for (const sid of this.#queue.sessions()) {
      if (this.#sessionsInFlight.has(sid)) continue;
      const its = this.#laneOf(sid);
      if (lane ? its !== lane : its.inFlight >= IN_FLIGHT || its.pause || its.unsent.length > 0) continue;
      if (!lane) {
        lane = its;
        if (lane.inFlight === 0) most = Math.min(MOST, Math.max(HALF, Math.ceil(this.#queue.length / 2)));
      }
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
    return { jobs, own, lane };
  }

  /** What a message costs, in page views at the default of 7 days: the ring of days is read whole. */
  #weightOf({ message: { command }, payload }: Job): number {
    if (listCommands.has(command))
      return 1 + Math.min(LIST_WEIGHT, payload.length / PAYLOAD_BYTES) + payload.length / LIST_BYTES;
    if (command === 'activity') return 1 + (/^\d{1,6}$/.test(payload) ? Number(payload) / MINUTES : 0);
    const ring = command === 'pageview' ? this.of.activityDays / RING_DAYS : 0;
    return Math.max(1, ring) + payload.length / PAYLOAD_BYTES;
  }

  async #call(jobs: readonly Job[], lane: Lane): Promise<void> {
    lane.inFlight++;
    const started = performance.now();
    this.metrics.queueing.observe((started - (jobs[0]?.heardMs ?? started)) / 1000);
    for (const { message } of jobs) this.#sessionsInFlight.add(message.sid);
    const { held, unsent } = await this.#calls.run(jobs).catch((error: unknown) => {
      for (const job of jobs) this.#finish(job, 'failed', error);
      return { held: [], unsent: [] };
    });
    // what was not sent keeps its session from going another way, where its slot has moved meanwhile
    const kept = new Set(unsent.map(({ message }) => message.sid));
    for (const { message } of jobs) if (!kept.has(message.sid)) this.#sessionsInFlight.delete(message.sid);
    this.#queue.unshift(held);
    this.metrics.processing.observe((performance.now() - started) / 1000);
    lane.unsent.push(...unsent);
    lane.inFlight--;
    // all that failed goes back at once, in its order, before anything else is sent
    if (lane.unsent.length > 0 && lane.inFlight === 0) {
      for (const { message } of lane.unsent) this.#sessionsInFlight.delete(message.sid);
      this.#queue.unshift(lane.unsent);
      lane.unsent = [];
      lane.pause ??= setTimeout(() => {
        lane.pause = undefined;
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
    const { message, payload, asker } = job;
    const { namespace, ttlSeconds, commands } = this.options;
    const { sid, request } = message;
    const answer = asker ? undefined : answerOf(namespace, message);
    this.#ownAtWork++;
    try {
      const command = commands.get(message.command);
      if (!command) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NO_COMMAND);
      const work = command({
        command: message.command,
        sid,
        id: request.id,
        payload,
        ttlSeconds: request.ttlSeconds ?? ttlSeconds,
        keys: intelligenceKeys(namespace, sid),
        awaited: (asker ?? answer) !== undefined && !this.#isLate(job),
        redis: this.client,
      });
      const data = await withinMs(work, this.options.commandTimeoutMs);
      if (asker) asker.answer(dataText('', data));
      else if (answer && !this.#isLate(job)) this.#replies.push(answer, dataText(answer.head, data));
      this.#finish(job, 'done');
    } catch (error) {
      const known = error instanceof IntelligentSessionError;
      if (answer && answer.head !== '')
        this.#replies.push(answer, errorText(answer.head, known ? error.message : FAILED_COMMAND));
      this.#finish(job, error instanceof CommandTimeout ? 'timeout' : 'failed', error);
    }
    this.#ownAtWork--;
    this.#startOwn();
    this.#pump();
  }

  #finish(job: Job, result: Result, fault?: unknown): void {
    const { command } = job.message;
    const known = builtIn.has(command) || this.options.commands.has(command);
    this.metrics.messages.inc(known ? command : 'unknown', result);
    if (fault !== undefined) this.hooks.fault(fault, command, job);
    this.hooks.finished(job, result);
  }

  /** An entry's id begins with when it was added, ms by Redis' clock. */
  #isExpired({ entry }: Job): boolean {
    return (
      entry !== undefined &&
      this.clock !== undefined &&
      this.clock.earliestMs() - Number.parseInt(entry.id, 10) > this.options.maxMessageAgeSeconds * 1000
    );
  }

  #isLate({ message, asker }: Job): boolean {
    if (asker) return !asker.waits;
    const { inbox, deadlineMs } = message.request;
    return inbox !== '' && deadlineMs !== undefined && this.clock !== undefined && this.clock.earliestMs() > deadlineMs;
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
