const help = 'https://www.npmjs.com/package/intelligent-session#errors';

/** Stable codes; each is described in README.md, "Errors". */
export type ErrorCode =
  | 'ERR_INTELLIGENT_SESSION_OPTION'
  | 'ERR_INTELLIGENT_SESSION_ARGUMENT'
  | 'ERR_INTELLIGENT_SESSION_SECRET'
  | 'ERR_INTELLIGENT_SESSION_REDIS'
  | 'ERR_INTELLIGENT_SESSION_NOT_READY'
  | 'ERR_INTELLIGENT_SESSION_MESSAGE'
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
    super(`${message} (${code}, see ${help})`);
  }
}

/** A mistake of the caller's: a wrong option or argument. Thrown at once, before anything is sent. */
export class OptionError extends TypeError {
  override readonly name: string = 'OptionError';
  constructor(
    message: string,
    readonly code: ErrorCode = 'ERR_INTELLIGENT_SESSION_OPTION',
  ) {
    super(`${message} (${code}, see ${help})`);
  }
}

/**
 * A fault of Redis or of the way to it, without what ioredis attaches: `err.command.args` carries session ids,
 * payloads and passwords, and "unknown command" repeats its arguments.
 */
export function redisFault(cause: unknown): IntelligentSessionError {
  if (cause instanceof IntelligentSessionError) return cause;
  return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_REDIS', `Redis: ${faultText(cause)}`);
}

/** What a fault says, without what it repeats of a command's arguments. */
export function faultText(cause: unknown): string {
  // of several addresses that refuse, there is a code and no message
  const message =
    cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause);
  // OpenSSL's own words for an answer that is no TLS, also where a Sentinel's client repeats them
  if (/wrong version number|packet length too long/i.test(message))
    return 'TLS was asked for, and the other side does not speak TLS';
  return message.split(/,? with args beginning with/i)[0]?.slice(0, 300) ?? '';
}

/** Tells the operator, on the console, what no listener of an event hears. */
export function warn({ code, message }: IntelligentSessionError): void {
  process.emitWarning(message, { code });
}
