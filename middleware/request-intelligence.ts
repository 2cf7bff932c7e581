import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Session, SessionData } from 'express-session';
import { argumentError, optionsOf } from '../lib/options/check-arguments.js';
import { applicationFault } from '../lib/errors/errors.js';
import type { CommandCaller, Combo } from '../lib/intelligence/command/descriptor.js';
import { type CommandMethods, descriptors } from '../lib/intelligence/commands.js';
import type { Explained } from '../lib/intelligence/commands/explain/index.js';
import type { PageviewReport } from '../lib/intelligence/commands/pageview/index.js';
import { isSendable } from '../lib/redis/keys.js';
import type { Executor } from '../lib/serving/executor.js';
import { subjectOfSession } from '../lib/session/hidden-fields.js';
import { type Explanation, explanationOf } from './explanation.js';
import { type AskOptions, type AskResult, UnansweredError } from './ask-result.js';
import type { Subjects } from './subjects.js';
import type { VisitorPolicy } from './visitor-policy.js';

/** A request that went through the middleware. Express' requests are of this type; on plain node:http it takes a cast. */
export interface IntelligentRequest extends IncomingMessage {
  readonly originalUrl?: string;
  /** It is undefined while the store is away, and where the cookie's path is another. */
  session: Session & Partial<SessionData>;
  sessionID: string;
  intelligence: RequestIntelligence;
}

/** Of whom something is kept: of a visitor, by the session, or of a user. */
export interface TrackedSession {
  /** The session's id, a user's subject, or another one of an anonymous visitor. */
  readonly subject: string;
  /** Is it a visitor who may log in, and whose data are then carried to the user? */
  readonly isAnonymous: boolean;
  /** How long what is kept of it lives from now on. */
  readonly ttlSeconds: number;
  /** Has its cookie come back once? */
  readonly returning: boolean;
}

/** What one request needs to know of the middleware. */
export interface RequestContext {
  readonly serving: Executor;
  readonly timeoutMs: number;
  /** The option `combos`; each page has its one name. */
  readonly combos: readonly Combo[];
  /** Gives the one name of all spellings of a page. */
  readonly pageName: (text: string) => string;
  /** The page that pageview() counts. */
  readonly askedPage: (req: IntelligentRequest) => string;
  /** The page that counts by itself, or undefined. `ended`: is the response at its end? */
  readonly automaticPage: (req: IntelligentRequest, ended: boolean) => string | undefined;
  /** Undefined where there is no session, or one that is not stored. */
  readonly session: (req: IntelligentRequest, policy: VisitorPolicy) => TrackedSession | undefined;
  /** Undefined where the application has no users. */
  readonly subjects: Subjects | undefined;
  /** The sessions of a user; undefined where the store does not know users. */
  readonly sessionsOf: ((user: string) => Promise<readonly SessionData[]>) | undefined;
}

/** The methods that the commands bring: `freshPages()`, `notifications()`, `combo()` and so on. */
export interface RequestIntelligence extends CommandMethods {}

/**
 * `req.intelligence`. Nothing here rejects because Redis or the worker is away, unless it is asked to: a figure is then undefined, a
 * list comes back as it went in, and `degraded` is true. A wrong argument is an OptionError. Each call that asks costs one PUBLISH
 * (or XADD) and one RPUSH of the worker's; embedded, a part of a script call.
 */
export class RequestIntelligence implements CommandCaller {
  /** Did something go unanswered on this request? */
  degraded = false;
  #report: Promise<PageviewReport | undefined> | undefined;
  #trackFailed = false;
  /** What was known was erased on this request, which leaves nothing more. */
  #isForgotten = false;

  constructor(
    readonly req: IntelligentRequest,
    readonly context: RequestContext,
    readonly policy: VisitorPolicy,
  ) {}

  /** The response has ended, or was aborted: the page view that counts by itself is sent, and what is kept is renewed. */
  end(res: ServerResponse): void {
    // Another middleware may have made the session, and then that one counts.
    if (!this.policy.tracked || this.req.intelligence !== this) return;
    if (res.writableFinished) this.#sendPageview(res);
    this.#renew();
  }

