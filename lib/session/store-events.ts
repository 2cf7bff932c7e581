import { applicationFault, IntelligentSessionError, redisFault } from '../errors/errors.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { ApplicationError, callApplication } from './application-functions.js';
import { unreadable } from './session-codec.js';

type SessionEvent = 'created' | 'destroyed' | 'conflict' | 'refused' | 'expired';
type Counted = 'near' | 'read' | 'absent' | 'saved' | 'touched' | 'rotated';

/** The HTTP status with which express answers to an error of the store; 503 for other codes. */
const STATUS_BY_CODE: Partial<Record<string, number>> = {
  ERR_INTELLIGENT_SESSION_CONFLICT: 409,
  ERR_INTELLIGENT_SESSION_MERGE: 500,
  ERR_INTELLIGENT_SESSION_ARGUMENT: 500,
  ERR_INTELLIGENT_SESSION_SERIALIZE: 500,
};

/** What a store tells of its sessions and of its faults: the events that it emits, and how often each has happened. */
export class StoreEvents {
  readonly #metrics = new Metrics();
  readonly #total = this.#metrics.counter(
    'intelligent_session_store_total',
    'What happened to sessions: read, near (read from this process), absent, created, saved, conflict, refused, …',
    ['event'],
  );
  readonly #reportedMistakes = new Set<string>();

  constructor(readonly emit: (event: string, ...args: unknown[]) => void) {}

  get registry(): PromRegistry {
    return this.#metrics.registry;
  }

  count(event: Counted): void {
    this.#total.of(event).inc();
  }

  /** Emits an event with the session's id. A listener that throws fails the operation that emits it. */
  session(event: SessionEvent, sid: string): void {
    this.#total.of(event).inc();
    callApplication(() => this.emit(event, sid));
  }

  /**
   * The session has ended, or is about to, and with it what is known of `subject`. `visitor` is the subject, a user's too, of
   * whoever had the session, where that is known.
   */
  ended(sid: string, subject: string | undefined, visitor?: string): void {
    callApplication(() => this.emit('ended', sid, subject, visitor));
  }

  /**
   * Emits a fault, and returns it as a page gets it: with the `status` of the response, and without ids or data. An error
   * that a function of the application threw stays as it is.
   */
  fault(cause: unknown): Error {
    const error = cause instanceof ApplicationError ? applicationFault(cause.cause) : withStatus(redisFault(cause));
    this.#total.of('fault').inc();
    this.emit('fault', error);
    return error;
  }

  /** A stored session can't be read, and counts as absent. */
  unreadable(): null {
    this.#total.of('unreadable').inc();
    this.emit('fault', unreadable());
    return null;
  }

  /** A function or a cookie of the application gave what can't be used: counted each time, and told as a fault once. */
  applicationMistake(what: string): void {
    this.#total.of('invalid').inc();
    if (this.#reportedMistakes.has(what)) return;
    this.#reportedMistakes.add(what);
    this.fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', `RedisSessionStore: ${what}`));
  }
}

const withStatus = (error: Error & { code?: string }): Error =>
  Object.assign(error, { status: STATUS_BY_CODE[error.code ?? ''] ?? 503 });
