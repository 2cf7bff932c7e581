import type { CommandContext, CommandDescriptor } from './command/descriptor.js';
import { builtIn } from './commands.js';

/** What became of a message; `gone`: its subject has ended. */
export type Outcome = 'done' | 'duplicate' | 'gone' | 'failed';

/** Is told what became of a task's message, and of a fault that it met. */
export type OnOutcome<T extends Task> = (task: T, outcome: Outcome, fault?: unknown) => void;

/** How far a list has been looked up, piece by piece. */
export interface ListProgress {
  readonly items: readonly string[];
  /** how many items were looked up */
  done: number;
  /** the answers to these */
  readonly parts: string[];
  /** how many items the next piece has at most */
  piece: number;
}

/** A message that waits for its turn, and then for its answer. */
export abstract class Task {
  /** The descriptor of a built-in command; undefined for one of the application's own. */
  readonly builtIn: CommandDescriptor | undefined;
  /** How many calls with the task have failed. */
  attempts = 0;
  list: ListProgress | undefined;
  /** Is its message to give all keys of the subject? Then the script never asks for it to be sent again with them. */
  givesAllKeys = false;
  /** The subject of the user, where the visitor has logged in since the message was sent: the task is worked on for that user. */
  movedTo: string | undefined;

  constructor(
    readonly command: string,
    /** a session's id, or another subject */
    readonly sid: string,
    /** unique to the request */
    readonly id: string,
    readonly payload: string,
    /** of the session's data, from now on */
    readonly ttlSeconds: number,
    /** When the message was heard, by performance.now(); for a stream's entry, when it was added to the stream. */
    readonly heardMs: number,
    /** Is the message about an anonymous visitor, whose data may be carried over to a user? */
    readonly isAnonymous = false,
  ) {
    this.builtIn = builtIn.get(command);
  }

  /** The subject whose data the task is about. */
  get subject(): string {
    return this.movedTo ?? this.sid;
  }

  /** Did somebody ask for an answer? */
  abstract readonly awaited: boolean;
  /** Has the sender who asked for an answer stopped waiting? */
  abstract readonly isExpired: boolean;

  /**
   * Has the message been on its way for so long that the mark of a subject that has ended may be gone again? Then nobody is to work
   * on it, since it would bring back what was erased. It is asked when the message comes, and again after it has waited.
   */
  isTooOld({ messageAgeMs }: Pick<CommandContext, 'messageAgeMs'>): boolean {
    return performance.now() - this.heardMs > messageAgeMs;
  }

  /** The earliest time at which the message can have been sent: ms since 1970 by Redis' clock. */
  get sentMs(): number | undefined {
    return undefined;
  }

  /** Is it a stream's message, which stays there until it is finished? Then the queue neither bounds nor drops it. */
  get isInStream(): boolean {
    return false;
  }

  /** Sends the answer, as JSON, to the sender who asked for it. */
  abstract answer(json: string): void;
  /** Tells the sender who asked for an answer that there is none, and why. */
  abstract refuse(why: string): void;
}
