import { IntelligentSessionError } from '../lib/errors/errors.js';
import { shown } from '../lib/errors/warnings.js';
import type { DegradedReason } from '../lib/serving/executor.js';

/**
 * Why `ask()` had no answer: a reason of the event `degraded`; `no-session`, the request has no session, since the store is
 * away or the cookie has another path, or `sessions.of()` found none; `no-consent`, the visitor does not consent; or
 * `untracked`, the visitor is a declared bot, or the session is not stored.
 */
export type UnansweredReason = DegradedReason | 'no-session' | 'no-consent' | 'untracked';

/** What became of a request. `data` is what the command answered, null where it gave nothing. */
export type AskResult =
  | { readonly answered: true; readonly data: unknown }
  | {
      readonly answered: false;
      readonly reason: UnansweredReason;
      /** What went wrong, where more is known than the reason: with `failed`, what kept the command from its answer. */
      readonly error?: Error | undefined;
    };

export interface AskOptions {
  /** How many ms the answer is waited for, on top of the way to Redis and back. @default the option `timeout`: 100 */
  readonly timeout?: number | undefined;
  /**
   * What `ask()` gives where there is no answer: undefined, or a promise that rejects with an UnansweredError.
   * @default 'undefined'
   */
  readonly onUnanswered?: 'undefined' | 'reject' | undefined;
}

/** `ask()` with `onUnanswered: 'reject'` had no answer. */
export class UnansweredError extends IntelligentSessionError {
  override readonly name = 'UnansweredError';
  /** The status of the response, for Express' error handlers. */
  readonly status = 503;
  readonly reason: UnansweredReason;

  constructor(command: string, { reason, error }: Exclude<AskResult, { answered: true }>) {
    super('ERR_INTELLIGENT_SESSION_UNANSWERED', `ask(${shown(command)}) was not answered: ${reason}`);
    this.reason = reason;
    if (error) this.cause = error;
  }
}
