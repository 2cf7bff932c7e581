import type { Message } from '../protocol.js';

/** A message that waits for its turn. */
export interface Job {
  readonly message: Message;
  readonly payload: string;
  /** by this process' clock */
  readonly heardMs: number;
  /** of a stream: which, and the entry's id */
  readonly entry?: { readonly stream: string; readonly id: string };
  /** how often it was sent in vain */
  tries?: number;
  /** has a script taken its entry off the group's list? */
  acknowledged?: boolean;
}

/**
 * Why a message was dropped: nobody waits any longer, nobody ever did, there is no room for one more, or it lay in its stream
 * for too long.
 */
export type Dropped = 'late' | 'unawaited' | 'full' | 'expired';

/** A sweep that made no room is not tried again for so long. */
const IN_VAIN_MS = 10;

/**
 * What was heard and not yet worked on, in order; bounded by messages and by bytes of payload. At the bound it drops what
 * nobody waits for any longer, then what nobody ever waited for, oldest first, and only then what comes.
 */
export class Queue {
  #jobs: (Job | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #inVainMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly bounds: { readonly messages: number; readonly bytes: number },
    readonly isLate: (job: Job) => boolean,
    readonly onDrop: (job: Job, why: Dropped) => void,
  ) {}

  get length(): number {
    return this.#jobs.length - this.#head;
  }

  push(job: Job): void {
    // what a stream has given out is bounded where it is read, and never dropped
    if (!job.entry && this.#isFull && job.heardMs - this.#inVainMs >= IN_VAIN_MS) {
      this.#sweep();
      if (this.#isFull) this.#inVainMs = job.heardMs;
    }
    if (!job.entry && this.#isFull) return this.onDrop(job, 'full');
    this.#bytes += job.payload.length;
    this.#jobs.push(job);
  }

  /** Takes the first one. */
  shift(): Job | undefined {
    const job = this.#jobs[this.#head];
    if (!job) return undefined;
    this.#jobs[this.#head++] = undefined;
    this.#bytes -= job.payload.length;
    if (this.#head === this.#jobs.length) this.#replace([]);
    else if (this.#head > 1024 && this.#head * 2 > this.#jobs.length) this.#replace(this.#jobs.slice(this.#head));
    return job;
  }

  /** Puts back what could not be sent, before all others. */
  unshift(jobs: readonly Job[]): void {
    for (const { payload } of jobs) this.#bytes += payload.length;
    this.#replace([...jobs, ...this.#jobs.slice(this.#head)]);
  }

  get #isFull(): boolean {
    return this.length >= this.bounds.messages || this.#bytes >= this.bounds.bytes;
  }

  /** Makes room for a tenth more, as far as there is something that nobody waits for. */
  #sweep(): void {
    const room = { messages: this.bounds.messages * 0.9, bytes: this.bounds.bytes * 0.9 };
    const drop = (which: (job: Job) => boolean, why: Dropped) => {
      let { length } = this;
      const kept: Job[] = [];
      for (const job of this.#jobs.slice(this.#head) as Job[]) {
        if ((length > room.messages || this.#bytes > room.bytes) && which(job)) {
          length--;
          this.#bytes -= job.payload.length;
          this.onDrop(job, why);
        } else kept.push(job);
      }
      this.#replace(kept);
    };
    drop(this.isLate, 'late');
    drop(({ message }) => message.request.inbox === '', 'unawaited');
  }

  #replace(jobs: (Job | undefined)[]): void {
    this.#jobs = jobs;
    this.#head = 0;
  }
}
