import { Task } from '../intelligence/task.js';
import type { Answer, Message } from './executor.js';

/** Who is told of a task's end: somebody who waits for its answer until `dueMs`, or else `finished`, since nobody waits. */
export type TaskEnding =
  | { readonly answered: (answer: Answer) => void; readonly dueMs: number }
  | { readonly finished: (result: 'sent' | 'shed' | 'failed') => void };

/** A message that this process both sends and carries out. */
export class LocalTask extends Task {
  readonly awaited: boolean;
  /** Until when somebody waits, by the loop's clock; infinite where nobody does. */
  readonly dueMs: number;
  /** Undefined where somebody waits. */
  readonly finished: ((result: 'sent' | 'shed' | 'failed') => void) | undefined;
  /** Why the command failed. */
  error: Error | undefined;
  /** Gives the answer to whoever waits; undefined where nobody does, or no longer. */
  #answered: ((answer: Answer) => void) | undefined;

  constructor(
    readonly message: Message,
    id: string,
    ending: TaskEnding,
  ) {
    const { command, sid, payload, ttlSeconds, isAnonymous } = message;
    super(command, sid, id, payload, ttlSeconds, performance.now(), isAnonymous);
    this.awaited = 'answered' in ending;
    this.dueMs = 'answered' in ending ? ending.dueMs : Number.POSITIVE_INFINITY;
    this.finished = 'finished' in ending ? ending.finished : undefined;
    this.#answered = 'answered' in ending ? ending.answered : undefined;
  }

  get isExpired(): boolean {
    return this.awaited && this.#answered === undefined;
  }

  override get sentMs(): number | undefined {
    return this.message.sentMs;
  }

  answer(json: string): void {
    this.end({ answered: true, data: JSON.parse(json) });
  }

  /** Does nothing: the executor hears how the task has ended, and tells why there is no answer. */
  refuse(): void {}

  /** Gives the answer to whoever waits. Only the first call does so. */
  end(answer: Answer): void {
    this.#answered?.(answer);
    this.#answered = undefined;
  }
}
