import type { ServerResponse } from 'node:http';
import { IntelligentSessionError } from '../lib/errors/errors.js';
import { isTooDeep } from '../lib/session/json-text.js';
import { unserializable } from '../lib/session/session-codec.js';
import type { IntelligentRequest } from './request-intelligence.js';
import { promiseMethods } from './session-promises.js';

type Next = (error?: unknown) => void;
type Report = (error: Error) => void;

/**
 * express-session compares a session by JSON.stringify() in its res.end(), after it has marked the response as ended. What JSON
 * can't say (a BigInt, a circular reference, too many levels) throws there, as does a session whose cookie or methods were
 * replaced: then the error handler's own res.end() is ignored, and the request hangs, or the process ends. So this returns a
 * `next` for express-session that guards its res.end(): a coded error goes to the application's `next`, the session is not
 * saved, and the error handler answers. Where the error handler is answering already (a status of 500 or more), `report` gets
 * the error. req.session.save() gives such an error to its callback.
 */
export function guardSerialization(req: IntelligentRequest, res: ServerResponse, next: Next, report: Report): Next {
  const plainEnd = res.end;
  let guarded = false;
  return (error) => {
    // express-session has put its own res.end() there.
    if (!guarded && res.end !== plainEnd) {
      guarded = true;
      guard(req, res, plainEnd, next, report);
    }
    // express-session's RangeError, where a store of the application's gave a session of too many levels.
    next(error instanceof RangeError ? (faultOf(req, error) ?? error) : error);
  };
}

function guard(
  req: IntelligentRequest,
  res: ServerResponse,
  plainEnd: ServerResponse['end'],
  next: Next,
  report: Report,
): void {
  const { end: sessionEnd, writeHead: sessionWriteHead } = res;
  const saves = new GuardedSaves(req);
  const guardSession = () => promiseMethods(req, () => saves.guard());
  res.writeHead = function (this: ServerResponse, ...args: unknown[]) {
    try {
      return Reflect.apply(sessionWriteHead, this, args);
    } catch (cause) {
      if (!faultOf(req, cause)) throw cause;
      return Reflect.apply(sessionWriteHead, this, args); // What sets the cookie there runs once: this call sets none.
    }
  } as ServerResponse['writeHead'];
  res.end = function (this: ServerResponse, ...args: unknown[]) {
    try {
      guardSession(); // The page may have made another session.
      if (req.session && isReplaced(req.session)) throw new Error('replaced');
      return saves.throwing(() => Reflect.apply(sessionEnd, this, args));
    } catch (cause) {
      const fault = faultOf(req, cause);
      if (!fault) throw cause;
      res.end = plainEnd;
      // An error handler is answering already: another error would put the default page in its place.
      if (res.statusCode >= 500) {
        report(fault);
        return Reflect.apply(plainEnd, this, args);
      }
      setImmediate(next, fault);
      return this;
    }
  } as ServerResponse['end'];
  guardSession();
}

/**
 * Guards req.session.save(), which needs JSON, too, and throws although it has a callback. The store never gets what is too
 * deep.
 */
class GuardedSaves {
  #guarded: object | undefined;
  /** Are we within res.end(), where an error that is thrown still reaches the error handler? */
  #throws = false;

  constructor(readonly req: IntelligentRequest) {}

  guard(): void {
    const { session } = this.req;
    // The same session is guarded once; regenerate() makes another one.
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
        const done = callback && ((cause?: unknown) => callback(cause ? (faultOf(req, cause) ?? cause) : cause));
        return Reflect.apply(save, this, [done]);
      } catch (cause) {
        const fault = faultOf(req, cause);
        if (!fault || !callback || throws()) throw fault ?? cause;
        setImmediate(callback, fault);
        return this;
      }
    };
    Object.defineProperty(session, 'save', { value, configurable: true, enumerable: false, writable: true });
  }

  /** Calls `act`, in which save() throws even if it has a callback. */
  throwing<T>(act: () => T): T {
    this.#throws = true;
    try {
      return act();
    } finally {
      this.#throws = false;
    }
  }
}

/** The coded error, where the session is the reason for the error `cause`; else undefined. */
function faultOf({ session }: IntelligentRequest, cause: unknown): IntelligentSessionError | undefined {
  if (cause instanceof IntelligentSessionError && cause.code === 'ERR_INTELLIGENT_SESSION_SERIALIZE') return cause;
  // A session that was taken away can't be the reason.
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
    // express-session's own call has a replacer, so fewer levels overflow the stack there.
    return text === undefined || (cause instanceof RangeError && isTooDeep(text)) ? unserializable(cause) : undefined;
  } catch {
    return unserializable(cause);
  }
}

/** Has something else taken the place of what express-session calls in res.end()? */
function isReplaced(session: object): boolean {
  const { touch, save, resetMaxAge, cookie } = session as Record<string, unknown>;
  return (
    [touch, save, resetMaxAge].some((method) => typeof method !== 'function') ||
    typeof cookie !== 'object' ||
    cookie === null ||
    // An object of a request's body, which express-session would set as a cookie without its attributes, or throw at.
    typeof (cookie as { serialize?: unknown }).serialize !== 'function'
  );
}
