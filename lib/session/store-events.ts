import { applicationFault, IntelligentSessionError, redisFault } from '../errors/errors.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { ApplicationError, callApplication } from './application-functions.js';
import { unreadable } from './session-codec.js';

type SessionEvent = 'created' | 'destroyed' | 'conflict' | 'refused' | 'expired';
/** What is counted, and is no event. */
type CountedOnly = 'near' | 'read' | 'absent' | 'saved' | 'touched' | 'rotated';

/** The HTTP status with which express answers to an error of the store; 503 for other codes. */
const STATUS_BY_CODE: Partial<Record<string, number>> = {
  ERR_INTELLIGENT_SESSION_CONFLICT: 409,
  ERR_INTELLIGENT_SESSION_MERGE: 500,
  ERR_INTELLIGENT_SESSION_ARGUMENT: 500,
  ERR_INTELLIGENT_SESSION_SERIALIZE: 500,
};

/** Emits a store's events, and counts what happens to its sessions, and its faults. */
export class StoreEvents {
  readonly #metrics = new Metrics();
  readonly #total = this.#metrics.counter(
    'intelligent_session_store_total',
    'What happened to sessions: read, near (read from this process), absent, created, saved, conflict, refused, …',
    ['event'],
  );
  /** The sentences that applicationMistake() has reported. */
  readonly #reported = new Set<string>();

  constructor(readonly emit: (event: string, ...args: unknown[]) => void) {}

  get registry(): PromRegistry {
    return this.#metrics.registry;
  }

  count(event: CountedOnly): void {
    this.#total.of(event).inc();
  }

  /** Counts an event, and emits it with the session's id. What a listener throws fails the operation: it is an ApplicationError. */
  sessionEvent(event: SessionEvent, sid: string): void {
    this.#total.of(event).inc();
    callApplication(() => this.emit(event, sid));
  }

  /**
   * A session has ended, or is about to. `subject`: whose data end with it; undefined where nobody's do. `visitor`: the subject,
   * a user's too, of who had the session, where that is known. For listeners that throw see sessionEvent().
   */
  ended(sid: string, subject: string | undefined, visitor?: string): void {
    callApplication(() => this.emit('ended', sid, subject, visitor));
  }

  /**
   * Emits a fault, and returns it as a page gets it: what a function of the application threw as applicationFault() gives it,
   * anything else without ids or data, and with the `status` of the response. Never throws.
   */
  fault(cause: unknown): Error {
    const error = cause instanceof ApplicationError ? applicationFault(cause.cause) : withStatus(redisFault(cause));
    this.#total.of('fault').inc();
    this.#emitFault(error);
    return error;
  }

  /** A stored session can't be read: null, since it counts as absent. */
  sessionUnreadable(): null {
    this.#total.of('unreadable').inc();
    this.#emitFault(unreadable());
    return null;
  }

  /** The application gave what can't be used, as `sentence` says: counted each time, and told as a fault once. */
  applicationMistake(sentence: string): void {
    this.#total.of('invalid').inc();
    if (this.#reported.has(sentence)) return;
    this.#reported.add(sentence);
    this.fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', `RedisSessionStore: ${sentence}`));
  }

  /** A listener that throws must not keep the caller's page from its answer: its error is an uncaught exception of the process. */
  #emitFault(error: Error): void {
    try {
      this.emit('fault', error);
    } catch (thrown) {
      process.nextTick(() => {
        throw thrown;
      });
    }
  }
}

const withStatus = (error: Error & { code?: string }): Error =>
  Object.assign(error, { status: STATUS_BY_CODE[error.code ?? ''] ?? 503 });
