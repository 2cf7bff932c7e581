import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Session, SessionData } from 'express-session';
import { argumentError } from '../lib/options/check-arguments.js';
import { applicationFault } from '../lib/errors/errors.js';
import { builtIn } from '../lib/intelligence/commands.js';
import type { PageviewReport } from '../lib/intelligence/commands/pageview/index.js';
import { subjectOfSession } from '../lib/session/hidden-fields.js';
import type { IntelligenceContext, OwnedSessions, TrackedSession, Untracked } from './intelligence.js';
import { NotifiedIntelligence } from './notified-intelligence.js';
import type { VisitorPolicy } from './visitor-policy.js';

/** A request that went through the middleware. Express' requests are of this type; on plain node:http it takes a cast. */
export interface IntelligentRequest extends IncomingMessage {
  readonly originalUrl?: string;
  /** Undefined while the store is away, where the cookie has another path, and after destroy(). */
  session: Session & Partial<SessionData>;
  sessionID: string;
  intelligence: RequestIntelligence;
}

/** What the middleware gives to `req.intelligence`. */
export interface RequestContext extends IntelligenceContext {
  /** The page that a call of pageview() counts: there is always one. */
  readonly pageOfCall: (req: IntelligentRequest) => string;
  /**
   * The page that counts without a call of pageview(), or undefined. `ended`: the response has ended, so no route will become known
   * that is not known yet.
   */
  readonly automaticPage: (req: IntelligentRequest, ended: boolean) => string | undefined;
  /** Whom the request's commands are about. Undefined where there is no session, or one that is not stored. */
  readonly trackedSession: (req: IntelligentRequest, policy: VisitorPolicy) => TrackedSession | undefined;
  /** The names of the groups whose notifications the visitor gets. */
  readonly groupsOf: (req: IntelligentRequest) => readonly string[];
  /** The user who is logged in, for their own acts on a request that is not tracked. Undefined where nobody is. */
  readonly actingUser: (req: IntelligentRequest) => TrackedSession | undefined;
}

/**
 * `req.intelligence`. Where Redis or the worker is away, nothing here rejects, but ask() with `onUnanswered: 'reject'`: a figure
 * is undefined, a list that was given comes back as it went in, suggestions() and notifications() give [], and `degraded` is
 * true. A wrong argument is an OptionError. Each call that asks costs one PUBLISH (or XADD) and one RPUSH of the worker's;
 * embedded, a part of a script call.
 */
export class RequestIntelligence extends NotifiedIntelligence {
  /** The report of this request's page view. Once it is there, a view was counted or sent, and no other one is. */
  #report: Promise<PageviewReport | undefined> | undefined;
  /** The application's function `track` has thrown, and is not called again. */
  #trackFailed = false;
  #isStream = false;
  /** forget() was called: what this request would keep from then on is not sent. */
  #isForgotten = false;

  constructor(
    readonly req: IntelligentRequest,
    override readonly context: RequestContext,
    readonly policy: VisitorPolicy,
  ) {
    super(context);
  }

  /** The response has ended, or was aborted: sends the automatic page view of one that ended, and renews what is kept. */
  end(res: ServerResponse): void {
    // Where a later intelligentSession() has made the session, that one's `req.intelligence` counts.
    if (this.#isStream || !this.policy.tracked || this.req.intelligence !== this) return;
    if (res.writableFinished) this.#sendPageview(res);
    this.#renew();
  }

  /** The response is a stream: it is no page, and however long it lasts, it renews nothing at its end. */
  markAsStream(): void {
    this.#isStream = true;
  }

  /**
   * Counts this request's page view, whatever `track` says and however the request ends, and gives a report of the visitor
   * (white paper, "Activity Pattern Monitoring & Personalization"). A second call gives the same report and counts nothing.
   * Undefined: no answer came within the option `timeout` (100 ms), or nobody waited for one, since a circuit is open; the visitor is
   * not tracked; or this view was counted before.
   */
  pageview(): Promise<PageviewReport | undefined> {
    this.#report ??= this.#countByCall();
    return this.#report;
  }

  /** It is async, so that what the application's function `track` throws is a rejection. */
  async #countByCall(): Promise<PageviewReport | undefined> {
    return this.count(this.context.pageOfCall(this.req));
  }

  /**
   * Says whose session this is, with the option `user: 'identify'`: what is known of the visitor is the user's from now on, on
   * every device. It is stored with the session, so once is enough. `user` is the user's id; `undefined` says that the user has
   * logged out.
   */
  identify(user: string | number | bigint | undefined | null): void {
    const { subjects } = this.context;
    if (!subjects) throw argumentError('identify', "option `user: 'identify'` of intelligentSession()", undefined);
    subjects.identify(this.req, user);
  }