  /**
   * Counts this request's page view, whatever `track` says and however the request ends, and gives a report of the visitor (white
   * paper, "Activity Pattern Monitoring & Personalization"). A second call gives the same report and counts nothing. Undefined: no
   * answer came within the option `timeout` (100 ms), or the visitor is not tracked.
   */
  pageview(): Promise<PageviewReport | undefined> {
    this.#report ??= this.#askPageview();
    return this.#report;
  }

  async #askPageview(page?: string): Promise<PageviewReport | undefined> {
    const name = this.context.pageName(page ?? this.context.askedPage(this.req));
    const result = await this.#ask('pageview', name, this.context.timeoutMs);
    // A view of a session that was destroyed meanwhile, or one that was counted before, has no report.
    return result.answered ? ((result.data ?? undefined) as PageviewReport | undefined) : undefined;
  }

  /**
   * Says whose session this is, with the option `user: 'identify'`: what is known of the visitor is the user's from now on, on every
   * device. It is stored with the session, so once is enough; `undefined` says that the user has logged out. A text or a number.
   */
  identify(user: string | number | bigint | undefined | null): void {
    const { subjects } = this.context;
    if (!subjects) throw argumentError('identify', "option `user: 'identify'` of intelligentSession()", undefined);
    subjects.identify(this.req, user);
  }

  /**
   * Erases all that is known of this visitor, and of the user who is logged in: live data, and what is on its way. What stays is a mark
   * without data, a minute (with streams, `maxMessageAgeSeconds`), in which nothing more is kept of a user who is not on streams. The
   * session itself goes on, see docs/users.md. Works without consent, too. True: erased; false: Redis did not do it. SET and
   * UNLINK, in one round trip.
   */
  async forget(): Promise<boolean> {
    const { serving, subjects } = this.context;
    if (!this.req.session) {
      this.degraded = true;
      return false;
    }
    this.#isForgotten = true;
    const all = subjects ? subjects.allOf(this.req) : [subjectOfSession(this.req.session)];
    const erased = await Promise.all(all.filter(isSendable).map((subject) => serving.forget(subject)));
    const isErased = erased.every(Boolean);
    if (isErased) subjects?.erased(this.req);
    else this.degraded = true;
    return isErased;
  }

  /**
   * Says all that is kept of this visitor, or of the user who is logged in, ready to be handed out: what is known, and the data of the
   * session, or of all sessions of the user. Undefined where no answer came. Costs an answer, and `sessionsOf()` of the store for a
   * user.
   */
  async explain(): Promise<Explanation | undefined> {
    const answer = (await this.ask('explain')) as Explained | undefined;
    if (!answer) return undefined;
    const { subjects, sessionsOf } = this.context;
    const isUser = this.#session()?.isAnonymous === false && subjects !== undefined;
    const name = isUser ? subjects.userName(this.req) : undefined;
    try {
      const sessions = name !== undefined && sessionsOf ? await sessionsOf(name) : [this.req.session];
      return explanationOf(answer, isUser, sessions);
    } catch {
      this.degraded = true; // The store has told the fault.
      return undefined;
    }
  }

  /**
   * Sends a command of your own that nobody waits for. `payload`: a text goes as it is, anything else as JSON, 262,144 bytes at
   * most. One PUBLISH, or XADD with `transport: 'stream'`; embedded it costs what the command does. Nothing is sent for a visitor
   * who is not tracked. Throws an OptionError for a wrong argument; what goes wrong later is the event `fault`.
   */
  send(command: string, payload?: unknown): void {
    this.#countFirst();
    const session = this.#session();
    if (session) this.context.serving.send(command, session.subject, payload, session);
  }

  /**
   * Sends a command of your own and waits for its answer: what the command gave, as JSON has it, null where it gave nothing, and
   * undefined where no answer came in `timeout` ms (1 to a day; the option `timeout`, 100, by default) on top of the way to Redis and
   * back. With `onUnanswered: 'reject'` the promise rejects with an UnansweredError instead. It rejects with an OptionError for a wrong
   * argument. Costs what send() does, and one RPUSH of the worker's for the answer.
   */
  async ask(command: string, payload?: unknown, options?: AskOptions): Promise<unknown> {
    const { onUnanswered = 'undefined' } = optionsOf('ask', options);
    if (onUnanswered !== 'undefined' && onUnanswered !== 'reject')
      throw argumentError('ask', `"onUnanswered" to be 'undefined' or 'reject'`, onUnanswered);
    const result = await this.#askInOrder('ask', command, payload, options);
    if (result.answered) return result.data;
    if (onUnanswered === 'reject') throw new UnansweredError(command, result);
    return undefined;
  }

  /**
   * As ask(), and says why there is no answer: `{ answered: true, data }`, or `{ answered: false, reason, error }`. Rejects for a wrong
   * argument only.
   */
  async askResult(command: string, payload?: unknown, options?: Pick<AskOptions, 'timeout'>): Promise<AskResult> {
    return this.#askInOrder('askResult', command, payload, options);
  }

  #askInOrder(
    method: string,
    command: string,
    payload: unknown,
    options: Pick<AskOptions, 'timeout'> | undefined,
  ): Promise<AskResult> {
    const { timeout = this.context.timeoutMs } = optionsOf(method, options);
    this.#countFirst();
    return this.#ask(command, payload, timeout);
  }

  #session(): TrackedSession | undefined {
    const isTracked = this.policy.tracked && !this.#isForgotten;
    return isTracked ? this.context.session(this.req, this.policy) : undefined;
  }

  /** The page view that counts by itself goes before what follows, so that answers know of it. */
  #countFirst(): void {
    const page = this.#automaticPage(false);
    if (page === undefined) return;
    this.#report = this.#askPageview(page);
    this.#report.catch((error: unknown) => this.context.serving.emit('fault', applicationFault(error)));
  }

  /** The page that counts by itself, if nothing has counted yet. What the function `track` throws is one event `fault`. */
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

  async #ask(command: string, payload: unknown, timeoutMs: number): Promise<AskResult> {
    const session = this.#session();
    if (!session) {
      const reason = this.#whyUntracked();
      this.degraded ||= reason === 'no-session';
      return { answered: false, reason };
    }
    const answer = await this.context.serving.ask(command, session.subject, payload, { ...session, timeoutMs });
    this.degraded ||= !answer.answered;
    return answer;
  }

  #whyUntracked(): 'no-consent' | 'no-session' | 'untracked' {
    if (this.policy.why === 'no-consent') return 'no-consent';
    return this.policy.tracked && this.req.session === undefined ? 'no-session' : 'untracked';
  }

  /** Sends the page view of a request that asked nothing, if the request went well. Nobody waits for it. */
  #sendPageview({ statusCode }: ServerResponse): void {
    if (!((statusCode >= 200 && statusCode < 300) || statusCode === 304)) return;
    const page = this.#automaticPage(true);
    if (page === undefined) return;
    try {
      const session = this.#session();
      if (!session) return;
      this.#report = Promise.resolve(undefined); // It is counted.
      this.context.serving.send('pageview', session.subject, this.context.pageName(page), session);
    } catch (error) {
      this.context.serving.emit('fault', applicationFault(error)); // The response has gone.
    }
  }

  /** What is kept lives as long as the session, so a request without a page view, or whose view went unanswered, renews it. */
  #renew(): void {
    try {
      const session = this.#report && !this.degraded ? undefined : this.#session();
      if (session?.returning) this.context.serving.renew(session.subject, session.ttlSeconds);
    } catch (error) {
      this.context.serving.emit('fault', applicationFault(error)); // A function of the application's threw, and the response has gone.
    }
  }
}

// The methods of a command stand in its own folder.
for (const { methods } of descriptors) Object.assign(RequestIntelligence.prototype, methods);
