import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Store } from 'express-session';
import { OptionError } from '../lib/errors/errors.js';
import { argumentError, optionsOf } from '../lib/options/check-arguments.js';
import { CLOSE_TIMEOUT_MS, UnfinishedWork } from '../lib/redis/unfinished-work.js';
import type { Executor } from '../lib/serving/executor.js';
import { LocalExecutor } from '../lib/serving/local-executor.js';
import { RemoteExecutor } from '../lib/serving/remote-executor.js';
import { VisitorNotifications } from '../lib/notifications/visitor-notifications.js';
import { subjectOfSession } from '../lib/session/hidden-fields.js';
import { RedisSessionStore } from '../lib/session/redis-session-store.js';
import { beacon } from './beacon.js';
import { consentOf } from './consent.js';
import type { ExpressRequest } from './express-request.js';
import { expressSessionOptions } from './express-session-options.js';
import type { LiveOptions } from './live-options.js';
import { liveScript, type LiveScriptOptions } from './live-script.js';
import { openLive } from './live-source.js';
import { type Loaded, load } from './load.js';
import { countOpen } from './open-instances.js';
import type { IntelligentSessionOptions } from './intelligent-session-options.js';
import { pageNames } from './page-name.js';
import { type Middleware, requestHandler } from './request-handler.js';
import type { IntelligentRequest, RequestContext, RequestIntelligence } from './request-intelligence.js';
import { isStore, resolveOptions } from './resolve-options.js';
import { Responses } from './responses.js';
import { onSessionEnd } from './session-ends.js';
import { rotatingIds } from './rotating-ids.js';
import { Subjects } from './subjects.js';
import { actingUsers, trackedSessions, trackSession } from './tracked-session.js';
import { askedPage, automaticPage, checkedTrack } from './tracking.js';
import type { VisitorIntelligence } from './visitor-intelligence.js';
import { visitorFinder, type Who } from './visitors.js';
import { checkedBots } from './visitor-policy.js';

// Both declarations stand in this file, so that an import of the package has them, and one of the store alone has not.
declare global {
  namespace Express {
    interface Request {
      intelligence: RequestIntelligence;
    }
  }
}

declare module 'express-session' {
  interface Session {
    /** Saves now. Rejects where the store refuses: with `saveMode: 'reject'` by an error with status 409. */
    save(): Promise<void>;
    /** Reads the session again, into a new `req.session`. */
    reload(): Promise<void>;
    /** Destroys the session and makes a new `req.session`, with an id of its own. */
    regenerate(): Promise<void>;
    /** Destroys the session, and `req.session` is gone. */
    destroy(): Promise<void>;
  }
}

/** The middleware, for Express and whatever else has the requests and responses of node:http, and what belongs to it. */
export interface IntelligentSession extends Middleware {
  /** The store of the sessions: a RedisSessionStore, or that of the option `store`. */
  readonly store: Store;
  /**
   * What `req.intelligence` sends and asks through: its events `degraded`, `circuit`, `fault`, `away` and `back`, and its
   * metrics.
   */
  readonly serving: Executor;
  /**
   * A handler for POST: counts the page that a script of the site names in the body (at most 2,048 bytes of text), or the
   * Referer's, for a session whose cookie has come back. Answers 204, whatever came. One PUBLISH or XADD. For pages that were
   * prefetched or prerendered: `navigator.sendBeacon('/seen', location.href)` when they are shown.
   */
  beacon(): (req: IncomingMessage, res: ServerResponse) => void;
  /**
   * A handler for GET: a stream of server-sent events that says how many notifications a visitor has not read, whenever that
   * changes (docs/notifications.md, "Live"). Needs the option `notifications`. Throws an OptionError for a wrong option.
   */
  live(options?: LiveOptions): (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void) => void;
  /** A handler for GET: the script that keeps a page's badge up to date by `live()`, less than 2 kB. It needs no session. */
  liveScript(options?: LiveScriptOptions): (req: IncomingMessage, res: ServerResponse) => void;
  /**
   * What `req.intelligence` is, outside a request: for jobs, WebSockets and whatever else has a session's id, the Cookie header
   * that came with it, or a user (which takes the option `user`). Costs nothing before it is asked; then it reads the session
   * once, a GET, and of a user nothing. Nobody is asked for consent: that is for you to know. Throws an OptionError for a wrong
   * argument.
   */
  of(who: Who, options?: { groups?: readonly string[] | undefined }): VisitorIntelligence;
  /**
   * A handler that asks for several things at once, one round trip of time, and puts the answers into `res.locals`, where
   * templates find them: `app.get('/', sessions.load('pageview', 'unread'), (req, res) => res.render('home'))`. `pageview`,
   * `activity`, `suggestions`, `notifications`, `unread`; each costs what its method costs. Throws an OptionError for another
   * name.
   */
  load(...names: Loaded[]): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;
  /**
   * Waits for the responses that are under way and for what they save and send, for `timeout` ms at most (5000) and not at all
   * where Redis is away; then closes every connection that was opened here. Can be called twice. Never rejects for a fault.
   */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}

