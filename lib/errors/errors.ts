/** Where an error's or warning's code is described; docs/errors.md is part of the package. */
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

/** An error of this package: `code` says which, the message says what to do, `cause` is what led to it, without secrets. */
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
 * The message of a fault of Redis or of the way to Redis, without what was sent: ioredis attaches session ids, payloads and
 * passwords as `err.command.args`, and Redis' error "unknown command" repeats the command's arguments.
 */
export function faultText(cause: unknown): string {
  // where all addresses of a host refuse, Node's AggregateError has a code and no message
  const message =
    cause instanceof Error ? textOf(cause.message || (cause as NodeJS.ErrnoException).code) : textOf(cause);
  // OpenSSL's words for an answer that is no TLS, which may stand within a message of a Sentinel's client
  if (/wrong version number|packet length too long/i.test(message))
    return 'TLS was asked for, and the other side does not speak TLS';
  return safeText(credentialsIn(cause).reduce(withoutSecret, message)).slice(0, 300);
}

/** A text of anything that may be thrown: of some objects String() throws. */
function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return 'something that is no text';
  }
}

/** The passwords of this process' connections: safeText() takes them out of every message, whoever wrote it. */
const passwords = new Set<string>();
export function hidePasswords(...given: readonly unknown[]): void {
  for (const password of given) if (typeof password === 'string' && password !== '') passwords.add(password);
}

/**
 * Every message passes here on its way out (errors, events, warnings, lines on stderr): passwords, credentials in URLs and what
 * Redis repeats of a command are taken out, and control characters, which could begin a new line of a log or act on a terminal,
 * are escaped.
 */
export function safeText(text: string): string {
  const withoutPasswords = [...passwords].reduce(withoutSecret, withoutArguments(text));
  return withoutPasswords.replace(/:\/\/[^\s/]*@/g, '://…@').replace(UNPRINTABLE, escapeCharacter);
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const escapeCharacter = (character: string): string =>
  `\\u{${(character.codePointAt(0) as number).toString(16).padStart(4, '0')}}`;

const withoutArguments = (text: string): string => text.split(/,? with args beginning with/i)[0] as string;

/** Redis' fixed answer to a wrong password. It repeats nothing, so it stays as it is even where a password is a word of it. */
const WRONG_PASSWORD = /(WRONGPASS invalid username-password pair or user is disabled)/;
/** A password that may be a word of an ordinary sentence. */
const PLAIN_WORD = /^[a-z]{8,15}$/i;

/** The text with `…` for the secret. */
const withoutSecret = (text: string, secret: string): string =>
  text
    .split(WRONG_PASSWORD)
    .map((part) => (WRONG_PASSWORD.test(part) ? part : replaceSecret(part, secret)))
    .join('');

/** Replaces a short secret, which may be a part of any word, only in quotes, and a plain word only where it stands alone. */
function replaceSecret(text: string, secret: string): string {
  if (PLAIN_WORD.test(secret)) return text.replace(new RegExp(`(?<![\\w-])${secret}(?![\\w-])`, 'g'), '…');
  if (secret.length >= 8) return text.replaceAll(secret, '…');
  // Redis puts what it repeats into these quotes; our own messages have other quotes, for the names of options
  return ["'", '`'].reduce((rest, quote) => rest.replaceAll(quote + secret + quote, `${quote}…${quote}`), text);
}

/** The user and password of AUTH or HELLO, where ioredis attached that command to its error. */
function credentialsIn(cause: unknown): string[] {
  const { name, args } = (cause as { command?: { name?: unknown; args?: unknown } } | null)?.command ?? {};
  // Redis' errors about other commands repeat at most the name of a key, a channel or a script
  if (!/^(auth|hello)$/i.test(String(name)) || !Array.isArray(args)) return [];
  return args
    .flat()
    .map(String)
    .filter((text) => !/^(\d|auth|default|)$/i.test(text));
}

/**
 * The error to report where an application's own function threw. What is or holds an error of ioredis, which would carry a
 * command's arguments into a log, or says a password, becomes a redisFault(); what has control characters, a printable copy;
 * what is no Error, an error with `code` that does not quote it.
 */
export function applicationFault(cause: unknown, code: ErrorCode = 'ERR_INTELLIGENT_SESSION_ARGUMENT'): Error {
  if (!(cause instanceof Error))
    return new IntelligentSessionError(code, 'A function of the application threw what is no Error');
  const repeatsSecrets = withoutArguments(cause.message) !== cause.message || saysPassword(cause.message);
  return repeatsSecrets || carriesCommand(cause) ? redisFault(cause) : printable(cause);
}

/** The error itself if all its texts can be printed, else a copy of its class and fields with safeText(); so its causes. */
function printable(error: Error, depth = 0): Error {
  // depth: an error may be its own cause
  const printableCause = (one: unknown) => (one instanceof Error && depth < 8 ? printable(one, depth + 1) : one);
  const { cause, errors } = error as { cause?: unknown; errors?: unknown };
  const clean = {
    message: safeText(error.message),
    name: safeText(String(error.name)),
    cause: printableCause(cause),
    errors:
      Array.isArray(errors) && errors.map(printableCause).some((one, i) => one !== errors[i])
        ? errors.map(printableCause)
        : errors,
  };
  const changed = Object.entries(clean).filter(([field, value]) => value !== error[field as keyof Error]);
  if (changed.length === 0) return error;
  const copy = Object.setPrototypeOf(new Error(), Object.getPrototypeOf(error)) as Error;
  const frames = (error.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line));
  const stack = [`${clean.name}: ${clean.message}`, ...frames.map(safeText)].join('\n');
  // descriptors, since `cause`, `errors` and `message` are not enumerable
  Object.defineProperties(copy, Object.getOwnPropertyDescriptors(error));
  for (const [field, value] of [...changed, ['stack', stack]])
    Object.defineProperty(copy, field as string, { value, configurable: true, writable: true });
  return copy;
}

