import { Task } from '../intelligence/task.js';
import type { Answer, Message } from './executor.js';

/** Who has sent a message: somebody who waits for its answer until `dueMs`, or nobody, and then what is to be told of its end. */
type Sender =
  | { readonly answered: (answer: Answer) => void; readonly dueMs: number }
  | { readonly finished: (result: 'sent' | 'shed' | 'failed') => void };

/** A message of this process. Who asked for its answer waits here until it is there, or the time is up. */
export class LocalTask extends Task {
  readonly awaited: boolean;
  /** Until when somebody waits, by the loop's clock. */
  readonly dueMs: number;
  readonly finished: ((result: 'sent' | 'shed' | 'failed') => void) | undefined;
  /** What kept it from its answer. */
  error: Error | undefined;
  /** Who waits; undefined: nobody, or not any longer. */
  #answered: ((answer: Answer) => void) | undefined;

  constructor(
    readonly message: Message,
    id: string,
    sender: Sender,
  ) {
    const { command, sid, payload, ttlSeconds, isAnonymous } = message;
    super(command, sid, id, payload, ttlSeconds, performance.now(), isAnonymous);
    this.awaited = 'answered' in sender;
    this.dueMs = 'answered' in sender ? sender.dueMs : Number.POSITIVE_INFINITY;
    this.finished = 'finished' in sender ? sender.finished : undefined;
    this.#answered = 'answered' in sender ? sender.answered : undefined;
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

  /** Why there is no answer is told by the executor, which hears how the task has ended. */
  refuse(): void {}

  /** Gives the answer to who waits, the first one only. */
  end(answer: Answer): void {
    this.#answered?.(answer);
    this.#answered = undefined;
  }
}