/**
 * express-session with a store on Redis, and `req.intelligence`. Every option has a default. Throws an OptionError for a wrong
 * option, and in production where there is no secret; a Redis that can't be reached is no error but the event `away`.
 */
export function intelligentSession(options: IntelligentSessionOptions = {}): IntelligentSession {
  if (options instanceof IncomingMessage)
    throw new OptionError('app.use(intelligentSession) lacks its call: app.use(intelligentSession({ … }))');
  const {
    redis,
    secret,
    session: sessionGiven,
    store: storeGiven,
    timeoutMs,
    track: trackGiven,
    pages,
    bots,
    consent,
    notifications,
    combos: combosGiven,
    user,
    keepUsersForDays,
    rotateEvery,
    rotateGrace,
    worker,
    local,
    itemSecret,
    ...others
  } = resolveOptions(options);
  const executorOptions = { ...others, itemSecret };
  const sessionOptions = expressSessionOptions(sessionGiven, secret);
  const ownStore = isStore(storeGiven)
    ? undefined
    : new RedisSessionStore({
        ...storeGiven,
        maxWaitMs: storeGiven.maxWaitMs ?? executorOptions.maxWaitMs,
        itemSecret,
        ...(typeof user === 'function' && { user }),
        redis,
      });
  const store = ownStore ?? (storeGiven as Store);
  const pageName = pageNames(pages);
  const combos = combosGiven.map((combo) => ({ ...combo, pages: combo.pages.map(pageName) }));
  // The package's own store says on the console itself that Redis is away.
  const tellsAway = ownStore === undefined;
  const hasUsers = user !== undefined;
  const serving: Executor =
    worker === 'embedded'
      ? new LocalExecutor(redis, {
          ...executorOptions,
          ...local,
          tellsAway,
          hasUsers,
          combos: combos.map(withoutSuggest),
        })
      : new RemoteExecutor(redis, { ...executorOptions, tellsAway, hasUsers });
  // When a session ends, its subject's data are erased, whatever the store.
  const stopListening = [
    onSessionEnd(store, ({ subject }) => {
      if (subject !== undefined) void serving.forget(subject);
    }),
  ];
  const fault = (error: Error) => void serving.emit('fault', error);
  const track = checkedTrack(trackGiven, fault);
  const subjects = user && new Subjects(serving, user, keepUsersForDays, fault);
  if (subjects) ownStore?.useSubjects(subjects);
  const { maxWaitMs, namespace } = executorOptions;
  const notified =
    notifications &&
    new VisitorNotifications(
      redis,
      {
        ...{ namespace, itemKey: serving.itemKey, timeoutMs, maxWaitMs },
        earlier: notifications.earlier,
        durable: notifications.durable,
      },
      { fault, unanswered: (method, why) => void serving.emit('degraded', method, why) },
    );
  if (notified && subjects)
    subjects.alsoCarry = (from, user) => notified.carry(from, { subject: user, ttlSeconds: subjects.userTtlSeconds });
  const trackOf = trackSession(ownStore, subjects);
  if (rotateEvery !== undefined) ownStore?.useRotation({ everyMs: rotateEvery * 1000, graceMs: rotateGrace * 1000 });
  const renewId = rotatingIds(rotateEvery === undefined ? undefined : ownStore, ({ session }, sid) =>
    live?.sessionEnded({ sid, visitor: subjects?.visitorOf(sid, session) ?? subjectOfSession(session) }),
  );
  const context: RequestContext = {
    serving,
    timeoutMs,
    combos,
    pageName,
    pageOfCall: (req) => askedPage(track, req),
    automaticPage: (req, ended) => automaticPage(track, req, ended),
    trackedSession: trackedSessions(trackOf, ownStore, fault),
    actingUser: actingUsers(subjects),
    subjects,
    sessionsOf: typeof user === 'function' ? (name) => (ownStore as RedisSessionStore).sessionsOf(name) : undefined,
    notified,
    groupsOf: (req) => notifications?.groups(req as ExpressRequest) ?? [],
  };
  const live = notified && openLive(context, notified, store);
  if (notified) serving.addMetrics(notified.metrics);
  if (live) {
    stopListening.push(onSessionEnd(store, (end) => live.sessionEnded(end)));
    if (subjects) subjects.onVisitorChanged = (sid, visitor) => live.sessionEnded({ sid, visitor });
  }
  const responses = new Responses(ownStore?.client);
  const sessionReads = new UnfinishedWork(ownStore?.client);
  const wait = (work: Promise<unknown>) => sessionReads.track(work);
  const of = visitorFinder(context, { store, track: trackOf, wait }, sessionOptions);
  const handler = requestHandler(
    { ...sessionOptions, store },
    checkedBots(bots, fault),
    consentOf(consent, fault),
    context,
    renewId,
    responses,
  );
  const countBeacon = (request: IncomingMessage, page: string) => {
    const req = request as IntelligentRequest;
    if (!req.intelligence?.policy.tracked) return;
    const visitor = context.trackedSession(req, req.intelligence.policy);
    if (visitor?.returning) serving.send('pageview', visitor.subject, pageName(page), visitor);
  };
  const liveHandler = (given?: LiveOptions) => {
    if (!live) throw argumentError('live', 'option `notifications: { groups }` of intelligentSession()', undefined);
    return live.handler(given);
  };
  const close = closeOnce(async (timeoutMs) => {
    const endMs = performance.now() + timeoutMs;
    const timeLeft = () => ({ timeout: Math.max(0, endMs - performance.now()) });
    live?.close();
    await Promise.all([responses.close(timeoutMs), sessionReads.settled(timeoutMs)]);
    for (const stop of stopListening) stop();
    await Promise.all([serving.close(timeLeft()), ownStore?.close(timeLeft()), notified?.close(timeLeft().timeout)]);
  });
  return Object.assign(handler, {
    store,
    serving,
    beacon: () => beacon(countBeacon, fault),
    live: liveHandler,
    liveScript,
    load: (...names: Loaded[]) => load(names, notified !== undefined),
    of,
    close,
  });
}

/** Makes the close(): the first call does the work, and until then this middleware counts as open. */
function closeOnce(work: (timeoutMs: number) => Promise<void>): IntelligentSession['close'] {
  const countClosed = countOpen();
  let closing: Promise<void> | undefined;
  return (options) => {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    if (!closing) {
      closing = work(timeout);
      countClosed();
    }
    return closing;
  };
}

/** What a combo suggests is the application's own affair: who carries out commands needs its name and its pages. */
const withoutSuggest = ({ name, pages }: { name: string; pages: readonly string[] }) => ({ name, pages });
