import type { SessionData } from 'express-session';
import { argumentError, optionsOf } from '../lib/options/check-arguments.js';
import { applicationFault } from '../lib/errors/errors.js';
import type { CommandCaller, Combo } from '../lib/intelligence/command/descriptor.js';
import { type CommandMethods, descriptors } from '../lib/intelligence/commands.js';
import type { Explained } from '../lib/intelligence/commands/explain/index.js';
import type { PageviewReport } from '../lib/intelligence/commands/pageview/index.js';
import type { VisitorNotifications } from '../lib/notifications/visitor-notifications.js';
import { isSendable } from '../lib/redis/keys.js';
import type { Executor } from '../lib/serving/executor.js';
import { checkRequest } from '../lib/serving/request-arguments.js';
import { formatPayload } from '../lib/transport/protocol.js';
import { type AskOptions, type AskResult, UnansweredError } from './ask-result.js';
import { type ExplainedNotifications, type Explanation, explanationOf } from './explanation.js';
import type { OwnedSubjects, Subjects } from './subjects.js';

/** Whom a command is about: a visitor, by the session, or a user. */
export interface TrackedSession {
  /** What the keys of their data are named after: the session's id, another anonymous subject, or a user's (subject.ts). */
  readonly subject: string;
  /** Is it a visitor who may log in, so that the data are carried to a user? */
  readonly isAnonymous: boolean;
  /** How long their data live from now on. */
  readonly ttlSeconds: number;
  /** Has a browser sent the session's cookie back? A user counts as such. */
  readonly returning: boolean;
}

/** Why nothing is sent for a visitor, as UnansweredReason says. */
export interface Untracked {
  readonly reason: 'no-consent' | 'no-session' | 'untracked' | 'redis';
  readonly error?: Error | undefined;
}

/** Is nothing sent because something is wrong, and not because it should not be? */
export const isFault = ({ reason }: Untracked): boolean => reason === 'no-session' || reason === 'redis';

/** The sessions that explain() tells the data of, and whether they are a user's. */
export interface OwnedSessions {
  readonly isUser: boolean;
  readonly sessions: readonly Partial<SessionData>[];
}

/** What one intelligentSession() gives to `req.intelligence` and to `sessions.of()`. */
export interface IntelligenceContext {
  readonly serving: Executor;
  readonly timeoutMs: number;
  /** The option `combos`, with each page's one name. */
  readonly combos: readonly Combo[];
  /** Gives the one name of all spellings of a page. */
  readonly pageName: (text: string) => string;
  /** Undefined where the application has no users. */
  readonly subjects: Subjects | undefined;
  /** The sessions of a user; undefined where the store does not know users. */
  readonly sessionsOf: ((user: string) => Promise<readonly (SessionData & { readonly id: string })[]>) | undefined;
  /** Undefined where the application has no published notifications. */
  readonly notified: VisitorNotifications | undefined;
}

/** The methods of commands that notified-intelligence.ts replaces, for published notifications as well. */
type AlsoOfPublished = 'notifications' | 'markNotificationSeen';

/** The methods that the commands bring: `freshPages()`, `combo()`, `activity()` and so on. */
export interface Intelligence extends Omit<CommandMethods, AlsoOfPublished> {}

/**
 * What `req.intelligence` and `sessions.of()` have in common: they send commands about one visitor or user, whom they find
 * differently.
 */
export abstract class Intelligence implements CommandCaller {
  /** Did a call of this object go unanswered? */
  degraded = false;

  constructor(readonly context: IntelligenceContext) {}

  /** Whom a command is about; a promise where a session has to be read first. */
  protected abstract whose(command: string): TrackedSession | Untracked | Promise<TrackedSession | Untracked>;
  protected abstract ownedSessions(): Promise<OwnedSessions>;
  /** What is kept of published notifications, for explain(). Rejects where no answer came. */
  protected abstract ownNotifications(): Promise<ExplainedNotifications | undefined>;
  /** Is called before each command: a request's own page view is sent first. */
  protected countFirst(): void {}

  /**
   * Sends a command of your own that nobody waits for. `payload`: a text goes as it is, anything else as JSON, 262,144 bytes at
   * most. One PUBLISH, or XADD with `transport: 'stream'`; embedded it costs what the command does. Nothing is sent for a
   * visitor who is not tracked. Throws an OptionError for a wrong argument; what goes wrong later is the event `fault`.
   */
  send(command: string, payload?: unknown): void {
    this.countFirst();
    const { serving } = this.context;
    const sendTo = (whose: TrackedSession | Untracked) => {
      if ('subject' in whose) serving.send(command, whose.subject, payload, whose);
    };
    const whose = this.whose(command);
    if (!(whose instanceof Promise)) return sendTo(whose);
    // The session is read first, but a wrong argument throws at once.
    checkRequest('send', command, '', { ttlSeconds: 0 });
    formatPayload(payload);
    void whose.then(sendTo).catch((error: unknown) => serving.emit('fault', applicationFault(error)));
  }

