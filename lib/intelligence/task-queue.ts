import type { Task } from './task.js';

/**
 * Why a message was dropped: who waited for it waits no longer, nobody ever waited, there was no room for it, or it had been kept
 * for too long before it was heard.
 */
export type Dropped = 'expired' | 'no-waiter' | 'full' | 'too-old';

/** A sweep that made no room is not tried again for so long. */
const IN_VAIN_MS = 10;

/** What waits of one session, in order. */
interface Waiting<T> {
  tasks: T[];
  head: number;
  bytes: number;
}

/**
 * What was heard and not yet worked on: each session's in order, and the sessions in turn, so that one that sends much keeps
 * nobody else waiting. Bounded by messages and by bytes of payload, and one session by a quarter of both where others wait. At
 * the bound it drops what nobody waits for any longer, then what nobody ever waited for, oldest first, and only then what comes.
 */
export class TaskQueue<T extends Task> {
  /** by session, whose turn is next first */
  #sessions = new Map<string, Waiting<T>>();
  #length = 0;
  #bytes = 0;
  #inVainMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly bounds: { readonly messages: number; readonly bytes: number },
    readonly onDrop: (task: T, why: Dropped) => void,
  ) {}

  get length(): number {
    return this.#length;
  }

  push(task: T): void {
    // what is kept elsewhere, too, is bounded where it is read, and never dropped
    if (!task.isKept) {
      if (this.#isFull && task.heardMs - this.#inVainMs >= IN_VAIN_MS) {
        this.#sweep();
        if (this.#isFull) this.#inVainMs = task.heardMs;
      }
      if (this.#isFull || this.#hasShare(task.sid)) return this.onDrop(task, task.isExpired ? 'expired' : 'full');
    }
    this.#add(task);
  }

  /** The sessions that wait, whose turn is next first; one that defer() puts behind the others comes once more. */
  sessions(): IterableIterator<string> {
    return this.#sessions.keys();
  }

  /** Takes the first one of a session; by default of the one whose turn it is, whose next turn comes after the others'. */
  shift(sid?: string): T | undefined {
    const whose = sid ?? this.#sessions.keys().next().value;
    const waiting = whose === undefined ? undefined : this.#sessions.get(whose);
    const task = waiting?.tasks[waiting.head++];
    if (whose === undefined || !waiting || !task) return undefined;
    waiting.bytes -= task.payload.length;
    this.#length--;
    this.#bytes -= task.payload.length;
    if (waiting.head === waiting.tasks.length) this.#sessions.delete(whose);
    else if (waiting.head > 1024 && waiting.head * 2 > waiting.tasks.length) {
      waiting.tasks = waiting.tasks.slice(waiting.head);
      waiting.head = 0;
    }
    if (sid === undefined) this.defer(whose);
    return task;
  }

  /** What waits of a session comes after all others. */
  defer(sid: string): void {
    const waiting = this.#sessions.get(sid);
    if (!waiting) return;
    this.#sessions.delete(sid);
    this.#sessions.set(sid, waiting);
  }

  /** Puts back what is not finished, before all others of its session. */
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

  #hasShare(sid: string): boolean {
    // mostly far less waits in all
    if (this.#length * 4 < this.bounds.messages && this.#bytes * 4 < this.bounds.bytes) return false;
    const waiting = this.#sessions.size > 1 ? this.#sessions.get(sid) : undefined;
    if (!waiting) return false;
    return (waiting.tasks.length - waiting.head) * 4 >= this.bounds.messages || waiting.bytes * 4 >= this.bounds.bytes;
  }

  /** Makes room for a tenth more, as far as there is something that nobody waits for. */
  #sweep(): void {
    const room = { messages: this.bounds.messages * 0.9, bytes: this.bounds.bytes * 0.9 };
    const drop = (which: (task: T) => boolean, why: Dropped) => {
      const all = Array.from(this.#sessions.values(), ({ tasks, head }) => tasks.slice(head)).flat();
      const gone = new Set<T>();
      let [length, bytes] = [this.#length, this.#bytes];
      for (const task of all.toSorted((a, b) => a.heardMs - b.heardMs)) {
        if (length <= room.messages && bytes <= room.bytes) break;
        if (!which(task)) continue;
        gone.add(task);
        length--;
        bytes -= task.payload.length;
      }
      if (gone.size === 0) return;
      this.#sessions = new Map();
      [this.#length, this.#bytes] = [0, 0];
      for (const task of all) if (!gone.has(task)) this.#add(task);
      for (const task of gone) this.onDrop(task, why);
    };
    drop((task) => task.isExpired, 'expired');
    drop((task) => !task.awaited, 'no-waiter');
  }
}
