import type { SessionData } from 'express-session';
import { LRUCache } from 'lru-cache';
import { argumentError } from '../lib/options/check-arguments.js';
import { IntelligentSessionError } from '../lib/errors/errors.js';
import { newAnonymousSubject, userIdOf, userSubject } from '../lib/intelligence/command/subject.js';
import { encodeId, isSendable } from '../lib/redis/keys.js';
import type { Executor } from '../lib/serving/executor.js';
import { throwingAsThrown } from '../lib/session/application-functions.js';
import { hiddenOf, hide, UNNAMED_USER } from '../lib/session/hidden-fields.js';
import type { RequestWithSession, SubjectHooks } from '../lib/session/session-subjects.js';
import { userOfSession } from '../lib/session/session-user.js';

/**
 * How the user of a session is found: by a function of the session, or, with `'identify'`, by what the application passes to
 * identify().
 */
export type UserOption = ((session: SessionData) => string | number | null | undefined) | 'identify';

/** Whose data a request reads and writes. */
export interface Subject {
  readonly subject: string;
  readonly isAnonymous: boolean;
}

/** All subjects under which data about one visitor are kept. */
export interface OwnedSubjects {
  /** The user's subject. */
  readonly user: string | undefined;
  /** The user's id, as the store's option `user` gives it. */
  readonly userName: string | undefined;
  readonly anonymous: readonly string[];
}

/** What is known of a request's user until the request ends. */
interface RequestUser {
  /** the identity (#identityOf) of the user that the session had last; undefined: it was anonymous throughout */
  user: string | undefined;
  /** the session's id, and its user's identity, when the request came or when the session was stored last */
  stored: { readonly sid: string; readonly user: string | undefined };
  /** the session that was given a new anonymous subject after a logout */
  loggedOut?: object;
}

const DAY_SECONDS = 86_400;
/**
 * Of how many anonymous subjects this process remembers to which user they were carried. One that is forgotten is carried
 * again, which finds nothing to carry.
 */
const MAX_REMEMBERED = 50_000;
const NO_KEY =
  'identify(): Redis has not given the key for users\' names (option "itemSecret") yet, so nothing is kept of this session until it is called again';
/** How long `carry` may wait for a busy worker: no page waits for its answer. */
const CARRY_TIMEOUT_MS = 5_000;

/**
 * Knows under which subject data about a visitor are kept: under an anonymous one until somebody logs in, and then under the
 * user's. At a login the anonymous subject's data are carried over to the user. After a logout the session gets a new anonymous
 * subject, so that the next visitor sees nothing of the user. While the item key is not known (lib/intelligence/item-key.ts),
 * no user has a subject.
 *
 * A session's hidden field `__subject` is its anonymous subject where that is not the session's id; an empty text says that it
 * has none, since its data are the user's already, or nobody's. Fields are changed by hide() where the session is being stored
 * anyway, else by #change().
 */
export class Subjects implements SubjectHooks {
  readonly #requests = new WeakMap<object, RequestUser>();
  /** The sessions whose hidden fields were changed since they were stored. */
  readonly #changed = new WeakSet<object>();
  /** By anonymous subject: to which user it was carried, and whether that was answered. */
  readonly #carried = new LRUCache<string, { readonly user: string; isDone: boolean }>({ max: MAX_REMEMBERED });
  /**
   * Is called when a session that keeps its id has become another user's, or nobody's, or when the data of its anonymous visitor
   * were erased, with the subject that it had.
   */
  onVisitorChanged: (sid: string, subject: string) => void = () => {};
  /**
   * Carries what the site itself keeps of a visitor to a user: was it done? Called twice at a login; if it fails, again at the
   * next request.
   */
  alsoCarry: (from: string, user: string) => Promise<boolean> = () => Promise.resolve(true);
  readonly #nameOf: (session: SessionData) => string | undefined;

  constructor(
    readonly serving: Executor,
    readonly option: UserOption,
    readonly keepUsersForDays: number,
    readonly fault: (error: Error) => void,
  ) {
    const onInvalid = (what: string) => fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', what));
    const nameOf = userOfSession(option === 'identify' ? undefined : option, onInvalid);
    this.#nameOf = (session) => throwingAsThrown(() => nameOf(session));
  }

