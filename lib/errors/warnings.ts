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

/** The most warnings of one WarnOnce: nobody would read more. */
const MAX_WARNINGS = 16;

/** Gives each warning once, and MAX_WARNINGS at most, since the names in them may come from outside. */
export class WarnOnce {
  readonly #given = new Set<string>();

  /** `subject` is what the warning is about: other messages with the same code and subject are not given. */
  warn(code: WarningCode, message: string, subject = message): void {
    const key = `${code} ${subject}`;
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
   * A fault, where nobody listens to `fault`. Of an application's own error only the class is named, since its text may hold
   * data. While Redis is away (not `isReady`), which has a warning of its own, the connection's faults get none. That a right is missing is
   * told all the same, since another connection may be ready before this one; but the right to SELECT, without which none is. Conflicts get
   * none, since the page sees them.
   */
  unheard(error: unknown, isReady: boolean): void {
    if (error instanceof IntelligentSessionError) {
      const isConnectionFault = /_(REDIS|NOT_READY)$/.test(error.code);
      const isMissingRight = /^Redis: NOPERM(?!.*'select' command)/.test(error.message);
      if ((isConnectionFault && !isReady && !isMissingRight) || error.code === 'ERR_INTELLIGENT_SESSION_CONFLICT')
        return;
      this.warn('INTELLIGENT_SESSION_FAULT', error.message);
    } else {
      const name = error instanceof Error ? error.name : typeof error;
      const message = `a function of the application threw an error (${name}): listen to the event "fault" to see it`;
      this.warn('INTELLIGENT_SESSION_FAULT', message);
    }
  }
}

/** A name that an application gave, as a warning shows it: shortened, and without what a terminal would act on. */
export const shown = (name: string): string => JSON.stringify(name.slice(0, 64).replace(/[^\x20-\x7e]/g, '?'));
