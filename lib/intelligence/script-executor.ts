import { intelligenceKey } from '../redis/keys.js';
import type { RedisTarget } from '../redis/target.js';
import type { ExecutorMetrics } from './executor-metrics.js';
import type { CommandContext } from './command/descriptor.js';
import { isCarry } from './commands-outside-script.js';
import type { ResolvedCommand } from './own-command.js';
import { OwnCommands } from './own-commands.js';
import { RETRY_DELAY_MS } from './retry-after-fault.js';
import { type Ending, ScriptCalls, type Unfinished } from './script-calls.js';
import type { Outcome, Task } from './task.js';
import { type Dropped, TaskQueue } from './task-queue.js';

/** So many calls to one server may be under way: while Redis carries out one, the other's reply is on its way. */
const CALLS_IN_FLIGHT = 2;
/** So many carries to one server may be under way beside its calls: each takes two round trips, for which a call would wait. */
const CARRIES_IN_FLIGHT = 64;
/** The cost of what one call carries, in page views: 64 of them on the fallback's filters keep Redis busy for some 1.5 ms. */
const MAX_BATCH_SIZE = 64;
const MIN_BATCH_SIZE = 8;
/** A session's share of a call, in page views, so that a session that sends much keeps no other waiting. */
const MAX_SESSION_SHARE = 16;

/**
 * How much the next call to a server may carry, in page views. While another call is under way, as much as a call takes. While
 * none is, half of what waits: the other half goes in a second call, whose messages are written while Redis carries out the
 * first. Below MIN_BATCH_SIZE nothing is halved, since a call costs more than that would save.
 */
function nextBatchSize(waiting: number, callsInFlight: number): number {
  if (callsInFlight > 0) return MAX_BATCH_SIZE;
  return Math.min(MAX_BATCH_SIZE, Math.max(MIN_BATCH_SIZE, Math.ceil(waiting / 2)));
}

/** What became of a task in the end. */
export type Result = Outcome | Dropped | 'timeout';

export interface ScriptExecutorOptions {
  readonly namespace: string;
  readonly commands: ReadonlyMap<string, ResolvedCommand>;
  /** the time limit of each of the application's own commands */
  readonly commandTimeoutMs: number;
  /** in messages */
  readonly maxQueue: number;
  readonly maxQueueBytes: number;
}

export interface ScriptExecutorHooks<T extends Task> {
  /** Is told of each task once: it was carried out, or dropped. */
  finished(task: T, result: Result): void;
  /** Is told of each fault, and which command met it. */
  fault(error: unknown, command: string, task?: T): void;
}

/** The calls to one server. In a Cluster each master has its own, so that one that is slow or away delays its own sessions only. */
interface Lane<T> {
  callsInFlight: number;
  carriesInFlight: number;
  /** tasks whose calls failed: they are kept here until the other calls to the server have ended */
  toSendLater: T[];
  /** runs while the server gets no call after one that failed */
  retry: NodeJS.Timeout | undefined;
}

const takesCalls = ({ toSendLater, retry }: Lane<unknown>): boolean => toSendLater.length === 0 && !retry;
const mayCall = (lane: Lane<unknown>): boolean => lane.callsInFlight < CALLS_IN_FLIGHT && takesCalls(lane);
const mayCarry = (lane: Lane<unknown>): boolean => lane.carriesInFlight < CARRIES_IN_FLIGHT && takesCalls(lane);

/**
 * Carries out tasks. They wait in a bounded queue, each session's in their order, and go to Redis in calls of the script, many a
 * call. An application's own commands run beside them.
 */
