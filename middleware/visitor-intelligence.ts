import { checkText } from '../lib/options/check-arguments.js';
import type { PageviewReport } from '../lib/intelligence/commands/pageview/index.js';
import type { IntelligenceContext, OwnedSessions, TrackedSession, Untracked } from './intelligence.js';
import { NotifiedIntelligence } from './notified-intelligence.js';
import type { Visitor } from './visitor.js';

/**
 * What `sessions.of()` gives: the methods of `req.intelligence`, but identify(), for a visitor or a user outside a request. Where
 * Redis or the worker is away, nothing here rejects, but ask() with `onUnanswered: 'reject'`. Where there is no session, each answer
 * is degraded (`no-session`). The option `consent` is not asked, and bots are not told apart. Each call costs what it costs on a
 * request; the first one for a session, and the first after a forget(), also read it, by a GET.
 */
export class VisitorIntelligence extends NotifiedIntelligence {
  readonly #visitor: Visitor;

  readonly #groups: readonly string[];

  constructor(context: IntelligenceContext, visitor: Visitor, groups: readonly string[]) {
    super(context);
    this.#visitor = visitor;
    this.#groups = groups;
  }

  /**
   * Counts a view of this page, whatever `track` says, and gives a report of the visitor. The page is a path, a URL or any
   * other name, by the rules that hold for the pages of questions. Each call counts. Undefined: no answer came within the
   * option `timeout` (100 ms), or nobody waited for one, since a circuit is open; or there is no session.
   */
  async pageview(page: string): Promise<PageviewReport | undefined> {
    checkText('pageview', page, 'a page, a text that is not empty');
    return this.count(page);
  }

  /**
   * Erases all that is known of this visitor or user: what is in Redis, and messages on their way. What stays is a mark without
   * data, as of `forget()` on a request. Sessions go on, see docs/users.md. True: erased; false: Redis did not do it, the user's key
   * is not known yet, or there is no session. It costs what it costs on a request; with the option `user` a session is saved, too.
   */
  async forget(): Promise<boolean> {
    const subjects = await this.#visitor.ownedSubjects();
    const isErased = subjects !== undefined && (await this.erase(subjects));
    if (isErased) await this.#visitor.erased();
    else this.degraded = true;
    return isErased;
  }

  protected override whose(): TrackedSession | Untracked | Promise<TrackedSession | Untracked> {
    return this.#visitor.whose();
  }

  protected override groups(): readonly string[] {
    return this.#groups;
  }

  protected override whoseMarks(): TrackedSession | Untracked | Promise<TrackedSession | Untracked> {
    return this.whose();
  }

  protected override ownedSessions(): Promise<OwnedSessions> {
    return this.#visitor.ownedSessions();
  }
}
