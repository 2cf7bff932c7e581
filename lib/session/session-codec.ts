import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../errors.js';
import type { resolveStoreOptions } from './options.js';
import { type Seal, sealOf } from './seal.js';

type Options = Pick<ReturnType<typeof resolveStoreOptions>, 'serializer' | 'encryption' | 'user'>;

const UNREADABLE =
  'A stored session could not be read (another secret, damaged, or something else): it is treated as absent';

export const unreadable = (): IntelligentSessionError =>
  new IntelligentSessionError('ERR_INTELLIGENT_SESSION_UNREADABLE', UNREADABLE);

/** May what a serializer gave be a session? Whoever writes to Redis can put anything there. */
export const isSession = (value: unknown): value is SessionData =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sessions as texts, by an application's own functions: what these throw stays its own error. */
export class SessionCodec {
  readonly #thrown = new WeakSet<object>();
  readonly #seal: Seal;

  constructor(
    readonly options: Options,
    /** stands before each session's key, a client's `keyPrefix` with it */
    prefix: string,
    /** is told what is no user; the session is nobody's */
    readonly onInvalid: (what: string) => void,
  ) {
    this.#seal = sealOf(options.encryption, prefix);
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
    const text: unknown = this.call(() => this.options.serializer.stringify(session));
    if (typeof text === 'string') return text;
    throw new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_ARGUMENT',
      'option "serializer": stringify() gave no text; the session was not saved',
    );
  }

  /** The serializer's parse(), at once if it can. Throws whatever that throws. */
  parse(text: string): SessionData | Promise<SessionData> {
    return this.options.serializer.parse(text);
  }

  /** The same; what can't be read is an error that tells nothing of the text. */
  async read(text: string): Promise<SessionData> {
    const session = await Promise.resolve(text)
      .then((one) => this.parse(one))
      .catch(() => undefined);
    if (isSession(session)) return session;
    throw unreadable();
  }

  /** A text as it is stored. */
  seal(sid: string, text: string): string {
    return this.#seal.seal(sid, text);
  }

  /** The text of what is stored; undefined where it can't be had. */
  open(sid: string, raw: string): string | undefined {
    return this.#seal.open(sid, raw);
  }

  /** Whose a session is. What would be the same for everybody (a promise, NaN, a plain object) is nobody. */
  userOf(session: SessionData): string | undefined {
    const { user: userOf } = this.options;
    if (!userOf) return undefined;
    const user: unknown = this.call(() => userOf(session));
    if (user === undefined || user === null || user === '' || user === false) return undefined;
    const text = user === true ? '' : this.call(() => String(user));
    if (text !== '' && !text.startsWith('[object ') && !(typeof user === 'number' && !Number.isFinite(user)))
      return text;
    if (user instanceof Promise) user.catch(() => {});
    this.onInvalid('option "user" gave neither a text nor a number: such a session is nobody’s');
    return undefined;
  }
}
