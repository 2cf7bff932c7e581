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
  | 'ERR_INTELLIGENT_SESSION_UNANSWERED'
  | 'ERR_INTELLIGENT_SESSION_ORDER'
  | 'ERR_INTELLIGENT_SESSION_BLOOM'
  | 'ERR_INTELLIGENT_SESSION_CONFLICT'
  | 'ERR_INTELLIGENT_SESSION_MERGE'
  | 'ERR_INTELLIGENT_SESSION_UNREADABLE'
  | 'ERR_INTELLIGENT_SESSION_SERIALIZE'
  | 'ERR_INTELLIGENT_SESSION_METRICS'
  | 'ERR_INTELLIGENT_SESSION_VERSION'
  | 'ERR_INTELLIGENT_SESSION_UNCONFIRMED'
  | 'ERR_INTELLIGENT_SESSION_NOT_DURABLE'
  | 'ERR_INTELLIGENT_SESSION_TOO_MANY';

/** An error of this package: `code` says which, the message says what to do, `cause` what it was made of, without secrets. */
export class IntelligentSessionError extends Error {
  override readonly name: string = 'IntelligentSessionError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`${safeText(message)} (${code}, see ${helpOf(code)})`, options);
  }
}

/** A mistake of the caller's: a wrong option or argument. It is thrown at once, before anything is sent. */
export class OptionError extends IntelligentSessionError {
  override readonly name: string = 'OptionError';
  constructor(message: string, code: ErrorCode = 'ERR_INTELLIGENT_SESSION_OPTION') {
    super(code, message);
  }
}

/**
 * What a fault of Redis or of the way to it says, without what ioredis attaches: `err.command.args` carries session ids,
 * payloads and passwords, and "unknown command" repeats its arguments.
 */
export function faultText(cause: unknown): string {
  // of several addresses that refuse, there is a code and no message
  const message =
    cause instanceof Error ? textOf(cause.message || (cause as NodeJS.ErrnoException).code) : textOf(cause);
  // OpenSSL's own words for an answer that is no TLS, also where a Sentinel's client repeats them
  if (/wrong version number|packet length too long/i.test(message))
    return 'TLS was asked for, and the other side does not speak TLS';
  return safeText(argumentsOf(cause).reduce(without, message)).slice(0, 300);
}

/** Whatever was thrown: an object may have no way to become a text. */
function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return 'something that is no text';
  }
}

/** Passwords that connections of this process have: no message of ours says them, whoever repeats them in whatever words. */
const passwords = new Set<string>();
export function hidePasswords(...given: readonly unknown[]): void {
  for (const password of given) if (typeof password === 'string' && password !== '') passwords.add(password);
}

/**
 * The one place that every message passes on its way out (errors, events, warnings, lines on stderr): passwords, credentials in
 * URLs and what Redis repeats of a command are taken out, and control characters, which could write lines of their own into a
 * log or act on a terminal, are escaped.
 */
