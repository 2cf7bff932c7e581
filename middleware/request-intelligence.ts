import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Session, SessionData } from 'express-session';
import { optionsOf } from '../lib/check-arguments.js';
import { kindOf } from '../lib/check-options.js';
import { OptionError } from '../lib/errors.js';
import type { Executor } from '../lib/serving/executor.js';
import type { PageviewReport } from '../lib/worker/commands/pageview.js';
import type { Combo } from './options.js';
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
export interface Surroundings {
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

export type Notification = string | { readonly id: string };
type Seen<T> = T extends string ? { id: string; seen: boolean | undefined } : T & { seen: boolean | undefined };

/**
 * `req.intelligence`. Nothing here rejects because Redis or the worker is away: a figure is then undefined, a list comes
 * back as it went in, and `degraded` is true. A wrong argument is an OptionError. Each ask costs one PUBLISH.
 */
export class RequestIntelligence {
  /** Did something go unanswered on this request? */
  degraded = false;
  #report: Promise<PageviewReport | undefined> | undefined;
  #trackFailed = false;

  constructor(
    readonly req: IntelligentRequest,
    readonly around: Surroundings,
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
    const name = this.around.pageName(page ?? this.around.askedPage(this.req));
    return (await this.#ask('pageview', name)) as PageviewReport | undefined;
  }

  /** The pages of a list that this visitor has not seen, as they were given, in its order. Degraded: all. */
  async freshPages(pages: readonly string[]): Promise<string[]> {
    const names = strings('freshPages', pages).map(this.around.pageName);
    const answer = (await this.ask('featuredpages', [...new Set(names)])) as string[] | undefined;
    if (!answer) return [...pages];
    const fresh = new Set(answer);
    return pages.filter((_, i) => fresh.has(names[i] as string));
  }

  /** Each notification with `seen`. Degraded: undefined. */
  async notifications<T extends Notification>(items: readonly T[]): Promise<Seen<T>[]> {
    const what = 'a list of ids, or of objects with an id, each a text that is not empty';
    const ids = strings('notifications', Array.isArray(items) ? items.map(idOf) : items, what);
    const answer = (await this.ask('notifications', ids)) as { id: string; seen: boolean }[] | undefined;
    const seen = new Map(answer?.map((one) => [one.id, one.seen]));
    return items.map((item, i) => {
      const object: object = typeof item === 'string' ? { id: item } : item;
      return { ...object, seen: seen.get(ids[i] as string) } as Seen<T>;
    });
  }

  /** Marks a notification as seen. Resolves with true when the worker has done it. */
  async markNotificationSeen(id: string): Promise<boolean> {
    text('markNotificationSeen', id, 'an id, a text that is not empty');
    return (await this.ask('mark-notification-seen', id)) !== undefined;
  }

  /** Were all these pages visited? A list of pages, or a combo's name (of the option `combos`, or the worker's). */
  async combo(pages: readonly string[] | string): Promise<boolean | undefined> {
    const known = Array.isArray(pages) ? pages : this.around.combos.find(({ name }) => name === pages)?.pages;
    const what = "a combo's name, or a list of pages that is not empty";
    if (!known || known.length === 0) text('combo', known ?? pages, what);
    const answer = await this.ask('combo', known ? strings('combo', known, what).map(this.around.pageName) : pages);
    return answer === undefined ? undefined : answer === 1;
  }

  /** What the matched combos suggest; one message for all of them. Degraded: []. */
  async suggestions(): Promise<unknown[]> {
    const { combos } = this.around;
    if (combos.length === 0) return [];
    const pages = [...new Set(combos.flatMap((combo) => combo.pages))];
    const answer = (await this.ask('featuredpages', pages)) as string[] | undefined;
    if (!answer) return [];
    const fresh = new Set(answer);
    return combos.filter((combo) => !combo.pages.some((page) => fresh.has(page))).map((combo) => combo.suggest);
  }

  /** A bit a minute before the current one, oldest first. Degraded: undefined. */
  async activity(options?: { minutes?: number | undefined }): Promise<number[] | undefined> {
    const { minutes = 60 } = optionsOf('activity', options);
    if (!Number.isInteger(minutes) || minutes < 1)
      throw new OptionError(
        'activity(): "minutes" should be a whole number from 1',
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
    return (await this.ask('activity', String(minutes))) as number[] | undefined;
  }

  /** Sends a command of your own that nobody waits for. */
  send(command: string, payload?: unknown): void {
    this.#countFirst();
    const session = this.#session();
    if (session) this.around.serving.send(command, session.sid, payload, session.ttlSeconds);
  }

  /** Sends a command of your own and waits for its answer; undefined after `timeout` ms. */
  ask(command: string, payload?: unknown, options?: { timeout?: number | undefined }): Promise<unknown> {
    const { timeout } = optionsOf('ask', options);
    this.#countFirst();
    return this.#ask(command, payload, timeout);
  }

  #session(): TrackedSession | undefined {
    return this.policy.tracked ? this.around.session(this.req, this.policy) : undefined;
  }

  /** The page view goes before what follows. */
  #countFirst(): void {
    const page = this.#automaticPage(false);
    if (page === undefined) return;
    this.#report = this.#askPageview(page);
    this.#report.catch((error: Error) => this.around.serving.emit('fault', error));
  }

  /** The page that counts by itself, if nothing has yet. What `track` throws is told by `fault`, once. */
  #automaticPage(ended: boolean): string | undefined {
    if (this.#report || this.#trackFailed || !this.policy.tracked) return undefined;
    try {
      return this.around.automaticPage(this.req, ended);
    } catch (error) {
      this.#trackFailed = true;
      this.around.serving.emit('fault', error as Error);
      return undefined;
    }
  }

  async #ask(command: string, payload: unknown, timeout = this.around.timeout): Promise<unknown> {
    const session = this.#session();
    if (!session) {
      this.degraded ||= this.policy.tracked && this.req.session === undefined;
      return undefined;
    }
    const answer = await this.around.serving.ask(command, session.sid, payload, session.ttlSeconds, timeout);
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
      this.around.serving.send('pageview', session.sid, this.around.pageName(page), session.ttlSeconds);
    } catch (error) {
      this.around.serving.emit('fault', error as Error); // the response has gone
    }
  }

  /** What is known lives as long as the session: a request without a page view, or whose view nobody took, renews it, too. */
  #renew(): void {
    try {
      const session = this.#report && !this.degraded ? undefined : this.#session();
      if (session?.returning) this.around.serving.renew(session.sid, session.ttlSeconds);
    } catch (error) {
      this.around.serving.emit('fault', error as Error); // of an application's own function; the response has gone
    }
  }
}

const idOf = (item: Notification): string => (typeof item === 'string' ? item : item?.id);

function text(method: string, value: unknown, what: string): void {
  if (typeof value !== 'string' || value === '')
    throw new OptionError(`${method}(): expected ${what}, got ${kindOf(value)}`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
}

function strings(method: string, list: unknown, what = 'a list of texts that are not empty'): string[] {
  const isText = (item: unknown): item is string => typeof item === 'string' && item !== '';
  if (Array.isArray(list) && list.every(isText)) return list;
  const got = Array.isArray(list) ? `${kindOf(list.find((item) => !isText(item)))} among them` : kindOf(list);
  throw new OptionError(`${method}(): expected ${what}, got ${got}`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
}
