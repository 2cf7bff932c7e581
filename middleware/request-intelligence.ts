import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Session, SessionData } from 'express-session';
import { optionsOf } from '../lib/options/check-arguments.js';
import { applicationFault } from '../lib/errors/errors.js';
import type { CommandCaller, Combo } from '../lib/intelligence/command/descriptor.js';
import { type CommandMethods, descriptors } from '../lib/intelligence/commands.js';
import type { PageviewReport } from '../lib/intelligence/commands/pageview/index.js';
import type { Executor } from '../lib/serving/executor.js';
import type { VisitorPolicy } from './visitor-policy.js';

/** A request that went through the middleware; Express' requests are, on plain node:http a cast says so. */
export interface IntelligentRequest extends IncomingMessage {
  readonly originalUrl?: string;
  /** not there while the store is away, or where the cookie's path is another */
  session: Session & Partial<SessionData>;
  sessionID: string;
  intelligence: RequestIntelligence;
}

/** The session to work for, and what it has left. */
export interface TrackedSession {
  readonly sid: string;
  readonly ttlSeconds: number;
  /** has its cookie come back? */
  readonly returning: boolean;
}

/** What one request needs to know of the middleware. */
export interface RequestContext {
  readonly serving: Executor;
  readonly timeout: number;
  /** their pages are normalised */
  readonly combos: readonly Combo[];
  /** one name for all spellings of a page */
  readonly pageName: (text: string) => string;
  /** what pageview() counts */
  readonly askedPage: (req: IntelligentRequest) => string;
  /** what counts by itself, or undefined; is the response at its end? */
  readonly automaticPage: (req: IntelligentRequest, ended: boolean) => string | undefined;
  /** undefined: a session that is not stored is not tracked */
  readonly session: (req: IntelligentRequest, policy: VisitorPolicy) => TrackedSession | undefined;
}

/** What the commands give to it: `freshPages()`, `notifications()`, `combo()` and so on. */
export interface RequestIntelligence extends CommandMethods {}

/**
 * `req.intelligence`. Nothing here rejects because Redis or the worker is away: a figure is then undefined, a list comes
 * back as it went in, and `degraded` is true. A wrong argument is an OptionError. Each ask costs one PUBLISH.
 */
export class RequestIntelligence implements CommandCaller {
  /** Did something go unanswered on this request? */
  degraded = false;
  #report: Promise<PageviewReport | undefined> | undefined;
  #trackFailed = false;

  constructor(
    readonly req: IntelligentRequest,
    readonly context: RequestContext,
    readonly policy: VisitorPolicy,
  ) {}

  /** The response has ended, or was aborted: what counts by itself is sent, and what is known is renewed. */
  end(res: ServerResponse): void {
    // another middleware may have made the session, and then its own counts
    if (!this.policy.tracked || this.req.intelligence !== this) return;
    if (res.writableFinished) this.#sendPageview(res);
    this.#renew();
  }

  /**
   * Counts this request's page view, if nothing has yet, and tells what is known: whatever `track` says, and however the
   * request ends. undefined: no answer, or a session that is not tracked.
   */
  pageview(): Promise<PageviewReport | undefined> {
    this.#report ??= this.#askPageview();
    return this.#report;
  }

  async #askPageview(page?: string): Promise<PageviewReport | undefined> {
    const name = this.context.pageName(page ?? this.context.askedPage(this.req));
    return (await this.#ask('pageview', name)) as PageviewReport | undefined;
  }

  /** Sends a command of your own that nobody waits for. */
  send(command: string, payload?: unknown): void {
    this.#countFirst();
    const session = this.#session();
    if (session) this.context.serving.send(command, session.sid, payload, session.ttlSeconds);
  }

  /** Sends a command of your own and waits for its answer; undefined after `timeout` ms. */
  ask(command: string, payload?: unknown, options?: { timeout?: number | undefined }): Promise<unknown> {
    const { timeout } = optionsOf('ask', options);
    this.#countFirst();
    return this.#ask(command, payload, timeout);
  }

  #session(): TrackedSession | undefined {
    return this.policy.tracked ? this.context.session(this.req, this.policy) : undefined;
  }

  /** The page view goes before what follows. */
  #countFirst(): void {
    const page = this.#automaticPage(false);
    if (page === undefined) return;
    this.#report = this.#askPageview(page);
    this.#report.catch((error: unknown) => this.context.serving.emit('fault', applicationFault(error)));
  }

  /** The page that counts by itself, if nothing has yet. What `track` throws is told by `fault`, once. */
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

  async #ask(command: string, payload: unknown, timeout = this.context.timeout): Promise<unknown> {
    const session = this.#session();
    if (!session) {
      this.degraded ||= this.policy.tracked && this.req.session === undefined;
      return undefined;
    }
    const answer = await this.context.serving.ask(command, session.sid, payload, session.ttlSeconds, timeout);
    if (answer.answered) return answer.data ?? undefined;
    this.degraded = true;
    return undefined;
  }

  /** The automatic page view of a request that asked nothing: sent at its end if it went well, and nobody waits. */
  #sendPageview({ statusCode }: ServerResponse): void {
    if (!((statusCode >= 200 && statusCode < 300) || statusCode === 304)) return;
    const page = this.#automaticPage(true);
    if (page === undefined) return;
    try {
      const session = this.#session();
      if (!session) return;
      this.#report = Promise.resolve(undefined); // counted
      this.context.serving.send('pageview', session.sid, this.context.pageName(page), session.ttlSeconds);
    } catch (error) {
      this.context.serving.emit('fault', applicationFault(error)); // the response has gone
    }
  }

  /** What is known lives as long as the session: a request without a page view, or whose view nobody took, renews it, too. */
  #renew(): void {
    try {
      const session = this.#report && !this.degraded ? undefined : this.#session();
      if (session?.returning) this.context.serving.renew(session.sid, session.ttlSeconds);
    } catch (error) {
      this.context.serving.emit('fault', applicationFault(error)); // of an application's own function; the response has gone
    }
  }
}

// each command's methods stand in its own folder
for (const { methods } of descriptors) Object.assign(RequestIntelligence.prototype, methods);
