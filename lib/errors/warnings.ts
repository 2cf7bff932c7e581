import { helpOf, IntelligentSessionError, safeText } from './errors.js';

/** The codes of warnings; each has its entry in docs/errors.md. */
export type WarningCode =
  | 'INTELLIGENT_SESSION_REDIS_AWAY'
  | 'INTELLIGENT_SESSION_REDIS_BACK'
  | 'INTELLIGENT_SESSION_FAULT'
  | 'INTELLIGENT_SESSION_NO_WORKER'
  | 'INTELLIGENT_SESSION_NO_ANSWER'
  | 'INTELLIGENT_SESSION_UNKNOWN_COMMAND'
  | 'INTELLIGENT_SESSION_COMMAND_FAILED'
  | 'INTELLIGENT_SESSION_NO_SECRET'
  | 'INTELLIGENT_SESSION_SHORT_SECRET'
  | 'INTELLIGENT_SESSION_SECURE_COOKIE'
  | 'INTELLIGENT_SESSION_USERS_GUESSABLE'
  | 'INTELLIGENT_SESSION_SHAPE'
  | 'INTELLIGENT_SESSION_LIVE_FULL'
  | 'INTELLIGENT_SESSION_MANY_INSTANCES';

/** Every line that this package writes on an application's console goes through here. `message` has no ids and no data. */
export function warn(code: WarningCode, message: string): void {
  // the message of an IntelligentSessionError already says where its code is described
  const text = message.includes('docs/errors.md') ? message : `${message} (see ${helpOf(code)})`;
  process.emitWarning(safeText(text), { code });
}

/** The most warnings of one WarnOnce: the names in them may come from outside, and nobody would read more. */
const MAX_WARNINGS = 16;
/** With this an established connection breaks. A connection that does not come about has another text. */
const BREAK = /^Redis: (nothing was received for|(read|write) E[A-Z]+)/;
/** Without the right to SELECT no connection comes about, so that is a reason for being away. */
const MISSING_RIGHT = /^Redis: NOPERM(?!.*'select' command)/;

/** Gives each warning once for each object of this class, and MAX_WARNINGS at most. */
export class WarnOnce {
  readonly #given = new Set<string>();

  /** Other messages with the same code and `about` are not given. */
  warn(code: WarningCode, message: string, about = message): void {
    const key = `${code} ${about}`;
    if (this.#given.has(key) || this.#given.size >= MAX_WARNINGS) return;
    this.#given.add(key);
    warn(code, message);
  }

  /** A command of the application threw, and nobody listens to `fault`. */
  commandFailed(command: string, { name }: Error): void {
    this.warn(
      'INTELLIGENT_SESSION_COMMAND_FAILED',
      `The application's command ${shown(command)} threw an error (${name}): listen to the event "fault", or give a worker the ` +
        'option "log", to see it',
    );
  }

  /**
   * A fault, where nobody listens to `fault`. Texts that differ in numbers alone are one kind, as the slots of MOVED. Of an
   * application's own error only its `name` is told, since its text may hold data. `isReady`: is the owner's first connection ready?
   */
  unheard(error: unknown, isReady: boolean): void {
    if (error instanceof IntelligentSessionError) {
      if (isToldElsewhere(error, isReady)) return;
      this.warn('INTELLIGENT_SESSION_FAULT', error.message, error.message.replace(/\d+/g, '0'));
    } else {
      const name = error instanceof Error ? error.name : typeof error;
      const message = `a function of the application threw an error (${name}): listen to the event "fault" to see it`;
      this.warn('INTELLIGENT_SESSION_FAULT', message);
    }
  }
}

/**
 * While Redis is away, which has a warning of its own, nothing that Redis refuses has one besides. That a right is missing is told all
 * the same, since another connection may be ready before the owner's first. A connection breaks before it counts as away. Of a conflict
 * whoever saves hears, by the rejection.
 */
function isToldElsewhere({ code, message }: IntelligentSessionError, isReady: boolean): boolean {
  if (code === 'ERR_INTELLIGENT_SESSION_CONFLICT') return true;
  const isOfRedis = code === 'ERR_INTELLIGENT_SESSION_REDIS' || code === 'ERR_INTELLIGENT_SESSION_NOT_READY';
  return isOfRedis && (isReady ? BREAK.test(message) : !MISSING_RIGHT.test(message));
}

/** A name that an application gave, as a warning shows it: shortened, and without what a terminal would act on. */
export const shown = (name: string): string => JSON.stringify(name.slice(0, 64).replace(/[^\x20-\x7e]/g, '?'));
