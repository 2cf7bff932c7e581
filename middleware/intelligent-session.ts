import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import session, { type SessionData, type Store } from 'express-session';
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
  /** Closes every connection that was opened here. Can be called twice. */
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
  const ours = storeGiven instanceof EventEmitter ? undefined : new RedisSessionStore({ ...storeGiven, redis });
  const store: Store = ours ?? storeGiven;
  const serving = new ServingLayer(redis, of);
  const sessionOptions: Omit<session.SessionOptions, 'secret'> = {
    resave: false,
    saveUninitialized: true,
    ...sessionGiven,
  };
  const sessions = session({ ...sessionOptions, secret: secret ?? randomBytes(32).toString('hex'), store });
  forgetWith(store, serving);

  const { namespace, transport, partitions, maxMessageAgeSeconds } = of;
  const embedded =
    worker === 'embedded'
      ? new EmbeddedWorker(
          { redis, namespace, transport, partitions, maxMessageAgeSeconds, bloom, combos: combos.map(withoutSuggest) },
          (error) => serving.emit('fault', error),
        )
      : undefined;

  const around: Surroundings = {
    serving,
    timeout,
    combos,
    page: (req) => trackedPage(track, req),
    session: (req) => {
      if (!req.session?.id) return undefined;
      const returning = cookieCameBack(req);
      if (!returning && sessionOptions.saveUninitialized === false) return undefined;
      const ttlSeconds = ours?.ttlSeconds(req.session, returning) ?? secondsLeft(req.session, returning);
      return ttlSeconds > 0 ? { sid: req.session.id, ttlSeconds, returning } : undefined;
    },
  };

  const handler = (req: Request, res: Response, next: NextFunction) => {
    if (req.intelligence) {
      next();
      return;
    }
    req.intelligence = new RequestIntelligence(req, res, around);
    sessions(req, res, next);
  };
  const close = async (how: { timeout?: number } = {}) => {
    await Promise.all([embedded?.close(how), serving.close(), ours?.close()]);
  };
  return Object.assign(handler, { store, serving, close });
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
