import { isDeepStrictEqual } from 'node:util';
import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../errors/errors.js';
import { ignoreRejection, isThenable } from './application-functions.js';
import { type Encryption, encryptionOf } from './encryption.js';
import { addHidden, hiddenOf, takeHidden, withHidden, withoutReserved } from './hidden-fields.js';
import { isTooDeep, MAX_DEPTH, valueTexts } from './json-text.js';
import type { resolveStoreOptions } from './options.js';
import { asSession } from './stored-session.js';

type Options = Pick<ReturnType<typeof resolveStoreOptions>, 'serializer' | 'encryption'>;

const UNREADABLE =
  'A stored session could not be read (another secret, damaged, or something else): it is treated as absent';

const FIELDS_NOT_KEPT =
  'option "serializer" does not keep fields that it does not know: what says when a session was made, and which saves it has, is lost; ' +
  '"maxLifetime" ends no session, and "merge" may add twice what a save without an answer has added';

export const unreadable = (): IntelligentSessionError =>
  new IntelligentSessionError('ERR_INTELLIGENT_SESSION_UNREADABLE', UNREADABLE);

/** The error of a session that JSON can't express; `cause` is the error that JSON.stringify() threw. */
export function unserializable(cause?: unknown): IntelligentSessionError {
  const error = new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_SERIALIZE',
    `The session holds what JSON can not say (a BigInt, a circular reference, more than ${MAX_DEPTH} levels), and was not saved`,
  );
  return cause === undefined ? error : Object.assign(error, { cause });
}

/**
 * Turns a session into text with the serializer, and the text into the stored value with the encryption, and back. The text
 * contains the session's hidden fields; a session object that was read does not show them (hidden-fields.ts).
 */
export class SessionCodec {
  readonly #encryption: Encryption;
  readonly #isJson: boolean;
  #hasCheckedKept = false;

  constructor(
    readonly options: Options,
    /** stands before each session's key, a client's `keyPrefix` with it */
    prefix: string,
    /** Is told, once, of a serializer that does not keep the hidden fields. */
    readonly onMistake: (what: string) => void = () => {},
  ) {
    this.#encryption = encryptionOf(options.encryption, prefix);
    this.#isJson = (options.serializer as unknown) === JSON;
  }

  stringify(session: SessionData): string {
    if (this.#isJson) return stringifyJson(session);
    const whole = withHidden(session);
    const text: unknown = this.options.serializer.stringify(whole);
    if (typeof text === 'string') {
      if (whole !== session) this.#checkKept(text, session);
      return text;
    }
    ignoreRejection(text);
    throw new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
      'option "serializer": stringify() gave no text; the session was not saved',
    );
  }

  /** Checks, once, whether the application's serializer keeps fields that it does not know. */
  #checkKept(text: string, session: SessionData): void {
    if (this.#hasCheckedKept) return;
    this.#hasCheckedKept = true;
    const fields = { ...hiddenOf(session) };
    this.read(text).then(
      (read) => {
        if (!isDeepStrictEqual({ ...hiddenOf(read) }, fields)) this.onMistake(FIELDS_NOT_KEPT);
      },
      () => {}, // a text that can't be read is reported when a request reads it
    );
  }

  /** The session of a text: a promise only where the serializer's parse() gives one. Throws or rejects if the text is none. */
  parse(text: string): SessionData | Promise<SessionData> {
    // with such a session express-session's own JSON.stringify() would overflow the stack
    if (this.#isJson && isTooDeep(text)) throw unreadable();
    const value: unknown = this.options.serializer.parse(text);
    return isThenable(value) ? Promise.resolve(value).then(checkSession) : checkSession(value);
  }

  /** The session of a text. Where it can't be read, rejects with an error that does not quote the text. */
  async read(text: string): Promise<SessionData> {
    try {
      return await this.parse(text);
    } catch {
      throw unreadable();
    }
  }

  /**
   * Parses only those members of two sessions in which they differ, and the cookies: enough to know what was changed. Undefined
   * where one of the texts was not written by JSON.stringify().
   */
  parseDifferences(before: string, after: string): { before: SessionData; after: SessionData } | undefined {
    if (!this.#isJson) return undefined;
    const [beforeTexts, afterTexts] = [valueTexts(before), valueTexts(after)];
    if (!beforeTexts || !afterTexts) return undefined;
    const differs = (key: string) => key === 'cookie' || beforeTexts.get(key) !== afterTexts.get(key);
    return {
      before: takeHidden(parseMembers(beforeTexts, differs)),
      after: takeHidden(parseMembers(afterTexts, differs)),
    };
  }

  /** The value to store for a session's text. */
  encrypt(sid: string, text: string): string {
    return this.#encryption.encrypt(sid, text);
  }

  /** The text of a stored value; undefined where it can't be decrypted. */
  decrypt(sid: string, value: string): string | undefined {
    return this.#encryption.decrypt(sid, value);
  }
}

function parseMembers(texts: ReadonlyMap<string, string>, isWanted: (key: string) => boolean): SessionData {
  const members = Array.from(texts).filter(([key]) => isWanted(key));
  return JSON.parse(`{${members.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join()}}`) as SessionData;
}

function checkSession(value: unknown): SessionData {
  const session = asSession(value);
  if (!session) throw unreadable();
  return takeHidden(session);
}

function stringifyJson(session: SessionData): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(withoutReserved(session));
  } catch (cause) {
    throw unserializable(cause);
  }
  // a toJSON() of the application may make anything of the session
  if (!text?.startsWith('{') || isTooDeep(text)) throw unserializable();
  return addHidden(text, session);
}