const saysPassword = (text: string): boolean =>
  [...passwords].some((password) => withoutSecret(text, password) !== text);

/** Does an error, or one within it (its `cause`, an AggregateError's, a transaction's, a Cluster node's), carry a command? */
function carriesCommand(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > 8) return false;
  if ('command' in error) return true;
  const { cause, errors, previousErrors, lastNodeError } = error as Record<string, unknown>;
  return [cause, errors, previousErrors, lastNodeError].flat().some((inner) => carriesCommand(inner, depth + 1));
}

/** A fault of Redis or of the way to Redis, as an error of this package; its cause is a copy that carries no command. */
export function redisFault(cause: unknown): IntelligentSessionError {
  if (cause instanceof IntelligentSessionError) return cause;
  const message = `Redis: ${faultText(cause)}`;
  return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_REDIS', message, causeOf(cause));
}

/** The last argument of an Error's constructor: a copy of `cause` that carries no command, undefined where it is no Error. */
export const causeOf = (cause: unknown): { cause: Error } | undefined =>
  cause instanceof Error ? { cause: withoutCommand(cause) } : undefined;

/**
 * A copy of an error for a person to read: its name, message, code, stack and causes. ioredis and Node attach commands with
 * their arguments, addresses and input, in fields that a log would show: so no field is copied that is not named here.
 */
function withoutCommand(error: Error, outerSecrets: readonly string[] = [], depth = 0): Error {
  const secrets = [...outerSecrets, ...credentialsIn(error)];
  const clean = (text: unknown) => safeText(secrets.reduce(withoutSecret, textOf(text)));
  const { code, cause, lastNodeError } = error as { code?: unknown; cause?: unknown; lastNodeError?: unknown };
  const inner = cause ?? lastNodeError;
  const copy: NodeJS.ErrnoException = new Error(
    secrets.reduce(withoutSecret, faultText(error)),
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

/** The error for stored data, which `what` names, in a form that this version does not know. The data stay as they are. */
export const newerVersion = (what: string): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_VERSION',
    `${what} is stored in a form that this version does not know, and was left as it is`,
  );