  /**
   * Waits for the item key, as ItemKey.settled(). Undefined where there is nothing to wait for, as for a session in which
   * nobody is logged in.
   */
  settled(session?: SessionData): Promise<void> | undefined {
    if (this.serving.itemKey.isKnown || (session && this.#identityOf(session) === undefined)) return undefined;
    return this.serving.itemKey.settled();
  }

  get userTtlSeconds(): number {
    return this.keepUsersForDays * DAY_SECONDS;
  }

  /** To be called when a request has its session. */
  begin(req: RequestWithSession): void {
    if (!req.session) return;
    const user = this.#identityOf(req.session);
    this.#requests.set(req, { user, stored: { sid: req.session.id, user } });
  }

  /**
   * The subject of a request; undefined after a logout on this request, and for a user while the item key is not known. If
   * somebody has just logged in, the anonymous subject's data are carried to the user.
   */
  of(req: RequestWithSession): Subject | undefined {
    const known = this.#requests.get(req);
    const identity = this.#identityOf(req.session);
    if (identity !== undefined) {
      const user = this.#subjectOf(identity);
      if (user !== undefined && !this.#isAnothers(known, identity)) this.#carry(user, req.session);
      this.#noteUser(req.session, known, identity);
      return user === undefined ? undefined : { subject: user, isAnonymous: false };
    }
    if (known?.user !== undefined) return undefined;
    let { __subject: subject = req.session.id } = hiddenOf(req.session);
    if (subject === '') {
      subject = newAnonymousSubject();
      this.#change(req.session, { __subject: subject });
    }
    return { subject, isAnonymous: true };
  }

  /** The subject of a request's user, if somebody is logged in; unlike of(), it carries no data. */
  userOf({ session }: RequestWithSession): Subject | undefined {
    const user = session && this.#userOf(session);
    return user === undefined ? undefined : { subject: user, isAnonymous: false };
  }

  /** Is somebody logged in, and has no subject, since the item key is not known? */
  lacksSubject({ session }: RequestWithSession): boolean {
    return session !== undefined && this.#identityOf(session) !== undefined && this.#userOf(session) === undefined;
  }

  /** The id of a user whom the application names outside a request, as a text. */
  idOf(user: unknown): string {
    const id = userIdOf(user);
    if (id === undefined || id === '') throw argumentError('of', '"user" to be a text or a number', user);
    return id;
  }

  /** The subject of a user by the id; undefined while the item key is not known. */
  ofUser(id: string): Subject | undefined {
    const subject = this.#subjectOfUser(id);
    return subject === undefined ? undefined : { subject, isAnonymous: false };
  }

  /** Notes the user whom the application names for the session, or, with undefined or null, that nobody is logged in. */
  identify(req: RequestWithSession, user: unknown): void {
    if (this.option !== 'identify')
      throw argumentError('identify', "option `user: 'identify'`, where no function says it", this.option);
    const isNobody = user === undefined || user === null;
    const id = isNobody ? undefined : userIdOf(user);
    if (!isNobody && (id === undefined || id === ''))
      throw argumentError('identify', 'a user, a text or a number, or undefined', user);
    if (!req.session) return;
    const subject = id === undefined ? undefined : (this.#subjectOfUser(id) ?? UNNAMED_USER);
    if (subject === UNNAMED_USER) this.fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_NOT_READY', NO_KEY));
    if (hiddenOf(req.session).__user !== subject) this.#change(req.session, { __user: subject });
  }

  /** The id of a request's user, as the option `user` gives it. */
  userName({ session }: RequestWithSession): string | undefined {
    return this.#nameOf(session);
  }

  /** All subjects under which data about a request's visitor are kept; undefined while the user has no subject. */
  ownedBy(req: RequestWithSession): OwnedSubjects | undefined {
    const { session } = req;
    if (this.lacksSubject(req)) return undefined;
    return { user: this.#userOf(session), userName: this.#nameOf(session), anonymous: this.uncarried([session]) };
  }

  /** The anonymous subjects of these sessions; a user's session has one only if its data were not carried yet. */
  uncarried(sessions: readonly (SessionData & { readonly id: string })[]): string[] {
    return sessions.map((session) => hiddenOf(session).__subject ?? session.id).filter((subject) => subject !== '');
  }

  /** To be called when the data about a request's visitor were erased: the session goes on with a new subject. */
  erased({ session }: RequestWithSession): void {
    const isAnonymous = this.#identityOf(session) === undefined;
    const before = hiddenOf(session).__subject || session.id;
    this.#change(session, { __subject: isAnonymous ? newAnonymousSubject() : '' });
    if (isAnonymous) this.onVisitorChanged(session.id, before);
  }

  /** As SubjectHooks says it: does the session have to be stored, though express-session may see no change? */
  saving(session: SessionData): boolean {
    const { req } = session as { req?: object };
    const known = req && this.#requests.get(req);
    if (known) {
      const user = this.#identityOf(session);
      const { id } = session as unknown as { id: string };
      const { __subject: subject = id } = hiddenOf(session);
      const { sid, user: before } = known.stored;
      known.stored = { sid: id, user };
      if (sid === id && before !== user) this.onVisitorChanged(id, this.#subjectIfAny(before) ?? (subject || id));
      if (user !== undefined) {
        const carried = this.#carried.get(subject);
        if (carried?.isDone && carried.user === this.#subjectOf(user)) hide(session, { __subject: '' });
        this.#noteUser(session, known, user);
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

  /** The anonymous subject that the session goes on with which regenerate() is about to put in this one's place. */
  keptBy(req: RequestWithSession): string | undefined {
    const known = this.#requests.get(req);
    if (!known || !req.session) return undefined;
    known.user ??= this.#identityOf(req.session); // so that a logout by regenerate() is noticed later
    const { __subject = req.session.id } = hiddenOf(req.session);
    return known.user === undefined && __subject !== '' ? __subject : undefined;
  }

  replaced(req: RequestWithSession, kept: string | undefined): void {
    if (this.#requests.has(req) && req.session) hide(req.session, { __subject: kept ?? '' });
  }

  /**
   * Tells a session's user from others, in this process: by the id, or by what identify() has stored. Undefined: nobody is
   * logged in.
   */
  #identityOf(session: SessionData): string | undefined {
    return this.option === 'identify' ? hiddenOf(session).__user : this.#nameOf(session);
  }

  /** The subject of a session's user; undefined where nobody is logged in, or while the item key is not known. */
  #userOf(session: SessionData): string | undefined {
    return this.#subjectIfAny(this.#identityOf(session));
  }

  #subjectIfAny(identity: string | undefined): string | undefined {
    return identity === undefined ? undefined : this.#subjectOf(identity);
  }

  #subjectOf(identity: string): string | undefined {
    if (this.option !== 'identify') return this.#subjectOfUser(identity);
    return identity === UNNAMED_USER ? undefined : identity;
  }

  #subjectOfUser(id: string): string | undefined {
    const { itemKey } = this.serving;
    return itemKey.isKnown ? userSubject(id, itemKey.value) : undefined;
  }

  /** Was another user than this one logged in earlier on the request? */
  #isAnothers(known: RequestUser | undefined, user: string): boolean {
    return known?.user !== undefined && known.user !== user;
  }

  /**
   * Notes the request's user. If another user was logged in before, data that were not carried yet are theirs, and are not
   * carried to this one.
   */
  #noteUser(session: SessionData, known: RequestUser | undefined, user: string): void {
    if (this.#isAnothers(known, user)) hide(session, { __subject: '' });
    if (known) known.user = user;
  }

  #carry(user: string, session: SessionData & { readonly id: string }): void {
    const { __subject: from = session.id } = hiddenOf(session);
    // an application's own genid() may make ids that are too long to be sent
    if (from === '' || !isSendable(from) || this.#carried.get(from)?.user === user) return;
    const carried = { user, isDone: false };
    this.#carried.set(from, carried);
    const options = { ttlSeconds: this.userTtlSeconds, timeoutMs: CARRY_TIMEOUT_MS };
    const asked = this.serving.ask('carry', user, encodeId(from), options);
    const alsoCarried = Promise.all([asked, this.alsoCarry(from, user)]);
    void alsoCarried.then(async ([{ answered }, alsoDone]) => {
      // Neither promise rejects. What another request has kept under `from` meanwhile is fetched by a second call; what comes
      // after the answer is the user's at once.
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
