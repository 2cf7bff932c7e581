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
  /** what the pieces gave */
  readonly parts: string[];
  /** how many items the next piece has at most */
  piece: number;
}

/** A message that waits for its turn, and then for its answer. */
export abstract class Task {
  /** undefined: an application's own command */
  readonly builtIn: CommandDescriptor | undefined;
  /** how often it was sent in vain */
  attempts = 0;
  list: ListProgress | undefined;
  /** The visitor has logged in since it was sent: it is worked on for this user. */
  movedTo: string | undefined;

  constructor(
    readonly command: string,
    readonly sid: string,
    /** unique to the request */
    readonly id: string,
    readonly payload: string,
    readonly ttlSeconds: number,
    /** When it was heard, by performance.now(); or when it was added, where it was kept for a while before. */
    readonly heardMs: number,
    /** Is it an anonymous visitor's, of whom something may be carried to a user? */
    readonly isAnonymous = false,
  ) {
    this.builtIn = builtIn.get(command);
  }

  /** Whose data it is about. */
  get subject(): string {
    return this.movedTo ?? this.sid;
  }

  /** Did somebody ask for an answer? */
  abstract readonly awaited: boolean;
  /** Who asked for an answer waits no longer. */
  abstract readonly isExpired: boolean;

  /** It was kept for so long before it was heard that it is not worked on. */
  get isTooOld(): boolean {
    return false;
  }

  /** When it was sent, at the earliest: ms since 1970 by Redis' clock. */
  get sentMs(): number | undefined {
    return undefined;
  }

  /** Can it be had again from where it came, so that it is neither bounded here nor given up? */
  get isKept(): boolean {
    return false;
  }

  /** Gives the answer, as JSON, to who asked for it. */
  abstract answer(json: string): void;
  /** Tells who asked for an answer that there is none, and why. */
  abstract refuse(why: string): void;
}