  /**
   * Sends a command of your own and waits for its answer: what the command gave, as JSON has it, null where it gave nothing,
   * and undefined where no answer came in `timeout` ms (1 to a day; the option `timeout`, 100, by default) on top of the way to
   * Redis and back. With `onUnanswered: 'reject'` the promise rejects with an UnansweredError instead. It rejects with an
   * OptionError for a wrong argument. Costs what send() does, and one RPUSH of the worker's for the answer.
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
   * As ask(), and says why there is no answer: `{ answered: true, data }`, or `{ answered: false, reason, error }`. Rejects for
   * a wrong argument only.
   */
  async askResult(command: string, payload?: unknown, options?: Pick<AskOptions, 'timeout'>): Promise<AskResult> {
    return this.#askInOrder('askResult', command, payload, options);
  }

  /**
   * Says all that is kept of this visitor, or of the user, ready to be handed out: what is known, and the data of the session,
   * or of all sessions of the user. Undefined where no answer came. Costs an answer, and `sessionsOf()` of the store for a
   * user.
   */
  async explain(): Promise<Explanation | undefined> {
    const answer = (await this.ask('explain')) as Explained | undefined;
    if (!answer) return undefined;
    try {
      const [{ isUser, sessions }, notifications] = await Promise.all([this.ownedSessions(), this.ownNotifications()]);
      return explanationOf(answer, isUser, sessions, notifications);
    } catch {
      this.degraded = true; // The fault was reported where it came up.
      return undefined;
    }
  }

  /** Asks after the request's own page view was sent. */
  #askInOrder(
    method: string,
    command: string,
    payload: unknown,
    options: Pick<AskOptions, 'timeout'> | undefined,
  ): Promise<AskResult> {
    const { timeout = this.context.timeoutMs } = optionsOf(method, options);
    this.countFirst();
    return this.#ask(command, payload, timeout);
  }

  async #ask(command: string, payload: unknown, timeoutMs: number): Promise<AskResult> {
    const found = this.whose(command);
    // Without an `await` the command goes with all others of this turn of the event loop.
    const whose = found instanceof Promise ? await found : found;
    if ('reason' in whose) {
      this.degraded ||= isFault(whose);
      return { answered: false, ...whose };
    }
    const answer = await this.context.serving.ask(command, whose.subject, payload, { ...whose, timeoutMs });
    this.degraded ||= !answer.answered;
    return answer;
  }

  /** Counts a view of a page, under the page's one name. */
  protected async count(page: string): Promise<PageviewReport | undefined> {
    const result = await this.#ask('pageview', this.context.pageName(page), this.context.timeoutMs);
    // A view of a session that was destroyed meanwhile, or one that was counted before, has no report.
    return result.answered ? ((result.data ?? undefined) as PageviewReport | undefined) : undefined;
  }

  /**
   * Erases all that is kept of a visitor or a user, with what the user's other sessions have not carried yet. True: all is
   * erased.
   */
  protected async erase({ user, userName, anonymous }: OwnedSubjects): Promise<boolean> {
    const { serving, subjects, sessionsOf, notified } = this.context;
    const eraseAll = async (erasing: readonly string[]) => {
      const erased = await Promise.all(erasing.filter(isSendable).map((subject) => serving.forget(subject)));
      // Open pages are told to read their counts again, since nothing counts as read any more.
      for (const subject of erasing) notified?.tell(subject, { type: 'read' });
      return erased.every(Boolean);
    };
    if (user === undefined) return eraseAll(anonymous);
    const listed = userName === undefined ? undefined : sessionsOf?.(userName);
    const sessions = await listed?.catch(() => undefined); // The store reports the fault.
    const others = subjects?.uncarried(sessions ?? []) ?? [];
    // The user's subject comes last, so that what the others carry to it meanwhile is erased, too.
    const areErased = await eraseAll([...new Set([...anonymous, ...others])]);
    const isErased = await eraseAll([user]);
    return areErased && isErased && (listed === undefined || sessions !== undefined);
  }
}

// Each command's methods, which stand in its own folder.
for (const { methods } of descriptors) Object.assign(Intelligence.prototype, methods);