  /**
   * Erases all that is known of this visitor, and of the user who is logged in: what is in Redis, and messages on their way.
   * What stays is a mark without data, for a minute (with streams, for `maxMessageAgeSeconds`). What a user does afterwards is
   * kept. The session itself goes on, see docs/users.md. Works without consent, too. True: erased; false: Redis did not do it, the
   * user's key is not known yet, or there is no session. An anonymous visitor costs SET, HKEYS and UNLINK, in one round trip, and an
   * UNLINK where commands of your own keep something. A user costs TIME besides; with a function as option `user` their sessions
   * are read first, and what these have not carried yet is erased, too: four round trips at most, without keys of your own.
   */
  async forget(): Promise<boolean> {
    const { subjects } = this.context;
    if (!this.req.session) {
      this.degraded = true;
      return false;
    }
    this.#isForgotten = true;
    const owned = subjects
      ? subjects.ownedBy(this.req)
      : { user: undefined, userName: undefined, anonymous: [subjectOfSession(this.req.session)] };
    const isErased = owned !== undefined && (await this.erase(owned));
    if (!isErased) this.degraded = true;
    // Where the application has ended the session meanwhile, none goes on.
    else if (this.req.session) subjects?.erased(this.req);
    return isErased;
  }

  protected override whose(command: string): TrackedSession | Untracked {
    return this.#trackedSession() ?? this.#actingUser(command) ?? { reason: this.#whyUntracked(command) };
  }

  protected override groups(): readonly string[] {
    return this.context.groupsOf(this.req);
  }

  /** A mark as read is the user's own act, whichever method makes it. */
  protected override whoseMarks(): TrackedSession | Untracked {
    return this.whose('mark-notification-seen');
  }

  protected override async ownedSessions(): Promise<OwnedSessions> {
    const { subjects, sessionsOf } = this.context;
    // On a site without users, isAnonymous is false for everybody.
    const isUser = this.#trackedSession()?.isAnonymous === false && subjects !== undefined;
    const name = isUser ? subjects.userName(this.req) : undefined;
    return { isUser, sessions: name !== undefined && sessionsOf ? await sessionsOf(name) : [this.req.session] };
  }

  #trackedSession(): TrackedSession | undefined {
    const isTracked = this.policy.tracked && !this.#isForgotten;
    return isTracked ? this.context.trackedSession(this.req, this.policy) : undefined;
  }

  /**
   * For a command that is the user's own act: the logged-in user who does not consent to being tracked. Such acts are kept all
   * the same.
   */
  #actingUser(command: string): TrackedSession | undefined {
    return this.#isKeptWithoutConsent(command) ? this.context.actingUser(this.req) : undefined;
  }

  #isKeptWithoutConsent(command: string): boolean {
    return this.policy.why === 'no-consent' && !this.#isForgotten && builtIn.get(command)?.isOwnAct === true;
  }

  /** Sends the automatic page view before the command that is asked, whose answer then includes it. */
  protected override countFirst(): void {
    const page = this.#automaticPage(false);
    if (page === undefined) return;
    this.#report = this.count(page);
    this.#report.catch((error: unknown) => this.context.serving.emit('fault', applicationFault(error)));
  }

  /** The page that counts by itself, if none has counted on this request yet. What `track` throws is one event `fault`. */
  #automaticPage(ended: boolean): string | undefined {
    if (this.#report || this.#trackFailed || !this.policy.tracked) return undefined;
    try {
      return this.context.automaticPage(this.req, ended);
    } catch (error) {
      this.#trackFailed = true;
      this.context.serving.emit('fault', applicationFault(error));
      return undefined;
    }
  }

  #whyUntracked(command: string): Untracked['reason'] {
    const isWanted = this.policy.tracked || this.#isKeptWithoutConsent(command);
    if (isWanted && this.context.subjects?.lacksSubject(this.req)) return 'redis';
    if (this.policy.why === 'no-consent') return 'no-consent';
    return this.policy.tracked && this.req.session === undefined ? 'no-session' : 'untracked';
  }

  /** Sends the page view of a request that has counted none yet, if the request went well. Nobody waits for it. */
  #sendPageview({ statusCode }: ServerResponse): void {
    if (!((statusCode >= 200 && statusCode < 300) || statusCode === 304)) return;
    const page = this.#automaticPage(true);
    if (page === undefined) return;
    try {
      const session = this.#trackedSession();
      if (!session) return;
      this.#report = Promise.resolve(undefined); // so that nothing counts it again
      this.context.serving.send('pageview', session.subject, this.context.pageName(page), session);
    } catch (error) {
      this.context.serving.emit('fault', applicationFault(error)); // The response has gone, so no error handler gets it.
    }
  }

  /**
   * What is kept lives as long as the session, and a worker renews it with a page view. So a request without one renews it, and one
   * of which any call went unanswered, since that may have been the view. Of a new session, whose cookie has not come back yet,
   * nothing older than this request is kept.
   */
  #renew(): void {
    try {
      const session = this.#report && !this.degraded ? undefined : this.#trackedSession();
      if (session?.returning) this.context.serving.renew(session.subject, session.ttlSeconds);
    } catch (error) {
      this.context.serving.emit('fault', applicationFault(error)); // A function of the application's threw, and the response has gone.
    }
  }
}
