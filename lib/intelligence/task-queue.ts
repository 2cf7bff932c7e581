import type { Task } from './task.js';

/**
 * Why a message was dropped. `expired`: its sender waits for the answer no longer; `no-waiter`: its sender never waited for one;
 * `full`: there was no room for it; `too-old`: it had been on its way for too long.
 */
export type Dropped = 'expired' | 'no-waiter' | 'full' | 'too-old';

/** For so long after a sweep that made no room there is no other. */
const VAIN_SWEEP_PAUSE_MS = 10;

/** The tasks of one session that wait, in their order. */
interface Waiting<T> {
  tasks: T[];
  /** the index of the first task that waits: those before it were taken */
  head: number;
  /** of the payloads that wait: a UTF-16 code unit is counted as a byte */
  bytes: number;
}

/**
 * Holds the tasks that were received and wait for their turn. Tasks of one session go in their order, and the sessions take turns, so
 * that a session that sends much keeps no other waiting. The queue is bounded by messages and by bytes of payload; one session gets at
 * most a quarter of both while others wait. At the bound the queue drops tasks whose senders wait no longer, then those whose senders
 * never waited, the oldest first, and only then the task that comes.
 */
export class TaskQueue<T extends Task> {
  /** The waiting tasks by session, in the order of the sessions' turns. */
  #sessions = new Map<string, Waiting<T>>();
  #length = 0;
  #bytes = 0;
  #lastVainSweepMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly bounds: { readonly messages: number; readonly bytes: number },
    readonly onDrop: (task: T, why: Dropped) => void,
  ) {}

  get length(): number {
    return this.#length;
  }

  push(task: T): void {
    // a stream's task is never dropped here: the stream's reader bounds how many there are
    if (!task.isInStream) {
      if (this.#isFull && task.heardMs - this.#lastVainSweepMs >= VAIN_SWEEP_PAUSE_MS) {
        this.#sweep();
        if (this.#isFull) this.#lastVainSweepMs = task.heardMs;
      }
      if (this.#isFull || this.#hasItsShare(task.sid)) return this.onDrop(task, task.isExpired ? 'expired' : 'full');
    }
    this.#add(task);
  }

  /** The sessions with waiting tasks, in the order of their turns. A session that defer() moves to the end meanwhile comes a second time. */
  sessions(): IterableIterator<string> {
    return this.#sessions.keys();
  }

  /** Gives the first task of the session `sid`, and leaves it in the queue. */
  peek(sid: string): T | undefined {
    const waiting = this.#sessions.get(sid);
    return waiting?.tasks[waiting.head];
  }

  /**
   * Takes the first task of the session `sid`; without one, of the session whose turn it is, which goes to the end of the
   * turns.
   */
  shift(sid?: string): T | undefined {
    const owner = sid ?? this.#sessions.keys().next().value;
    const waiting = owner === undefined ? undefined : this.#sessions.get(owner);
    const task = waiting?.tasks[waiting.head++];
    if (owner === undefined || !waiting || !task) return undefined;
    waiting.bytes -= task.payload.length;
    this.#length--;
    this.#bytes -= task.payload.length;
    if (waiting.head === waiting.tasks.length) this.#sessions.delete(owner);
    else if (waiting.head > 1024 && waiting.head * 2 > waiting.tasks.length) {
      waiting.tasks = waiting.tasks.slice(waiting.head);
      waiting.head = 0;
    }
    if (sid === undefined) this.defer(owner);
    return task;
  }

  /** Moves a session to the end of the turns. */
  defer(sid: string): void {
    const waiting = this.#sessions.get(sid);
    if (!waiting) return;
    this.#sessions.delete(sid);
    this.#sessions.set(sid, waiting);
  }

  /** Puts unfinished tasks back, before all other tasks of their sessions. */
  unshift(tasks: readonly T[]): void {
    for (const task of tasks.toReversed()) {
      const { sid } = task;
      const waiting = this.#sessions.get(sid);
      if (!waiting) this.#add(task);
      else {
        waiting.tasks = [task, ...waiting.tasks.slice(waiting.head)];
        waiting.head = 0;
        waiting.bytes += task.payload.length;
        this.#length++;
        this.#bytes += task.payload.length;
      }
    }
  }

  #add(task: T): void {
    const { sid } = task;
    const waiting = this.#sessions.get(sid);
    if (waiting) {
      waiting.tasks.push(task);
      waiting.bytes += task.payload.length;
    } else this.#sessions.set(sid, { tasks: [task], head: 0, bytes: task.payload.length });
    this.#length++;
    this.#bytes += task.payload.length;
  }

  get #isFull(): boolean {
    return this.#length >= this.bounds.messages || this.#bytes >= this.bounds.bytes;
  }

  /** Has the session as much as it may while others wait? */
  #hasItsShare(sid: string): boolean {
    // the usual case, told without a look-up: the whole queue holds less than one session may have
    if (this.#length * 4 < this.bounds.messages && this.#bytes * 4 < this.bounds.bytes) return false;
    const waiting = this.#sessions.size > 1 ? this.#sessions.get(sid) : undefined;
    if (!waiting) return false;
    return (waiting.tasks.length - waiting.head) * 4 >= this.bounds.messages || waiting.bytes * 4 >= this.bounds.bytes;
  }

  /** Drops tasks for whose answers nobody waits, the oldest first, until a tenth of both bounds is free. */
  #sweep(): void {
    const room = { messages: this.bounds.messages * 0.9, bytes: this.bounds.bytes * 0.9 };
    const drop = (isDroppable: (task: T) => boolean, why: Dropped) => {
      const all = Array.from(this.#sessions.values(), ({ tasks, head }) => tasks.slice(head)).flat();
      const dropped = new Set<T>();
      let [length, bytes] = [this.#length, this.#bytes];
      for (const task of all.toSorted((a, b) => a.heardMs - b.heardMs)) {
        if (length <= room.messages && bytes <= room.bytes) break;
        if (!isDroppable(task)) continue;
        dropped.add(task);
        length--;
        bytes -= task.payload.length;
      }
      if (dropped.size === 0) return;
      this.#sessions = new Map();
      [this.#length, this.#bytes] = [0, 0];
      for (const task of all) if (!dropped.has(task)) this.#add(task);
      for (const task of dropped) this.onDrop(task, why);
    };
    drop((task) => task.isExpired, 'expired');
    drop((task) => !task.awaited, 'no-waiter');
  }
}
