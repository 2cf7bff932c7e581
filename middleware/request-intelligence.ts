import type { Request, Response } from 'express';
import { OptionError } from '../lib/errors.js';
import type { ServingLayer } from '../lib/serving/serving-layer.js';
import type { PageviewReport } from '../lib/worker/commands/pageview.js';
import type { Combo } from './options.js';

/** What one request needs to know of the middleware. */
export interface Surroundings {
  readonly serving: ServingLayer;
  readonly timeout: number;
  readonly combos: readonly Combo[];
  readonly page: (req: Request) => string | undefined;
  /** the session to work for, and what it has left; undefined: a session that is not stored is not tracked */
  readonly session: (req: Request) => TrackedSession | undefined;
}

interface TrackedSession {
  readonly sid: string;
  readonly ttlSeconds: number;
  /** has its cookie come back? */
  readonly returning: boolean;
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
  #pageviewDue = true;
  #counted = false;
  #report: Promise<PageviewReport | undefined> | undefined;

  constructor(
    readonly req: Request,
    res: Response,
    readonly around: Surroundings,
  ) {
    res.once('close', () => {
      try {
        this.#sendPageview();
        this.#renew();
      } catch (error) {
        around.serving.emit('fault', error as Error); // of an application's own function; the response has gone
      }
    });
  }

  /** Counts this request's page view, if nothing has yet, and tells what is known. undefined: no answer, or not tracked. */
  pageview(): Promise<PageviewReport | undefined> {
    this.#report ??= this.#askPageview();
    return this.#report;
  }

  async #askPageview(): Promise<PageviewReport | undefined> {
    const page = this.#takePageview();
    return page === undefined ? undefined : ((await this.#ask('pageview', page)) as PageviewReport | undefined);
  }

  /** The pages of a list that this visitor has not seen, in its order. Degraded: all. */
  async freshPages(pages: readonly string[]): Promise<string[]> {
    strings('freshPages', pages);
    return ((await this.ask('featuredpages', pages)) as string[] | undefined) ?? [...pages];
  }

  /** Each notification with `seen`. Degraded: undefined. */
  async notifications<T extends Notification>(items: readonly T[]): Promise<Seen<T>[]> {
    const ids = strings('notifications', Array.isArray(items) ? items.map(idOf) : items);
    const answer = (await this.ask('notifications', ids)) as { seen: boolean }[] | undefined;
    return items.map((item, i) => {
      const object: object = typeof item === 'string' ? { id: item } : item;
      return { ...object, seen: answer?.[i]?.seen } as Seen<T>;
    });
  }

  /** Marks a notification as seen. Resolves with true when the worker has done it. */
  async markNotificationSeen(id: string): Promise<boolean> {
    strings('markNotificationSeen', [id]);
    return (await this.ask('mark-notification-seen', id)) !== undefined;
  }

  /** Were all these pages visited? A list of pages, or a combo's name (of the option `combos`, or the worker's). */
  async combo(pages: readonly string[] | string): Promise<boolean | undefined> {
    const known = typeof pages === 'string' ? this.around.combos.find(({ name }) => name === pages)?.pages : pages;
    const answer = await this.ask('combo', known ? strings('combo', known) : pages);
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
  async activity({ minutes = 60 }: { minutes?: number } = {}): Promise<number[] | undefined> {
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
    const session = this.around.session(this.req);
    if (session) this.around.serving.send(command, session.sid, payload, session.ttlSeconds);
  }

  /** Sends a command of your own and waits for its answer; undefined after `timeout` ms. */
  ask(command: string, payload?: unknown, { timeout }: { timeout?: number } = {}): Promise<unknown> {
    this.#countFirst();
    return this.#ask(command, payload, timeout);
  }

  /** The page view goes before what follows; what `track` throws is its own affair, and told by `fault`. */
  #countFirst(): void {
    this.pageview().catch((error: Error) => this.around.serving.emit('fault', error));
  }

  async #ask(command: string, payload: unknown, timeout = this.around.timeout): Promise<unknown> {
    const session = this.around.session(this.req);
    if (!session) {
      this.degraded ||= this.req.session === undefined;
      return undefined;
    }
    const answer = await this.around.serving.ask(command, session.sid, payload, session.ttlSeconds, timeout);
    if (answer.answered) return answer.data ?? undefined;
    this.degraded = true;
    return undefined;
  }

  /** What is known lives as long as the session: a request without a page view, or whose view nobody took, renews it, too. */
  #renew(): void {
    const session = this.#counted && !this.degraded ? undefined : this.around.session(this.req);
    if (session?.returning) this.around.serving.renew(session.sid, session.ttlSeconds);
  }

  #takePageview(): string | undefined {
    if (!this.#pageviewDue) return undefined;
    this.#pageviewDue = false;
    const page = this.around.page(this.req);
    this.#counted = page !== undefined;
    return page;
  }

  /** The automatic page view of a request that asked nothing: sent at its end, and nobody waits. */
  #sendPageview(): void {
    const page = this.#takePageview();
    const session = page === undefined ? undefined : this.around.session(this.req);
    if (session && page !== undefined) this.around.serving.send('pageview', session.sid, page, session.ttlSeconds);
  }
}

const idOf = (item: Notification): string => (typeof item === 'string' ? item : item?.id);

function strings(method: string, list: unknown): string[] {
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string' && item !== ''))
    throw new OptionError(`${method}(): expected texts that are not empty`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
  return list;
}
