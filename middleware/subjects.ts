import type { SessionData } from 'express-session';
import { LRUCache } from 'lru-cache';
import { argumentError } from '../lib/options/check-arguments.js';
import { IntelligentSessionError } from '../lib/errors/errors.js';
import { newAnonymousSubject, userIdOf, userSubject } from '../lib/intelligence/command/subject.js';
import { encodeId, isSendable } from '../lib/redis/keys.js';
import type { Executor } from '../lib/serving/executor.js';
import { hiddenOf, hide } from '../lib/session/hidden-fields.js';
import type { RequestWithSession, SubjectHooks } from '../lib/session/session-subjects.js';
import { userOfSession } from '../lib/session/session-user.js';

/** Who is a session's user: a function of the session, or `'identify'`: whom the application names on a request. */
export type UserOption = ((session: SessionData) => string | number | null | undefined) | 'identify';

/** To whom belongs what a request finds out. */
export interface Subject {
  readonly subject: string;
  readonly isAnonymous: boolean;
}

/** Of whom something is kept that belongs to one visitor. */
export interface OwnedSubjects {
  /** The user's subject. */
  readonly user: string | undefined;
  /** The user, as the store knows whose its sessions are. */
  readonly userName: string | undefined;
  readonly anonymous: readonly string[];
}

/** What is known of a request's user while it lasts. */
interface RequestUser {
  /** the subject of the user that the session had last; undefined: it was anonymous throughout */
  user: string | undefined;
  /** whose session it was when it came, or when it was stored last */
  stored: { readonly sid: string; readonly user: string | undefined };
  /** the session that was given a new anonymous subject after a logout */
  loggedOut?: object;
}

const DAY_SECONDS = 86_400;
const MAX_REMEMBERED = 50_000;
/** What is carried may wait for as long as a busy worker needs: no page waits for it. */
const CARRY_TIMEOUT_MS = 5_000;

/**
 * Knows to whom belongs what is known of a visitor: to an anonymous subject until somebody logs in, and to the user then. At a login
 * what the visitor had is carried to the user; of a user nothing stays for who comes after a logout.
 */
export class Subjects implements SubjectHooks {
  readonly #requests = new WeakMap<object, RequestUser>();
  /** The sessions whose hidden fields were changed since they were stored. */
  readonly #changed = new WeakSet<object>();
  /** To which user an anonymous subject was carried, and whether that was answered. */
  readonly #carried = new LRUCache<string, { readonly user: string; isDone: boolean }>({ max: MAX_REMEMBERED });
  /** Is called when a session that stays has become another user's, or nobody's, with the subject that it had. */
  onVisitorChanged: (sid: string, subject: string) => void = () => {};
  /** Carries what the site itself keeps of a visitor to a user: was it done? */
  alsoCarry: (from: string, user: string) => Promise<boolean> = () => Promise.resolve(true);
  readonly #nameOf: (session: SessionData) => string | undefined;
  readonly #subjectOf: (user: string) => string;

  constructor(
    readonly serving: Executor,
    readonly option: UserOption,
    readonly keepUsersForDays: number,
    /** It names users in keys; private, so that no log shows it. */
    itemSecret: string | undefined,
    fault: (error: Error) => void,
  ) {
    const onInvalid = (what: string) => fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', what));
    this.#nameOf = userOfSession(option === 'identify' ? undefined : option, onInvalid);
    this.#subjectOf = (user) => userSubject(user, itemSecret);
  }

  get userTtlSeconds(): number {
    return this.keepUsersForDays * DAY_SECONDS;
  }

  /** A request has its session. */
  begin(req: RequestWithSession): void {
    if (!req.session) return;
    const user = this.#userOf(req.session);
    this.#requests.set(req, { user, stored: { sid: req.session.id, user } });
  }

