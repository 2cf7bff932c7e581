import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../errors/errors.js';
import { isTooDeep, MAX_DEPTH, valueTexts } from './json-text.js';
import type { resolveStoreOptions } from './options.js';
import { type Seal, sealOf } from './encryption.js';
import { asSession } from './stored-session.js';

type Options = Pick<ReturnType<typeof resolveStoreOptions>, 'serializer' | 'encryption' | 'user'>;

const UNREADABLE =
  'A stored session could not be read (another secret, damaged, or something else): it is treated as absent';

export const unreadable = (): IntelligentSessionError =>
  new IntelligentSessionError('ERR_INTELLIGENT_SESSION_UNREADABLE', UNREADABLE);

/** For a session that can't be stored as JSON, with what says so. */
export function unserializable(cause?: unknown): IntelligentSessionError {
  const error = new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_SERIALIZE',
    `The session holds what JSON can not say (a BigInt, a circular reference, more than ${MAX_DEPTH} levels), and was not saved`,
  );
  return cause === undefined ? error : Object.assign(error, { cause });
}

/** Sessions as texts, by an application's own functions: what these throw stays its own error. */
export class SessionCodec {
  readonly #thrown = new WeakSet<object>();
  readonly #seal: Seal;
  readonly #isJson: boolean;

  constructor(
    readonly options: Options,
    /** stands before each session's key, a client's `keyPrefix` with it */
    prefix: string,
    /** is told what is no user; the session is nobody's */
    readonly onInvalid: (what: string) => void,
  ) {
    this.#seal = sealOf(options.encryption, prefix);
    this.#isJson = (options.serializer as unknown) === JSON;
  }

  /** Calls an application's own function. */
  readonly call = <T>(act: () => T): T => {
    try {
      return act();
    } catch (error) {
      if (typeof error === 'object' && error !== null) this.#thrown.add(error);
      throw error;
    }
  };

  /** Did an application's own function throw this? */
  threw(error: object): boolean {
    return this.#thrown.has(error);
  }

  stringify(session: SessionData): string {
    if (this.#isJson) return jsonOf(session);
    const text: unknown = this.call(() => this.options.serializer.stringify(session));
    if (typeof text === 'string') return text;
    throw new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
      'option "serializer": stringify() gave no text; the session was not saved',
    );
  }

  /** The session, at once where the serializer's parse() gives it at once; throws, or rejects, for what is none. */
  parse(text: string): SessionData | Promise<SessionData> {
    // what is deeper would overflow the stack in express-session
    if (this.#isJson && isTooDeep(text)) throw unreadable();
    const value: unknown = this.options.serializer.parse(text);
    return value instanceof Promise ? value.then(sessionOf) : sessionOf(value);
  }

  /** The same; what can't be read is an error that tells nothing of the text. */
  read(text: string): Promise<SessionData> {
    return Promise.resolve(text)
      .then((one) => this.parse(one))
      .catch(() => {
        throw unreadable();
      });
  }

  /** Of two texts by JSON, sessions with what differs and the cookies: parses nothing else. Undefined for any other text. */
  parseDifferences(base: string, mine: string): { base: SessionData; mine: SessionData } | undefined {
    if (!this.#isJson) return undefined;
    const texts = [valueTexts(base), valueTexts(mine)] as const;
    const [of, to] = texts;
    if (!of || !to) return undefined;
    const differs = (key: string) => key === 'cookie' || of.get(key) !== to.get(key);
    const [one, other] = texts.map((values) => {
      const members = Array.from(values as Map<string, string>).filter(([key]) => differs(key));
      return JSON.parse(`{${members.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join()}}`) as SessionData;
    });
    return { base: one as SessionData, mine: other as SessionData };
  }

  /** A text as it is stored. */
  seal(sid: string, text: string): string {
    return this.#seal.seal(sid, text);
  }

  /** The text of what is stored; undefined where it can't be had. */
  open(sid: string, raw: string): string | undefined {
    return this.#seal.open(sid, raw);
  }

  /** Whose a session is. What is no text, no number and no id (a promise, NaN, a list, a plain object) is nobody. */
  userOf(session: SessionData): string | undefined {
    const { user: userOf } = this.options;
    if (!userOf) return undefined;
    const user: unknown = this.call(() => userOf(session));
    if (user === undefined || user === null || user === '' || user === false) return undefined;
    const text = this.call(() => idOf(user));
    if (text !== undefined && text !== '') return text;
    // a promise that nobody waits for must not end the process when it is rejected
    if (user instanceof Promise) user.catch(() => {});
    this.onInvalid('option "user" gave neither a text nor a number: such a session is nobody’s');
    return undefined;
  }
}

function sessionOf(value: unknown): SessionData {
  const session = asSession(value);
  if (!session) throw unreadable();
  return session;
}

function jsonOf(session: SessionData): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(session);
  } catch (cause) {
    throw unserializable(cause);
  }
  // a toJSON() of the application's may make anything of it
  if (!text?.startsWith('{') || isTooDeep(text)) throw unserializable();
  return text;
}

const { toString: plainText } = Object.prototype;

/**
 * An id as a text: a text, a number, or an object that says its id itself by a toString() of its own, as MongoDB's ObjectId.
 * The builtins' says nothing of whose a session is: a list that holds another's id must not become that other.
 */
function idOf(user: unknown): string | undefined {
  if (typeof user === 'string' || typeof user === 'bigint') return String(user);
  if (typeof user === 'number') return Number.isFinite(user) ? String(user) : undefined;
  if (typeof user !== 'object' || user === null || Array.isArray(user)) return undefined;
  if (user instanceof Date || user instanceof Error || user instanceof RegExp) return undefined;
  const { toString } = user;
  if (typeof toString !== 'function' || toString === plainText) return undefined;
  const text: unknown = toString.call(user);
  return typeof text === 'string' && !text.startsWith('[object ') ? text : undefined;
}