export class ScriptExecutor<T extends Task> {
  readonly #queue: TaskQueue<T>;
  readonly #ownCommands: OwnCommands<T>;
  readonly #calls: ScriptCalls<T>;
  /** by the server's address; a single Redis has one */
  readonly #lanes = new Map<string, Lane<T>>();
  /** The sessions with tasks in a call. Each is in one call at a time, so that what is put back keeps its order. */
  readonly #sessionsInFlight = new Set<string>();
  /** The users to whom something is being carried. What they send meanwhile waits, so that it finds what was carried. */
  readonly #carrying = new Set<string>();
  #isPumping = false;
  /** what idle() waits for */
  #idleWaiter: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(
    readonly target: RedisTarget,
    readonly context: CommandContext,
    readonly options: ScriptExecutorOptions,
    ending: Ending<T>,
    readonly metrics: ExecutorMetrics,
    readonly hooks: ScriptExecutorHooks<T>,
  ) {
    const bounds = { messages: options.maxQueue, bytes: options.maxQueueBytes };
    this.#queue = new TaskQueue(bounds, (task, why) => this.#finish(task, why));
    const onFinished = (task: T, result: Result, fault?: unknown) => {
      this.#finish(task, result, fault);
      this.#pump();
    };
    const onFault = (fault: unknown, task: T) => hooks.fault(fault, task.command, task);
    this.#ownCommands = new OwnCommands(target, context, options, bounds, onFinished, onFault);
    const onOutcome = (task: T, outcome: Outcome, fault?: unknown) => this.#finish(task, outcome, fault);
    const onRefused = (items: number) => metrics.refusedItems.inc(items);
    this.#calls = new ScriptCalls(target, context, options.namespace, ending, onOutcome, onRefused);
    target.client.on('ready', () => this.#pump());
  }

  get waiting(): number {
    return this.#queue.length + this.#ownCommands.waiting;
  }

  take(tasks: readonly T[]): void {
    for (const task of tasks) {
      if (task.isTooOld(this.context)) this.#finish(task, 'too-old');
      else this.#queue.push(task);
    }
    this.#pump();
  }

  /** Resolves when nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    while (this.#busy) {
      if (!this.#idleWaiter) {
        let resolve = () => {};
        const promise = new Promise<void>((done) => {
          resolve = done;
        });
        this.#idleWaiter = { promise, resolve };
      }
      await this.#idleWaiter.promise;
    }
  }

  get #busy(): boolean {
    if (this.waiting + this.#ownCommands.running > 0) return true;
    for (const { callsInFlight, carriesInFlight, toSendLater } of this.#lanes.values())
      if (callsInFlight + carriesInFlight + toSendLater.length > 0) return true;
    return false;
  }

  close(): void {
    for (const { retry } of this.#lanes.values()) clearTimeout(retry);
    this.#ownCommands.close();
  }

  /**
   * Starts all calls that may be started. While there is no connection, all wait for it. An application's own command that is
   * dropped, or fails at once, leads here again while this loop runs: the loop goes on with what that call would do.
   */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#startCalls();
    } finally {
      this.#isPumping = false;
    }
    if (this.#idleWaiter && !this.#busy) {
      this.#idleWaiter.resolve();
      this.#idleWaiter = undefined;
    }
  }

  #startCalls(): void {
    while (this.#queue.length > 0 && this.target.client.status === 'ready') {
      const waiting = this.#queue.length;
      const { tasks, own, lane } = this.#nextCall();
      if (this.#queue.length === waiting) break; // all that wait are of sessions or servers with calls under way
      if (tasks.length > 0 && lane) void this.#call(tasks, lane);
      // it is started behind the call, so that what its session did before is counted first
      if (own) this.#ownCommands.push(own);
    }
  }

  #laneOf(sid: string): Lane<T> {
    const server = this.target.serverOf(() => intelligenceKey(this.options.namespace, sid, ''));
    let lane = this.#lanes.get(server);
    if (!lane) {
      lane = { callsInFlight: 0, carriesInFlight: 0, toSendLater: [], retry: undefined };
      this.#lanes.set(server, lane);
    }
    return lane;
  }

  /**
   * Takes the tasks of the next call, all for one server. They end at an application's own command, `own`, which is run after
   * them. A carry whose turn it is begins at once, and what its user has behind it waits for its end.
   */
  #nextCall(): { tasks: T[]; own: T | undefined; lane: Lane<T> | undefined } {
    const tasks: T[] = [];
    let lane: Lane<T> | undefined;
    let own: T | undefined;
    let room = 0;
    // A deferred session comes a second time. One that is passed over isn't deferred, so that this loop ends.
    for (const sid of this.#queue.sessions()) {
      if (this.#carrying.has(sid)) continue;
      const sessionsLane = this.#laneOf(sid);
      if (this.#isCarryNext(sid)) {
        if (mayCarry(sessionsLane)) void this.#carry(sid, sessionsLane);
        continue;
      }
      if (this.#sessionsInFlight.has(sid)) continue;
      if (!lane && mayCall(sessionsLane)) {
        lane = sessionsLane;
        room = nextBatchSize(this.#queue.length, lane.callsInFlight);
      }
      if (sessionsLane !== lane) continue;
      let share = Math.min(room, MAX_SESSION_SHARE);
      room -= share;
      while (share > 0 && !this.#isCarryNext(sid)) {
        const task = this.#queue.shift(sid);
        if (!task) break;
        if (task.isTooOld(this.context)) {
          this.#finish(task, 'too-old');
          continue;
        }
        if (!task.builtIn) {
          own = task;
          // else one of them might be sent again, for want of keys, after `own` was started
          for (const before of tasks) if (before.sid === sid) before.givesAllKeys = true;
          break;
        }
        if (task.builtIn.effect === 'reads' && task.isExpired) this.#finish(task, 'expired');
        else {
          tasks.push(task);
          share -= task.builtIn.cost(task.payload, this.context);
        }
      }
      room += share;
      this.#queue.defer(sid);
      if (room <= 0 || own) break;
    }
    return { tasks, own, lane };
  }

  #isCarryNext(sid: string): boolean {
    const task = this.#queue.peek(sid);
    return task !== undefined && isCarry(task);
  }

  /** Carries out the next task of the user `sid`, a carry. It need not wait for a call with what the user sent before. */
  async #carry(sid: string, lane: Lane<T>): Promise<void> {
    const task = this.#queue.shift(sid);
    if (!task) return;
    if (task.isTooOld(this.context)) return this.#finish(task, 'too-old');
    this.#queue.defer(sid);
    this.#carrying.add(sid);
    lane.carriesInFlight++;
    const unfinished = await this.#observed([task], () => this.#calls.carry(task));
    lane.carriesInFlight--;
    if (unfinished.toSendLater.length === 0) this.#carrying.delete(sid);
    this.#ended(unfinished, lane);
  }

  async #call(tasks: readonly T[], lane: Lane<T>): Promise<void> {
    for (const { sid } of tasks) this.#sessionsInFlight.add(sid);
    lane.callsInFlight++;
    const unfinished = await this.#observed(tasks, () => this.#calls.run(tasks));
    lane.callsInFlight--;
    // a session with tasks to send later stays under way: its slot may have moved to a server that takes calls
    const kept = new Set(unfinished.toSendLater.map(({ sid }) => sid));
    for (const { sid } of tasks) if (!kept.has(sid)) this.#sessionsInFlight.delete(sid);
    this.#ended(unfinished, lane);
  }

  /** Runs a call or a carry, and measures it for the metrics. What it throws is a mistake in this code, and fails its tasks. */
  async #observed(tasks: readonly T[], run: () => Promise<Unfinished<T>>): Promise<Unfinished<T>> {
    const started = performance.now();
    this.metrics.queueing.observe((started - (tasks[0]?.heardMs ?? started)) / 1000);
    const unfinished = await run().catch((error: unknown) => {
      for (const task of tasks) this.#finish(task, 'failed', error);
      return { toSendAtOnce: [], toSendLater: [] };
    });
    this.metrics.processing.observe((performance.now() - started) / 1000);
    return unfinished;
  }

  /** A call or a carry has ended: what it left is put back in the queue. */
  #ended({ toSendAtOnce, toSendLater }: Unfinished<T>, lane: Lane<T>): void {
    this.#queue.unshift(toSendAtOnce);
    lane.toSendLater.push(...toSendLater);
    // all that failed goes back together, in its order, before anything else is sent to that server
    if (lane.toSendLater.length > 0 && lane.callsInFlight + lane.carriesInFlight === 0) {
      for (const { sid } of lane.toSendLater) {
        this.#sessionsInFlight.delete(sid);
        this.#carrying.delete(sid);
      }
      this.#queue.unshift(lane.toSendLater);
      lane.toSendLater = [];
      lane.retry ??= setTimeout(() => {
        lane.retry = undefined;
        this.#pump();
      }, RETRY_DELAY_MS);
    }
    this.#pump();
  }

  #finish(task: T, result: Result, fault?: unknown): void {
    const { command } = task;
    const known = task.builtIn !== undefined || this.options.commands.has(command);
    this.metrics.messages.inc(known ? command : 'unknown', result);
    if (fault !== undefined) this.hooks.fault(fault, command, task);
    this.hooks.finished(task, result);
  }
}