export function safeText(text: string): string {
  const known = [...passwords].reduce(without, withoutArguments(text));
  return known.replace(/:\/\/[^\s/]*@/g, '://…@').replace(UNPRINTABLE, escapeCharacter);
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const escapeCharacter = (character: string): string =>
  `\\u{${(character.codePointAt(0) as number).toString(16).padStart(4, '0')}}`;

const withoutArguments = (text: string): string => text.split(/,? with args beginning with/i)[0] as string;

/** What Redis says of a wrong password is always the same, and repeats nothing, whatever words of it a password is. */
const FIXED = /(WRONGPASS invalid username-password pair or user is disabled)/;
const WORD = /^[a-z]{8,15}$/i;

/** A text without a secret. */
const without = (text: string, secret: string): string =>
  text
    .split(FIXED)
    .map((part) => (FIXED.test(part) ? part : withoutIn(part, secret)))
    .join('');

/** A short one would be found in any word, so it is taken out where it stands in quotes only; a plain word, where it stands alone. */
function withoutIn(text: string, secret: string): string {
  if (WORD.test(secret)) return text.replace(new RegExp(`(?<![\\w-])${secret}(?![\\w-])`, 'g'), '…');
  if (secret.length >= 8) return text.replaceAll(secret, '…');
  // as Redis quotes what it repeats; our own messages quote the names of options otherwise
  return ["'", '`'].reduce((rest, quote) => rest.replaceAll(quote + secret + quote, `${quote}…${quote}`), text);
}

/** What a command was sent with, as ioredis attaches it to the command's error. */
function argumentsOf(cause: unknown): string[] {
  const { name, args } = (cause as { command?: { name?: unknown; args?: unknown } } | null)?.command ?? {};
  // of other commands, what Redis says in its own words names a key, a channel or a script at most
  if (!/^(auth|hello)$/i.test(String(name)) || !Array.isArray(args)) return [];
  return args
    .flat()
    .map(String)
    .filter((text) => !/^(\d|auth|default|)$/i.test(text));
}

/**
 * What an application's own function threw stays as it is, unless it is, or holds, an error of ioredis: that carries the
 * arguments of a command, which a log would show with it. Of one whose text has control characters a copy goes on.
 */
export function applicationFault(cause: unknown): Error {
  if (!(cause instanceof Error))
    return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_COMMAND', 'A command threw what is no Error');
  const repeats = withoutArguments(cause.message) !== cause.message || saysPassword(cause.message);
  return repeats || carriesCommand(cause) ? redisFault(cause) : printable(cause);
}

/** The error, or a copy of its class and fields whose message and stack say the same in what can be printed; so its causes. */
function printable(error: Error, depth = 0): Error {
  const inner = (one: unknown) => (one instanceof Error && depth < 8 ? printable(one, depth + 1) : one);
  const { cause, errors } = error as { cause?: unknown; errors?: unknown };
  const clean = {
    message: safeText(error.message),
    name: safeText(String(error.name)),
    cause: inner(cause),
    errors: Array.isArray(errors) && errors.map(inner).some((one, i) => one !== errors[i]) ? errors.map(inner) : errors,
  };
  const changed = Object.entries(clean).filter(([field, value]) => value !== error[field as keyof Error]);
  if (changed.length === 0) return error;
  const copy = Object.setPrototypeOf(new Error(), Object.getPrototypeOf(error)) as Error;
  const frames = (error.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line));
  const stack = [`${clean.name}: ${clean.message}`, ...frames.map(safeText)].join('\n');
  // `cause`, `errors` and `message` are not enumerable
  Object.defineProperties(copy, Object.getOwnPropertyDescriptors(error));
  for (const [field, value] of [...changed, ['stack', stack]])
    Object.defineProperty(copy, field as string, { value, configurable: true, writable: true });
  return copy;
}

const saysPassword = (text: string): boolean => [...passwords].some((password) => without(text, password) !== text);

/** Does an error, or one in it (`cause`, an AggregateError's, a transaction's, a Cluster node's), carry a command? */
function carriesCommand(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > 8) return false;
  if ('command' in error) return true;
  const { cause, errors, previousErrors, lastNodeError } = error as Record<string, unknown>;
  return [cause, errors, previousErrors, lastNodeError].flat().some((inner) => carriesCommand(inner, depth + 1));
}

/** A fault of Redis or of the way to it, as an error of this package; its cause is a copy that carries no command. */
export function redisFault(cause: unknown): IntelligentSessionError {
  if (cause instanceof IntelligentSessionError) return cause;
  const message = `Redis: ${faultText(cause)}`;
  return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_REDIS', message, causeOf(cause));
}

/** As the last argument of an error: what it was made of, undefined where that is no Error. */
export const causeOf = (cause: unknown): { cause: Error } | undefined =>
  cause instanceof Error ? { cause: withoutCommand(cause) } : undefined;

/**
 * A copy of an error for a person to read: its name, message, code, stack and causes. ioredis and Node attach commands with their
 * arguments, addresses and input, in fields that a log would show; a new field is left out until it is known here.
 */
function withoutCommand(error: Error, outer: readonly string[] = [], depth = 0): Error {
  const secrets = [...outer, ...argumentsOf(error)];
  const clean = (text: unknown) => safeText(secrets.reduce(without, textOf(text)));
  const { code, cause, lastNodeError } = error as { code?: unknown; cause?: unknown; lastNodeError?: unknown };
  const inner = cause ?? lastNodeError;
  const copy: NodeJS.ErrnoException = new Error(
    secrets.reduce(without, faultText(error)),
    inner instanceof Error && depth < 8 ? { cause: withoutCommand(inner, secrets, depth + 1) } : undefined,
  );
  const name = clean(error.name);
  const frames = textOf(error.stack)
    .split('\n')
    .filter((line) => /^ {4}at /.test(line));
  Object.defineProperty(copy, 'name', { value: name, configurable: true, writable: true });
  copy.stack = [`${name}: ${copy.message}`, ...frames.map(clean)].join('\n');
  if (typeof code === 'string') copy.code = clean(code);
  return copy;
}

/** Stored data whose form this version does not know: it is neither read nor written over. */
export const newerVersion = (what: string): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_VERSION',
    `${what} is stored in a form that this version does not know, and was left as it is`,
  );
