import type { CommandDescriptor } from './command/descriptor.js';
import { builtIn } from './commands.js';

/** What became of a message. */
export type Outcome = 'done' | 'duplicate' | 'gone' | 'failed';

/** Is told what became of a task's message, and of a fault that it met. */
export type OnOutcome<T extends Task> = (task: T, outcome: Outcome, fault?: unknown) => void;

/** How far a list is: looked up in pieces. */
export interface ListProgress {
  readonly items: readonly string[];
  done: number;
  /** The answers of the pieces so far. */
  readonly parts: string[];
  /** How many items the next piece has at most. */
  piece: number;
}

/** A message that waits for its turn, and then for its answer. */
export abstract class Task {
  /** The descriptor of a built-in command; undefined for one of the application's own. */
  readonly builtIn: CommandDescriptor | undefined;
  /** How often the task was sent to Redis without success. */
  attempts = 0;
  list: ListProgress | undefined;
  /** Do its messages give all keys of their subject, so that it is surely worked on in the call that it is in? */
  givesAllKeys = false;
  /** The subject of the user, where the visitor has logged in since the message was sent: the task is worked on for that user. */
  movedTo: string | undefined;

  constructor(
    readonly command: string,
    readonly sid: string,
    /** unique to the request */
    readonly id: string,
    readonly payload: string,
    readonly ttlSeconds: number,
    /** When the message was received, by performance.now(); for a stream's entry, when it was added to the stream. */
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

  /** Was the message kept for so long before it was read that nobody is to work on it? */
  get isTooOld(): boolean {
    return false;
  }

  /** The earliest time at which the message can have been sent: ms since 1970 by Redis' clock. */
  get sentMs(): number | undefined {
    return undefined;
  }

  /** Does its source keep the message until it is finished? Then this process neither bounds nor drops it. */
  get isKept(): boolean {
    return false;
  }

  /** Sends the answer, as JSON, to the sender who asked for it. */
  abstract answer(json: string): void;
  /** Tells the sender who asked for an answer that there is none, and why. */
  abstract refuse(why: string): void;
}
