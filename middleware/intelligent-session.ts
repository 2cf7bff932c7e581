import { randomBytes } from 'node:crypto';
import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Request, Response } from 'express';
import session, { type SessionData, type Store } from 'express-session';
import { optionsOf } from '../lib/options/check-arguments.js';
import { IntelligentSessionError, OptionError } from '../lib/errors/errors.js';
import { CLOSE_TIMEOUT_MS } from '../lib/redis/unfinished.js';
import type { Executor } from '../lib/serving/executor.js';
import { LocalExecutor } from '../lib/serving/local-executor.js';
import { ServingLayer } from '../lib/serving/remote-executor.js';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';
import { warn } from '../lib/errors/warnings.js';
import { beacon } from './beacon.js';
import { guardSerialization } from './guard-serialization.js';
import { type IntelligentSessionOptions, isStore, resolveOptions } from './options.js';
import { orderError } from './middleware-order.js';
import { countOpen } from './open-instances.js';
import { pageNames } from './page-name.js';
import { type IntelligentRequest, RequestIntelligence, type RequestContext } from './request-intelligence.js';
import { Responses } from './responses.js';
import { onSessionEnd } from './session-ends.js';
import { askedPage, automaticPage } from './tracking.js';
import { warnOfUntrustedProxy } from './untrusted-proxy.js';
import { policyOf, type VisitorPolicy } from './visitor-policy.js';

declare global {
  namespace Express {
    interface Request {
      intelligence: RequestIntelligence;
    }
  }
}

// here, where whoever imports the package gets it
declare module 'express-session' {
  interface Session {
    /** Saves now. Rejects where the store refuses: with `saveMode: 'reject'` by status 409. */
    save(): Promise<void>;
    /** Reads the session again, into a new `req.session`. */
    reload(): Promise<void>;
    /** Destroys the session and makes a new `req.session`, with an id of its own. */
    regenerate(): Promise<void>;
    /** Destroys the session; `req.session` is gone. */
    destroy(): Promise<void>;
  }
}

type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

/** The middleware, for Express and whatever else has the requests and responses of node:http, and what belongs to it. */
export interface IntelligentSession extends Middleware {
  readonly store: Store;
  /** events `degraded` and `fault`, and the metrics */
  readonly serving: Executor;
  /**
   * A handler for POST: counts the page that a script of the site names in the body (at most 2,048 bytes of text), or the
   * Referer's, for a session whose cookie has come back. Answers 204. For pages that were prefetched or prerendered:
   * `navigator.sendBeacon('/seen', location.href)` when they are shown.
   */
  beacon(): (req: IncomingMessage, res: ServerResponse) => void;
  /**
   * Waits for the responses that are under way and for what they save and send, at most `timeout` ms (5000) and not at all
   * where Redis is away; then closes every connection that was opened here. Can be called twice.
   */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}

const NEW_SESSION_TTL = 600;
const DEFAULT_TTL = 86_400;
const NO_TEXT = 'option "session.genid" gives no text: no cookie is set, and nothing is known of visitors';