  /** The subject of a request; undefined after a logout on this request. Who has just logged in gets what is theirs carried. */
  of(req: RequestWithSession): Subject | undefined {
    const known = this.#requests.get(req);
    const user = this.#userOf(req.session);
    if (user !== undefined) {
      if (!this.#isAnothers(known, user)) this.#carry(user, req.session);
      this.#isUser(req.session, known, user);
      return { subject: user, isAnonymous: false };
    }
    if (known?.user !== undefined) return undefined;
    let { __subject: subject = req.session.id } = hiddenOf(req.session);
    if (subject === '') {
      subject = newAnonymousSubject();
      this.#change(req.session, { __subject: subject });
    }
    return { subject, isAnonymous: true };
  }

  /** The user of a request, if somebody is logged in; nothing is carried to them. */
  userOf({ session }: RequestWithSession): Subject | undefined {
    const user = session && this.#userOf(session);
    return user === undefined ? undefined : { subject: user, isAnonymous: false };
  }

  /** The subject of a user whom the application names outside a request. */
  ofUser(user: unknown): Subject {
    const id = userIdOf(user);
    if (id === undefined || id === '') throw argumentError('of', '"user" to be a text or a number', user);
    return { subject: this.#subjectOf(id), isAnonymous: false };
  }

  /** The application says whose session it is, or that it is nobody's any longer. */
  identify(req: RequestWithSession, user: unknown): void {
    if (this.option !== 'identify')
      throw argumentError('identify', "option `user: 'identify'`, where no function says it", this.option);
    const isNobody = user === undefined || user === null;
    const id = isNobody ? undefined : userIdOf(user);
    if (!isNobody && (id === undefined || id === ''))
      throw argumentError('identify', 'a user, a text or a number, or undefined', user);
    if (!req.session) return;
    const subject = id === undefined ? undefined : this.#subjectOf(id);
    if (hiddenOf(req.session).__user !== subject) this.#change(req.session, { __user: subject });
  }

  /** The user whom the application names, as it names them. */
  userName({ session }: RequestWithSession): string | undefined {
    return this.#nameOf(session);
  }

  /** All of whom something is kept that is a request's visitor's. */
  ownedBy({ session }: RequestWithSession): OwnedSubjects {
    return { user: this.#userOf(session), userName: this.#nameOf(session), anonymous: this.uncarried([session]) };
  }

  /** The same of a user whom the application names outside a request. */
  ownedByUser(user: unknown): OwnedSubjects {
    return { user: this.ofUser(user).subject, userName: userIdOf(user), anonymous: [] };
  }

  /** The anonymous subjects of sessions: of a user's session, what was not carried yet. */
  uncarried(sessions: readonly (SessionData & { readonly id: string })[]): string[] {
    return sessions.map((session) => hiddenOf(session).__subject ?? session.id).filter((subject) => subject !== '');
  }

  /** What there was of a request's visitor was erased: the session goes on with another subject. */
  erased({ session }: RequestWithSession): void {
    this.#change(session, { __subject: this.#userOf(session) === undefined ? newAnonymousSubject() : '' });
  }

  saving(session: SessionData): boolean {
    const { req } = session as { req?: object };
    const known = req && this.#requests.get(req);
    if (known) {
      const user = this.#userOf(session);
      const { id } = session as unknown as { id: string };
      const { __subject: subject = id } = hiddenOf(session);
      const { sid, user: before } = known.stored;
      known.stored = { sid: id, user };
      if (sid === id && before !== user) this.onVisitorChanged(id, before ?? (subject || id));
      if (user !== undefined) {
        const carried = this.#carried.get(subject);
        if (carried?.isDone && carried.user === user) hide(session, { __subject: '' });
        this.#isUser(session, known, user);
      } else if (known.user !== undefined && known.loggedOut !== session) {
        known.loggedOut = session;
        hide(session, { __subject: newAnonymousSubject() });
      }
    }
    return this.#changed.delete(session);
  }

  visitorOf(sid: string, session: SessionData): string {
    const { __subject } = hiddenOf(session);
    return this.#userOf(session) ?? (__subject || sid);
  }

  keptBy(req: RequestWithSession): string | undefined {
    const known = this.#requests.get(req);
    if (!known || !req.session) return undefined;
    known.user ??= this.#userOf(req.session);
    const { __subject = req.session.id } = hiddenOf(req.session);
    return known.user === undefined && __subject !== '' ? __subject : undefined;
  }

  replaced(req: RequestWithSession, kept: string | undefined): void {
    if (this.#requests.has(req) && req.session) hide(req.session, { __subject: kept ?? '' });
  }

  #userOf(session: SessionData): string | undefined {
    const { __user } = hiddenOf(session);
    if (this.option === 'identify') return __user;
    const user = this.#nameOf(session);
    return user === undefined ? undefined : this.#subjectOf(user);
  }

  #isAnothers(known: RequestUser | undefined, user: string): boolean {
    return known?.user !== undefined && known.user !== user;
  }

  /** Notes the user. What the session still had to carry was the user's before: it does not become this one's. */
  #isUser(session: SessionData, known: RequestUser | undefined, user: string): void {
    if (this.#isAnothers(known, user)) hide(session, { __subject: '' });
    if (known) known.user = user;
  }

  #carry(user: string, session: SessionData & { readonly id: string }): void {
    const { __subject: from = session.id } = hiddenOf(session);
    if (from === '' || !isSendable(from) || this.#carried.get(from)?.user === user) return;
    const carried = { user, isDone: false };
    this.#carried.set(from, carried);
    const options = { ttlSeconds: this.userTtlSeconds, timeoutMs: CARRY_TIMEOUT_MS };
    const asked = this.serving.ask('carry', user, encodeId(from), options);
    const alsoCarried = Promise.all([asked, this.alsoCarry(from, user)]);
    void alsoCarried.then(async ([{ answered }, alsoDone]) => {
      // Until the answer another request of the same session may have kept something: what comes later is the user's at once.
      carried.isDone = answered && alsoDone && (await this.alsoCarry(from, user));
      // The next request of this session asks again.
      if (!carried.isDone) this.#carried.delete(from);
    });
  }

  #change(session: object, fields: Parameters<typeof hide>[1]): void {
    hide(session, fields);
    this.#changed.add(session);
  }
}
