import { helpOf, IntelligentSessionError, safeText } from './errors.js';

/** Codes of what is told once on the console; each has its entry in docs/errors.md. */
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
  | 'INTELLIGENT_SESSION_SHAPE'
  | 'INTELLIGENT_SESSION_MANY_INSTANCES';

/** Every line that this package writes on the console of an application goes through here: no ids, no data, no passwords. */
export function warn(code: WarningCode, message: string): void {
  // an error's message says where it is described
  const text = message.includes('docs/errors.md') ? message : `${message} (see ${helpOf(code)})`;
  process.emitWarning(safeText(text), { code });
}

const MOST_TOLD = 16;

/** Tells each thing once, and so many things at the most: names may come from outside. */
export class WarnOnce {
  readonly #told = new Set<string>();

  tell(code: WarningCode, message: string, what = message): void {
    const key = `${code} ${what}`;
    if (this.#told.has(key) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(key);
    warn(code, message);
  }

  /** A command of the application's threw, and nobody hears of it. */
  commandFailed(command: string, { name }: Error): void {
    this.tell(
      'INTELLIGENT_SESSION_COMMAND_FAILED',
      `The application's command ${shown(command)} threw an error (${name}): listen to the event "fault", or give a worker the ` +
        'option "log", to see it',
    );
  }

  /**
   * A fault that nobody listens to. Of an application's own error only the kind is told: its text may hold data. With Redis
   * away (`isReady` false) what it refuses says nothing new, and a conflict is the page's to see.
   */
  unheard(error: unknown, isReady: boolean): void {
    if (error instanceof IntelligentSessionError) {
      const ofConnection = /_(REDIS|NOT_READY)$/.test(error.code);
      if ((ofConnection && !isReady) || error.code === 'ERR_INTELLIGENT_SESSION_CONFLICT') return;
      this.tell('INTELLIGENT_SESSION_FAULT', error.message);
    } else {
      const name = error instanceof Error ? error.name : typeof error;
      const message = `a function of the application threw an error (${name}): listen to the event "fault" to see it`;
      this.tell('INTELLIGENT_SESSION_FAULT', message);
    }
  }
}

/** A name that an application gave, as a warning shows it: short, and nothing that a terminal would act on. */
export const shown = (name: string): string => JSON.stringify(name.slice(0, 64).replace(/[^\x20-\x7e]/g, '?'));