/** express-session with a store on Redis, and `req.intelligence`. Every option has a default. */
export function intelligentSession(options: IntelligentSessionOptions = {}): IntelligentSession {
  if (options instanceof IncomingMessage)
    throw new OptionError('app.use(intelligentSession) lacks its call: app.use(intelligentSession({ … }))');
  const {
    redis,
    secret,
    combos: combosGiven,
    timeout,
    track,
    pages,
    bots,
    worker,
    local,
    session: sessionGiven,
    store: storeGiven,
    ...of
  } = resolveOptions(options);
  if (!secret)
    warn(
      'INTELLIGENT_SESSION_NO_SECRET',
      'no secret: set option "secret" or SESSION_SECRET; until then sessions end with this process',
    );
  const sessionOptions: Omit<session.SessionOptions, 'secret'> = {
    resave: false,
    saveUninitialized: true,
    ...(withoutUndefined(sessionGiven) as typeof sessionGiven),
  };
  const signing = { ...sessionOptions, secret: secret ?? randomBytes(32).toString('hex') };
  checkSessionOptions(signing);
  const ours = isStore(storeGiven)
    ? undefined
    : new RedisSessionStore({ ...storeGiven, maxWaitMs: storeGiven.maxWaitMs ?? of.maxWaitMs, redis });
  const store: Store = ours ?? (storeGiven as Store);
  const pageName = pageNames(pages);
  const combos = combosGiven.map((combo) => ({ ...combo, pages: combo.pages.map(pageName) }));
  const tellsAway = ours === undefined;
  const serving: Executor =
    worker === 'embedded'
      ? new LocalExecutor(redis, { ...of, ...local, tellsAway, combos: combos.map(withoutSuggest) })
      : new ServingLayer(redis, { ...of, tellsAway });
  const given = { ...signing, store };
  const storing = session(given);
  // express-session decides once whether it stores what holds nothing; both follow the store, and make the same sessions
  const saving = session({ ...given, saveUninitialized: false });
  const storesEmpty = sessionOptions.saveUninitialized !== false;
  // A session's intelligence goes when the session does, whatever the store.
  const unsubscribe = onSessionEnd(store, (sid) => serving.forget(sid));
  const fault = (error: Error) => void serving.emit('fault', error);
  let genidTold = false;

  const context: RequestContext = {
    serving,
    timeout,
    combos,
    pageName,
    askedPage: (req) => askedPage(track, req),
    automaticPage: (req, ended) => automaticPage(track, req, ended),
    session: (req, { stored }) => {
      if (!req.session) return undefined;
      // express-session sends no cookie for an id that is no text: such a session is not tracked
      if (typeof req.session.id !== 'string' || req.session.id === '') {
        if (!genidTold) fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', NO_TEXT));
        genidTold = true;
        return undefined;
      }
      const returning = cookieCameBack(req);
      if (!returning && !stored) return undefined;
      const ttlSeconds = ours?.ttlSeconds(req.session, returning) ?? secondsLeft(req.session, returning);
      return ttlSeconds > 0 ? { sid: req.session.id, ttlSeconds, returning } : undefined;
    },
  };

  const responses = new Responses(ours?.client);
  const warnOfProxy = warnOfUntrustedProxy(sessionOptions.proxy);
  const closeAll = async (timeoutMs: number) => {
    const endMs = performance.now() + timeoutMs;
    const left = () => ({ timeout: Math.max(0, endMs - performance.now()) });
    await responses.close(timeoutMs);
    unsubscribe();
    await Promise.all([serving.close(left()), ours?.close(left())]);
  };
  const closed = countOpen();
  let closing: Promise<void> | undefined;
  const close = (options?: { timeout?: number | undefined }) => {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    if (!closing) {
      closing = closeAll(timeout);
      closed();
    }
    return closing;
  };

  const handler: Middleware = (request, res, next) => {
    const req = request as IntelligentRequest;
    if (req.intelligence?.context === context) {
      next(); // twice the same one
      return;
    }
    if (req.session) {
      const error = orderError(req, sessionOptions.cookie, serving.namespace);
      if (error || req.intelligence) {
        next(error);
        return;
      }
    }
    let policy: VisitorPolicy;
    try {
      policy = policyOf(bots, storesEmpty, req);
    } catch (error) {
      next(error); // of an application's own function
      return;
    }
    const intelligence = new RequestIntelligence(req, context, policy);
    req.intelligence = intelligence;
    responses.add(res, () => intelligence.end(res));
    const sessions = policy.stored ? storing : saving;
    sessions(req as Request, res as Response, warnOfProxy(req, guardSerialization(req, res, next, fault)));
  };
  const countSeen = (request: IncomingMessage, page: string) => {
    const req = request as IntelligentRequest;
    if (!req.intelligence?.policy.tracked) return;
    const seen = context.session(req, req.intelligence.policy);
    if (seen?.returning) serving.send('pageview', seen.sid, pageName(page), seen.ttlSeconds);
  };
  return Object.assign(handler, { store, serving, beacon: () => beacon(countSeen, fault), close });
}

/** express-session throws for wrong options, for some of them at each request: before anything is connected. */
function checkSessionOptions(options: session.SessionOptions): void {
  const NoStore = session.Store as unknown as new () => Store;
  const Cookie = session.Cookie as unknown as new (options: object) => {
    serialize(name: string, value: string): string;
  };
  try {
    session({ ...options, store: new NoStore() });
    const { cookie = {}, name = 'connect.sid' } = options;
    if (typeof cookie !== 'function') new Cookie(cookie).serialize(name, '');
  } catch (error) {
    throw new OptionError(`intelligentSession(): option "session": ${(error as Error).message}`);
  }
}

/** express-session takes an option that is there and undefined for another one than an option that is not there. */
const withoutUndefined = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

const withoutSuggest = ({ name, pages }: { name: string; pages: readonly string[] }) => ({ name, pages });

/** express-session has checked the signature; a session that was made just now has an id that no cookie holds. */
function cookieCameBack(req: IntelligentRequest): boolean {
  return req.headers.cookie?.includes(encodeURIComponent(req.sessionID)) ?? false;
}

function secondsLeft({ cookie }: SessionData, returning: boolean): number {
  const left = cookie.expires ? Math.ceil((new Date(cookie.expires).getTime() - Date.now()) / 1000) : DEFAULT_TTL;
  return returning ? left : Math.min(left, NEW_SESSION_TTL);
}
