/** Where a code is described; the file is part of the package. */
export const helpOf = (code: string): string => `docs/errors.md#${code.toLowerCase()}`;

/** Stable codes; each has its entry in docs/errors.md. */
export type ErrorCode =
  | 'ERR_INTELLIGENT_SESSION_OPTION'
  | 'ERR_INTELLIGENT_SESSION_ARGUMENT'
  | 'ERR_INTELLIGENT_SESSION_SECRET'
  | 'ERR_INTELLIGENT_SESSION_REDIS'
  | 'ERR_INTELLIGENT_SESSION_NOT_READY'
  | 'ERR_INTELLIGENT_SESSION_MESSAGE'
  | 'ERR_INTELLIGENT_SESSION_COMMAND'
  | 'ERR_INTELLIGENT_SESSION_ORDER'
  | 'ERR_INTELLIGENT_SESSION_BLOOM'
  | 'ERR_INTELLIGENT_SESSION_CONFLICT'
  | 'ERR_INTELLIGENT_SESSION_UNREADABLE'
  | 'ERR_INTELLIGENT_SESSION_SERIALIZE';

/** An error of this package: `code` says which, the message says what to do. */
export class IntelligentSessionError extends Error {
  override readonly name: string = 'IntelligentSessionError';
  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(`${message} (${code}, see ${helpOf(code)})`);
  }
}

/** A mistake of the caller's: a wrong option or argument. Thrown at once, before anything is sent. */
export class OptionError extends TypeError {
  override readonly name: string = 'OptionError';
  constructor(
    message: string,
    readonly code: ErrorCode = 'ERR_INTELLIGENT_SESSION_OPTION',
  ) {
    super(`${message} (${code}, see ${helpOf(code)})`);
  }
}

/**
 * What a fault of Redis or of the way to it says, without what ioredis attaches: `err.command.args` carries session ids,
 * payloads and passwords, and "unknown command" repeats its arguments.
 */
export function faultText(cause: unknown): string {
  // of several addresses that refuse, there is a code and no message
  const message =
    cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause);
  return (message.split(/,? with args beginning with/i)[0] as string).slice(0, 300);
}

/** A fault of Redis or of the way to it, as an error of this package. */
export function redisFault(cause: unknown): IntelligentSessionError {
  if (cause instanceof IntelligentSessionError) return cause;
  return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_REDIS', `Redis: ${faultText(cause)}`);
}
