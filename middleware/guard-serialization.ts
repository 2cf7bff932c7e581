import type { ServerResponse } from 'node:http';
import { IntelligentSessionError } from '../lib/errors/errors.js';
import { isTooDeep } from '../lib/session/json-text.js';
import { unserializable } from '../lib/session/session-codec.js';
import type { IntelligentRequest } from './request-intelligence.js';
import { promiseMethods } from './session-promises.js';

type Next = (error?: unknown) => void;
type Tell = (error: Error) => void;

/**
 * express-session compares a session by JSON.stringify() in its res.end(), after it has marked the answer as ended: what
 * JSON can't say (a BigInt, a circular reference, too many levels) throws there, as does a session whose cookie or methods were
 * replaced; the error handler's own res.end() is ignored, and the request hangs, or the process ends. The returned `next`, for
 * express-session, guards its res.end(): a coded error goes to `next`, the session is not saved, and the error handler answers;
 * where that is what answers (a status of 500 or more), `tell` gets it. req.session.save() gives that error to its callback.
 */
export function guardSerialization(req: IntelligentRequest, res: ServerResponse, next: Next, tell: Tell): Next {
  const plainEnd = res.end;
  let guarded = false;
  return (error) => {
    if (!guarded && res.end !== plainEnd) {
      guarded = true;
      guard(req, res, plainEnd, next, tell);
    }
    // of a store of the application's, what was stored may be too deep to be compared
    next(error instanceof RangeError ? (faultOf(req, error) ?? error) : error);
  };
}

function guard(
  req: IntelligentRequest,
  res: ServerResponse,
  plainEnd: ServerResponse['end'],
  next: Next,
  tell: Tell,
): void {
  const { end: sessionEnd, writeHead: sessionHead } = res;
  const saves = new GuardedSaves(req);
  const guardSession = () => promiseMethods(req, () => saves.guard());
  res.writeHead = function (this: ServerResponse, ...args: unknown[]) {
    try {
      return Reflect.apply(sessionHead, this, args);
    } catch (cause) {
      if (!faultOf(req, cause)) throw cause;
      return Reflect.apply(sessionHead, this, args); // its listeners run once: without the cookie
    }
  } as ServerResponse['writeHead'];
  res.end = function (this: ServerResponse, ...args: unknown[]) {
    try {
      guardSession(); // the page may have made another one
      if (req.session && isReplaced(req.session)) throw new Error('replaced');
      return saves.throwing(() => Reflect.apply(sessionEnd, this, args));
    } catch (cause) {
      const fault = faultOf(req, cause);
      if (!fault) throw cause;
      res.end = plainEnd;
      // an error handler is answering already: another error would put the default page in its place
      if (res.statusCode >= 500) {
        tell(fault);
        return Reflect.apply(plainEnd, this, args);
      }
      setImmediate(next, fault);
      return this;
    }
  } as ServerResponse['end'];
  guardSession();
}

/** req.session.save() compares, too, and throws where it has a callback for that. What is too deep is found before it is sent. */
class GuardedSaves {
  #guarded: object | undefined;
  /** within res.end(), before the head is written: what throws there still goes to the error handler */
  #throws = false;

  constructor(readonly req: IntelligentRequest) {}

  guard(): void {
    const { session } = this.req;
    // regenerate() makes another one
    if (typeof session !== 'object' || session === null || session === this.#guarded) return;
    this.#guarded = session;
    const { save } = session;
    if (typeof save !== 'function') return;
    const { req } = this;
    const throws = () => this.#throws;
    const value = function (this: typeof session, callback?: (error?: unknown) => void) {
      try {
        if (isReplaced(this)) throw new Error('replaced');
        if (isTooDeep(JSON.stringify(this) ?? '')) throw unserializable();
        const told = callback && ((cause?: unknown) => callback(cause ? (faultOf(req, cause) ?? cause) : cause));
        return Reflect.apply(save, this, [told]);
      } catch (cause) {
        const fault = faultOf(req, cause);
        if (!fault || !callback || throws()) throw fault ?? cause;
        setImmediate(callback, fault);
        return this;
      }
    };
    Object.defineProperty(session, 'save', { value, configurable: true, enumerable: false, writable: true });
  }

  throwing<T>(act: () => T): T {
    this.#throws = true;
    try {
      return act();
    } finally {
      this.#throws = false;
    }
  }
}

/** What to tell where the session is the reason of an error, else undefined. */
function faultOf({ session }: IntelligentRequest, cause: unknown): IntelligentSessionError | undefined {
  if (cause instanceof IntelligentSessionError && cause.code === 'ERR_INTELLIGENT_SESSION_SERIALIZE') return cause;
  // a session that was taken away is none that could be the reason
  if (session === undefined || session === null) return undefined;
  if (isReplaced(session)) {
    const error = new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_SERIALIZE',
      'req.session, its cookie or its methods were replaced by something else (by a body’s keys?), and it was not saved',
    );
    return Object.assign(error, { cause });
  }
  try {
    const text: string | undefined = JSON.stringify(session);
    // with a replacer, as express-session does it, the stack is at its end earlier
    return text === undefined || (cause instanceof RangeError && isTooDeep(text)) ? unserializable(cause) : undefined;
  } catch {
    return unserializable(cause);
  }
}

/** express-session calls these in res.end(). */
function isReplaced(session: object): boolean {
  const { touch, save, resetMaxAge, cookie } = session as Record<string, unknown>;
  return (
    [touch, save, resetMaxAge].some((method) => typeof method !== 'function') ||
    typeof cookie !== 'object' ||
    cookie === null ||
    // an object of a body's, which express-session would set as a cookie without its attributes, or throw at
    typeof (cookie as { serialize?: unknown }).serialize !== 'function'
  );
}
