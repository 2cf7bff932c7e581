import type { Debugger } from 'debug';
import { IntelligentSessionError, redisFault } from '../errors/errors.js';
import { CommandCounter } from '../intelligence/command-counter.js';
import type { Metrics } from '../metrics/metrics.js';
import { MAX_ID_LENGTH } from '../redis/keys.js';
import type { Answer, DegradedReason } from './executor.js';
import type { ExecutorEmitter } from './executor-emitter.js';

/** Counts what became of requests, and tells what went unanswered by events and by `debug`. */
export class Outcomes {
  readonly #counts: CommandCounter;

  constructor(
    readonly events: ExecutorEmitter,
    metrics: Metrics,
    readonly log: Debugger,
  ) {
    this.#counts = new CommandCounter(
      'intelligent_session_requests_total',
      'Requests by command and result (sent, answered, or why not)',
      metrics,
    );
  }

  count(command: string, result: string): void {
    this.#counts.inc(command, result);
  }

  answered(command: string, data: unknown): Answer {
    this.count(command, 'answered');
    return { answered: true, data };
  }

  /** Without a `cause` the event `fault` tells nothing: there is nothing to say but the reason. */
  unanswered(command: string, reason: DegradedReason, cause?: unknown): Answer {
    const error = cause === undefined ? undefined : redisFault(cause);
    this.#degraded(command, reason);
    if (error) this.events.emit('fault', error);
    return { answered: false, reason, error };
  }

  /** The command failed, and the event `fault` has told why. */
  failed(command: string, error: Error | undefined): Answer {
    this.#degraded(command, 'failed');
    return { answered: false, reason: 'failed', error };
  }

  /** An application's own genid() may make ids that can't be sent. The page is not to blame, so nothing is thrown. */
  unsendable(command: string): Answer {
    const message = `A session id has 1 to ${MAX_ID_LENGTH} characters`;
    const error = new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', message);
    this.events.emit('fault', error);
    this.#degraded(command, 'session-id');
    return { answered: false, reason: 'session-id', error };
  }

  #degraded(command: string, reason: DegradedReason): void {
    this.count(command, reason);
    this.log('%s: %s', command, reason);
    this.events.emit('degraded', command, reason);
  }
}
