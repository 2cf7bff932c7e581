import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import session, { type SessionData, type Store } from 'express-session';
import { CLOSE_TIMEOUT_MS, Pending } from '../lib/pending.js';
import { ServingLayer } from '../lib/serving/serving-layer.js';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';
import { EmbeddedWorker } from './embedded-worker.js';
import { type IntelligentSessionOptions, resolveOptions } from './options.js';
import { RequestIntelligence, type Surroundings } from './request-intelligence.js';
import { trackedPage } from './tracking.js';

declare global {
  namespace Express {
    interface Request {
      intelligence: RequestIntelligence;
    }
  }
}

/** The middleware, and what belongs to it. */
export interface IntelligentSession extends RequestHandler {
  readonly store: Store;
  /** events `degraded` and `fault`, and the metrics */
  readonly serving: ServingLayer;
  /**
   * Waits for the responses that are under way and for what they save and send, at most `timeout` ms (5000) and not at all
   * where Redis is away; then closes every connection that was opened here. Can be called twice.
   */
  close(options?: { timeout?: number }): Promise<void>;
}

const NEW_SESSION_TTL = 600;
const DEFAULT_TTL = 86_400;

/** express-session with a store on Redis, and `req.intelligence`. Every option has a default. */
export function intelligentSession(options: IntelligentSessionOptions = {}): IntelligentSession {
  const {
    redis,
    secret,
    combos,
    timeout,
    track,
    bloom,
    worker,
    session: sessionGiven,
    store: storeGiven,
    ...of
  } = resolveOptions(options);
  if (!secret)
    process.emitWarning('no secret: set SESSION_SECRET; until then sessions end with this process', {
      code: 'ERR_INTELLIGENT_SESSION_SECRET',
    });
  const ours =
    storeGiven instanceof EventEmitter
      ? undefined
      : new RedisSessionStore({ maxWaitMs: of.maxWaitMs, ...storeGiven, redis });
  const store: Store = ours ?? storeGiven;
  const serving = new ServingLayer(redis, of);
  const sessionOptions: Omit<session.SessionOptions, 'secret'> = {
    resave: false,
    saveUninitialized: true,
    ...sessionGiven,
  };
  const sessions = session({ ...sessionOptions, secret: secret ?? randomBytes(32).toString('hex'), store });
  forgetWith(store, serving);

  const { namespace, transport, partitions } = of;
  const embedded =
    worker === 'embedded'
      ? new EmbeddedWorker(
          { redis, namespace, transport, partitions, bloom, combos: combos.map(withoutSuggest) },
          (error) => serving.emit('fault', error),
        )
      : undefined;

  const around: Surroundings = {
    serving,
    timeout,
    combos,
    page: (req) => trackedPage(track, req),
    session: (req) => {
      // express-session sends no cookie for an id that is no text (`genid`): such a session is not tracked
      if (typeof req.session?.id !== 'string' || req.session.id === '') return undefined;
      const returning = cookieCameBack(req);
      if (!returning && sessionOptions.saveUninitialized === false) return undefined;
      const ttlSeconds = ours?.ttlSeconds(req.session, returning) ?? secondsLeft(req.session, returning);
      return ttlSeconds > 0 ? { sid: req.session.id, ttlSeconds } : undefined;
    },
  };

  // of a store of the application's own nothing is known: its responses are waited for
  const responses = new Pending(ours?.client);
  const open = new Set<Response>();
  const closeAll = async (timeoutMs: number) => {
    const endMs = performance.now() + timeoutMs;
    const left = () => ({ timeout: Math.max(0, endMs - performance.now()) });
    await responses.settled(timeoutMs);
    await Promise.all([serving.close(left()), ours?.close(left())]);
    // last: it still hears what was sent just now
    await embedded?.close(left());
  };
  /** is a proxy's word not asked for, and nobody told yet? */
  let untrusted = sessionOptions.proxy === undefined;
  const warnIfSecure =
    (req: Request, next: NextFunction): NextFunction =>
    (error?: unknown) => {
      if (req.session?.cookie.secure === true && untrusted) {
        untrusted = false;
        process.emitWarning(
          'a secure cookie is not set: the proxy says https, and the application does not trust it. ' +
            "app.set('trust proxy', 1), or option session: { proxy: true }",
          { code: 'ERR_INTELLIGENT_SESSION_PROXY' },
        );
      }
      next(error);
    };
  let closing: Promise<void> | undefined;
  const close = ({ timeout = CLOSE_TIMEOUT_MS }: { timeout?: number } = {}) => {
    if (!closing) open.forEach(lastOfItsConnection);
    closing ??= closeAll(timeout);
    return closing;
  };

  const handler = (req: Request, res: Response, next: NextFunction) => {
    // twice the same one; or another one (each may have a cookie path of its own) that made the session
    if (req.intelligence && (req.session || req.intelligence.around === around)) {
      next();
      return;
    }
    req.intelligence = new RequestIntelligence(req, res, around);
    if (typeof res.once === 'function') {
      responses.begin();
      open.add(res);
      res.once('close', () => {
        open.delete(res);
        responses.end();
      });
      if (closing) lastOfItsConnection(res);
    }
    sessions(req, res, untrusted && isUntrusted(req) ? warnIfSecure(req, next) : next);
  };
  return Object.assign(handler, { store, serving, close });
}

/** Behind a proxy that has the browser's TLS, while the application does not look at what it says. */
const isUntrusted = (req: Request): boolean =>
  /^https/i.test(String(req.headers['x-forwarded-proto'])) &&
  req.secure !== true &&
  !(req.socket as TLSSocket | null)?.encrypted;

/** server.close() leaves a connection that is kept alive: it would bring one request after the other. */
function lastOfItsConnection(res: Response): void {
  if (!res.headersSent) res.setHeader('Connection', 'close');
}

const withoutSuggest = ({ name, pages }: { name: string; pages: readonly string[] }) => ({ name, pages });

/** A session's intelligence goes when the session does, whatever the store. */
function forgetWith(store: Store, serving: ServingLayer): void {
  const destroy = store.destroy;
  store.destroy = function (this: Store, sid, callback) {
    serving.forget(sid);
    return destroy.call(this, sid, callback);
  };
}

/** express-session has checked the signature; a session that was made just now has an id that no cookie holds. */
function cookieCameBack(req: Request): boolean {
  return req.headers.cookie?.includes(encodeURIComponent(req.sessionID)) ?? false;
}

function secondsLeft({ cookie }: SessionData, returning: boolean): number {
  const left = cookie.expires ? Math.ceil((new Date(cookie.expires).getTime() - Date.now()) / 1000) : DEFAULT_TTL;
  return returning ? left : Math.min(left, NEW_SESSION_TTL);
}
