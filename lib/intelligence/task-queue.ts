import type { Message } from '../protocol.js';

/** Who waits for an answer in this process. */
export interface Asker {
  /** until it has its answer, or its time is up */
  readonly waits: boolean;
  /** The answer, as JSON. */
  answer(data: string): void;
}

/** A message that waits for its turn. */
export interface Job {
  readonly message: Message;
  readonly payload: string;
  /** by this process' clock */
  readonly heardMs: number;
  /** who is answered in this process, rather than by Redis */
  asker?: Asker;
  /** of a stream: which, and the entry's id */
  readonly entry?: { readonly stream: string; readonly id: string };
  /** how often it was sent in vain */
  tries?: number;
  /** has a script taken its entry off the group's list? */
  acknowledged?: boolean;
  /** of a list: its items, how far it is, what the pieces gave, and how many items the next piece has */
  list?: { readonly items: readonly string[]; done: number; readonly parts: string[]; piece: number };
}

/**
 * Why a message was dropped: nobody waits any longer, nobody ever did, there is no room for one more, or it lay in its stream
 * for too long.
 */
export type Dropped = 'late' | 'unawaited' | 'full' | 'expired';

/** A sweep that made no room is not tried again for so long. */
const IN_VAIN_MS = 10;

/** What waits of one session, in order. */
interface Waiting {
  jobs: Job[];
  head: number;
  bytes: number;
}

/**
 * What was heard and not yet worked on: each session's in order, and the sessions in turn, so that one that sends much keeps
 * nobody else waiting. Bounded by messages and by bytes of payload, and one session by a quarter of both where others wait. At
 * the bound it drops what nobody waits for any longer, then what nobody ever waited for, oldest first, and only then what comes.
 */
export class Queue {
  /** by session, whose turn is next first */
  #sessions = new Map<string, Waiting>();
  #length = 0;
  #bytes = 0;
  #inVainMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly bounds: { readonly messages: number; readonly bytes: number },
    readonly isLate: (job: Job) => boolean,
    readonly onDrop: (job: Job, why: Dropped) => void,
  ) {}

  get length(): number {
    return this.#length;
  }

  push(job: Job): void {
    // what a stream has given out is bounded where it is read, and never dropped
    if (!job.entry) {
      if (this.#isFull && job.heardMs - this.#inVainMs >= IN_VAIN_MS) {
        this.#sweep();
        if (this.#isFull) this.#inVainMs = job.heardMs;
      }
      if (this.#isFull || this.#hasShare(job.message.sid)) return this.onDrop(job, this.isLate(job) ? 'late' : 'full');
    }
    this.#add(job);
  }

  /** The sessions that wait, whose turn is next first; one that defer() puts behind the others comes once more. */
  sessions(): IterableIterator<string> {
    return this.#sessions.keys();
  }

  /** Takes the first one of a session; by default of the one whose turn it is, whose next turn comes after the others'. */
  shift(sid?: string): Job | undefined {
    const whose = sid ?? this.#sessions.keys().next().value;
    const waiting = whose === undefined ? undefined : this.#sessions.get(whose);
    const job = waiting?.jobs[waiting.head++];
    if (whose === undefined || !waiting || !job) return undefined;
    waiting.bytes -= job.payload.length;
    this.#length--;
    this.#bytes -= job.payload.length;
    if (waiting.head === waiting.jobs.length) this.#sessions.delete(whose);
    else if (waiting.head > 1024 && waiting.head * 2 > waiting.jobs.length) {
      waiting.jobs = waiting.jobs.slice(waiting.head);
      waiting.head = 0;
    }
    if (sid === undefined) this.defer(whose);
    return job;
  }

  /** What waits of a session comes after all others. */
  defer(sid: string): void {
    const waiting = this.#sessions.get(sid);
    if (!waiting) return;
    this.#sessions.delete(sid);
    this.#sessions.set(sid, waiting);
  }

  /** Puts back what is not finished, before all others of its session. */
  unshift(jobs: readonly Job[]): void {
    for (const job of jobs.toReversed()) {
      const { sid } = job.message;
      const waiting = this.#sessions.get(sid);
      if (!waiting) this.#add(job);
      else {
        waiting.jobs = [job, ...waiting.jobs.slice(waiting.head)];
        waiting.head = 0;
        waiting.bytes += job.payload.length;
        this.#length++;
        this.#bytes += job.payload.length;
      }
    }
  }

  #add(job: Job): void {
    const { sid } = job.message;
    const waiting = this.#sessions.get(sid);
    if (waiting) {
      waiting.jobs.push(job);
      waiting.bytes += job.payload.length;
    } else this.#sessions.set(sid, { jobs: [job], head: 0, bytes: job.payload.length });
    this.#length++;
    this.#bytes += job.payload.length;
  }

  get #isFull(): boolean {
    return this.#length >= this.bounds.messages || this.#bytes >= this.bounds.bytes;
  }

  #hasShare(sid: string): boolean {
    const waiting = this.#sessions.size > 1 ? this.#sessions.get(sid) : undefined;
    if (!waiting) return false;
    return (waiting.jobs.length - waiting.head) * 4 >= this.bounds.messages || waiting.bytes * 4 >= this.bounds.bytes;
  }

  /** Makes room for a tenth more, as far as there is something that nobody waits for. */
  #sweep(): void {
    const room = { messages: this.bounds.messages * 0.9, bytes: this.bounds.bytes * 0.9 };
    const drop = (which: (job: Job) => boolean, why: Dropped) => {
      const all = Array.from(this.#sessions.values(), ({ jobs, head }) => jobs.slice(head)).flat();
      const gone = new Set<Job>();
      let [length, bytes] = [this.#length, this.#bytes];
      for (const job of all.toSorted((a, b) => a.heardMs - b.heardMs)) {
        if (length <= room.messages && bytes <= room.bytes) break;
        if (!which(job)) continue;
        gone.add(job);
        length--;
        bytes -= job.payload.length;
      }
      if (gone.size === 0) return;
      this.#sessions = new Map();
      [this.#length, this.#bytes] = [0, 0];
      for (const job of all) if (!gone.has(job)) this.#add(job);
      for (const job of gone) this.onDrop(job, why);
    };
    drop(this.isLate, 'late');
    drop(({ message }) => message.request.inbox === '', 'unawaited');
  }
}
