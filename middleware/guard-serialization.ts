import type { ServerResponse } from 'node:http';
import { IntelligentSessionError } from '../lib/errors.js';
import type { IntelligentRequest } from './request-intelligence.js';
import { promiseMethods } from './session-promises.js';

type Next = (error?: unknown) => void;
type Tell = (error: Error) => void;

/**
 * express-session compares a session by JSON.stringify() in its res.end(), after it has marked the answer as ended: what
 * JSON can't say (a BigInt, a circular reference) throws there, the error handler's own res.end() is ignored, and the
 * request hangs. The returned `next`, for express-session, guards its res.end(): a coded error goes to `next`, the session
 * is not saved, and the error handler answers; where that is what answers (a status of 500 or more), `tell` gets it. req.session.save() gives that error to its callback.
 */
export function guardSerialization(req: IntelligentRequest, res: ServerResponse, next: Next, tell: Tell): Next {
  const plainEnd = res.end;
  let guarded = false;
  return (error) => {
    if (!guarded && res.end !== plainEnd) {
      guarded = true;
      guard(req, res, plainEnd, next, tell);
    }
    next(error);
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
      return Reflect.apply(sessionEnd, this, args);
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
  promiseMethods(req, guardSave);
}

/** req.session.save() compares, too, and throws where it has a callback for that. */
function guardSave(req: IntelligentRequest): void {
  const { session } = req;
  if (!session) return;
  const { save } = session;
  const value = function (this: typeof session, callback?: (error?: unknown) => void) {
    try {
      return Reflect.apply(save, this, [callback]);
    } catch (cause) {
      const fault = faultOf(req, cause);
      if (!fault || !callback) throw fault ?? cause;
      setImmediate(callback, fault);
      return this;
    }
  };
  Object.defineProperty(session, 'save', { value, configurable: true, enumerable: false, writable: true });
}

/** What to tell where the session is the reason of an error, else undefined. */
function faultOf({ session }: IntelligentRequest, cause: unknown): IntelligentSessionError | undefined {
  try {
    JSON.stringify(session);
    return undefined;
  } catch {
    const error = new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_SERIALIZE',
      'The session holds what JSON can not say (a BigInt, a circular reference), and was not saved',
    );
    return Object.assign(error, { cause });
  }
}
