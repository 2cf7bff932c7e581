import { intelligenceKey } from '../redis/keys.js';
import type { RedisTarget } from '../redis/target.js';
import type { WorkerMetrics } from './worker-metrics.js';
import type { Intelligence } from './command/descriptor.js';
import type { Command } from './own-command.js';
import { OwnCommands } from './own-commands.js';
import { type Ending, type Outcome, ScriptCalls } from './script-calls.js';
import type { Task } from './task.js';
import { type Dropped, TaskQueue } from './task-queue.js';

/** Calls under way to one server: while Redis works on one, the other's replies are on their way. */
const IN_FLIGHT = 2;
/** Messages of one call: 64 page views on the fallback's filters hold Redis for some 1.5 ms. */
const MOST = 64;
/** A call is not halved for the other one's sake below this. */
const HALF = 8;
/** One session's share of a call while others wait. */
const SHARE = MOST / 4;
const PAUSE_MS = 50;

/** What became of a message, in the end. */
export type Result = Outcome | Dropped | 'timeout';

export interface ScriptExecutorOptions {
  readonly namespace: string;
  readonly commands: ReadonlyMap<string, Command>;
  /** of an application's own command */
  readonly commandTimeoutMs: number;
  readonly maxQueue: number;
  readonly maxQueueBytes: number;
}

export interface ScriptExecutorHooks<T extends Task> {
  /** It was worked on, or dropped. */
  finished(task: T, result: Result): void;
  fault(error: unknown, command: string, task?: T): void;
}

/** The calls to one server: in a Cluster, a node that is slow or away holds up its own sessions only. */
interface Lane<T> {
  inFlight: number;
  /** what failed, till every call that is under way has ended */
  unsent: T[];
  pause: NodeJS.Timeout | undefined;
}

/**
 * Carries out commands: what is asked waits in a bounded queue, each session's in its order, and goes to Redis in calls of the
 * script, many messages a call; an application's own commands run beside them.
 */
export class ScriptExecutor<T extends Task> {
  readonly #queue: TaskQueue<T>;
  readonly #own: OwnCommands<T>;
  readonly #calls: ScriptCalls<T>;
  /** by a master's address; one for a single Redis */
  readonly #lanes = new Map<string, Lane<T>>();
  /** whose messages are under way: a session's are in one call at a time, so that what is put back keeps its order */
  readonly #sessionsInFlight = new Set<string>();
  #idle: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(
    readonly target: RedisTarget,
    readonly of: Intelligence,
    readonly options: ScriptExecutorOptions,
    ending: Ending<T>,
    readonly metrics: WorkerMetrics,
    readonly hooks: ScriptExecutorHooks<T>,
  ) {
    const bounds = { messages: options.maxQueue, bytes: options.maxQueueBytes };
    this.#queue = new TaskQueue(bounds, (task, why) => this.#finish(task, why));
    this.#own = new OwnCommands(target.client, options, bounds, (task, result, fault) => {
      this.#finish(task, result, fault);
      this.#pump();
    });
    const onOutcome = (task: T, outcome: Outcome, fault?: unknown) => this.#finish(task, outcome, fault);
    const onRefused = (items: number) => metrics.refusedItems.inc(items);
    this.#calls = new ScriptCalls(target, of, options.namespace, ending, onOutcome, onRefused);
    target.client.on('ready', () => this.#pump());
  }

  get waiting(): number {
    return this.#queue.length + this.#own.waiting;
  }

  take(tasks: readonly T[]): void {
    for (const task of tasks) {
      if (task.isExpired) this.#finish(task, 'expired');
      else this.#queue.push(task);
    }
    this.#pump();
  }

  /** Resolves when nothing waits and nothing is under way. */
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
  }

  get #busy(): boolean {
    if (this.waiting + this.#own.running > 0) return true;
    for (const { inFlight, unsent } of this.#lanes.values()) if (inFlight + unsent.length > 0) return true;
    return false;
  }

  close(): void {
    for (const { pause } of this.#lanes.values()) clearTimeout(pause);
  }

  #pump(): void {
    // What was heard while the connection comes back waits for it, in its order.
    while (this.#queue.length > 0 && this.target.client.status === 'ready') {
      const waiting = this.#queue.length;
      const { tasks, own, lane } = this.#next();
      if (this.#queue.length === waiting) break; // all that wait are of sessions or servers that are under way
      if (tasks.length > 0 && lane) void this.#call(tasks, lane);
      // after the call: what a session's visitor did before is then done
      if (own) this.#own.push(own);
    }
    if (this.#idle && !this.#busy) {
      this.#idle.resolve();
      this.#idle = undefined;
    }
  }

  #laneOf(sid: string): Lane<T> {
    const server = this.target.serverOf(() => intelligenceKey(this.options.namespace, sid, ''));
    let lane = this.#lanes.get(server);
    if (!lane) {
      lane = { inFlight: 0, unsent: [], pause: undefined };
      this.#lanes.set(server, lane);
    }
    return lane;
  }

  /** The next call's messages, all to one server, up to an application's command. */
  #next(): { tasks: T[]; own: T | undefined; lane: Lane<T> | undefined } {
    let lane: Lane<T> | undefined;
    let most = MOST;
    const tasks: T[] = [];
    let own: T | undefined;
    let cost = 0;
    for (const sid of this.#queue.sessions()) {
      if (this.#sessionsInFlight.has(sid)) continue;
      const its = this.#laneOf(sid);
      if (lane ? its !== lane : its.inFlight >= IN_FLIGHT || its.pause || its.unsent.length > 0) continue;
      if (!lane) {
        lane = its;
        if (lane.inFlight === 0) most = Math.min(MOST, Math.max(HALF, Math.ceil(this.#queue.length / 2)));
      }
      for (let share = 0; share < SHARE && cost < most && !own;) {
        const task = this.#queue.shift(sid);
        if (!task) break;
        const { builtIn: command } = task;
        if (!command) own = task;
        else if (command.effect === 'reads' && task.isLate) this.#finish(task, 'late');
        else {
          tasks.push(task);
          const its = command.cost(task.payload, this.of);
          share += its;
          cost += its;
        }
      }
      this.#queue.defer(sid);
      if (cost >= most || own) break;
    }
    return { tasks, own, lane };
  }

  async #call(tasks: readonly T[], lane: Lane<T>): Promise<void> {
    lane.inFlight++;
    const started = performance.now();
    this.metrics.queueing.observe((started - (tasks[0]?.heardMs ?? started)) / 1000);
    for (const { sid } of tasks) this.#sessionsInFlight.add(sid);
    const { held, unsent } = await this.#calls.run(tasks).catch((error: unknown) => {
      for (const task of tasks) this.#finish(task, 'failed', error);
      return { held: [], unsent: [] };
    });
    // what was not sent keeps its session from going another way, where its slot has moved meanwhile
    const kept = new Set(unsent.map(({ sid }) => sid));
    for (const { sid } of tasks) if (!kept.has(sid)) this.#sessionsInFlight.delete(sid);
    this.#queue.unshift(held);
    this.metrics.processing.observe((performance.now() - started) / 1000);
    lane.unsent.push(...unsent);
    lane.inFlight--;
    // all that failed goes back at once, in its order, before anything else is sent
    if (lane.unsent.length > 0 && lane.inFlight === 0) {
      for (const { sid } of lane.unsent) this.#sessionsInFlight.delete(sid);
      this.#queue.unshift(lane.unsent);
      lane.unsent = [];
      lane.pause ??= setTimeout(() => {
        lane.pause = undefined;
        this.#pump();
      }, PAUSE_MS);
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
