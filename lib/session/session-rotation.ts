import type { Session, SessionData } from 'express-session';
import { LRUCache } from 'lru-cache';
import { type HiddenFields, hiddenOf, hide } from './hidden-fields.js';
import type { Lifetimes } from './lifetimes.js';
import type { SessionOwners } from './session-owners.js';
import type { SessionRecords } from './session-records.js';
import { NO_TTL } from './save-outcome.js';

/** How often a session gets another id by itself, and how long its old one still leads there when the new one has come back. */
export interface RotationTimes {
  readonly everyMs: number;
  readonly graceMs: number;
}

/** A session object whose session got another id, by another request, after it was read. */
export interface Moved {
  readonly from: string;
  readonly to: string;
  /** The hidden fields of the session under its new id. */
  readonly fields: HiddenFields;
}

/** A session that a request read under another id than its cookie's. */
interface Arrival {
  readonly cookieId: string;
  /** The session as it was read, as JSON; known when it has become express-session's object, until it is saved. */
  text?: string | undefined;
}

const MAX_REMEMBERED = 50_000;
const NOT_KEPT =
  'option "serializer" does not keep fields that it does not know: what says since when a session has its id is lost, and "rotateEvery" has no effect';

/**
 * Gives sessions another id by itself (`rotateEvery`). The record is written under the new id, and then the old one is replaced by
 * its tombstone, which says where the session went: whoever comes with the old id finds the session, until the new id has come
 * back and a grace is over. A session that nobody could read under its new id yet keeps the old one for as long as it lives: an
 * answer that is lost logs nobody out.
 */
export class SessionRotation {
  #times: RotationTimes | undefined;
  readonly #arrivals = new WeakMap<object, Arrival>();
  readonly #moved = new WeakMap<object, Moved>();
  /** The rotations of this process that are under way, by the old id. */
  readonly #underWay = new Map<string, Promise<unknown>>();
  /** The new ids that came back to this process. */
  readonly #cameBack = new LRUCache<string, true>({ max: MAX_REMEMBERED });

  constructor(
    readonly records: SessionRecords,
    readonly owners: SessionOwners,
    readonly lifetimes: Lifetimes,
    readonly options: { readonly disableTTL: boolean },
  ) {}

  use(times: RotationTimes): void {
    this.#times = times;
    this.records.moved.followsMoves = true;
  }

  get inUse(): boolean {
    return this.#times !== undefined;
  }

  /** A new session is about to be stored: since now it has its id. */
  begin(session: SessionData): void {
    if (this.#times && !this.records.states.snapshotOf(session) && hiddenOf(session).__idSince === undefined)
      hide(session, { __idSince: Date.now() });
  }

  /** The session of an id that was replaced, as a request reads it. */
  async follow(sid: string): Promise<SessionData | null> {
    if (!this.#times) return null;
    const next = await this.records.moved.nextOf(sid);
    const session = next === undefined ? null : await this.records.load(next);
    if (session) this.#arrivals.set(session, { cookieId: sid });
    return session;
  }

  /** The id by which a request's cookie knew a session that has another one by now. */
  cookieIdOf(session: object): string | undefined {
    return this.#arrivals.get(session)?.cookieId;
  }

  /** express-session has made its object of a session that was read under another id than the cookie's. */
  arrived(data: SessionData, session: SessionData): void {
    const arrival = this.#arrivals.get(data);
    if (!arrival) return;
    this.#arrivals.set(session, { ...arrival, text: textOf(session) });
    // express-session compares with what was read: it takes the session for changed, and sets its cookie whatever `saveUninitialized` says.
    Object.assign(data, { id: arrival.cookieId });
  }

  /** Does express-session save a session only for its new id? Then nothing has to be written over what others save. */
  isUnchanged(session: SessionData): boolean {
    if (typeof session !== 'object' || session === null) return false;
    const arrival = this.#arrivals.get(session);
    if (arrival?.text === undefined) return false;
    if (arrival.text === textOf(session)) return true;
    arrival.text = undefined; // what is changed back after this save has to be saved, too
    return false;
  }

  /** The session of this object has got another id since it was read. */
  moved(session: object, from: string, there: SessionData): Moved {
    const { __idSince, __previous, __subject } = hiddenOf(there);
    const to = this.records.states.snapshotOf(there)?.sid as string;
    const moved: Moved = { from, to, fields: { __idSince, __previous, __subject } };
    this.#moved.set(session, moved);
    hide(session, withOwn(moved, hiddenOf(session)));
    return moved;
  }

  movedOf(session: object, sid: string): Moved | undefined {
    const moved = this.#moved.get(session);
    return moved?.from === sid ? moved : undefined;
  }

  /** The id under which the session of this object is stored, which it knows by `sid`. */
  idOf(session: object, sid: string): string {
    return this.#times ? (this.movedOf(session, sid)?.to ?? sid) : sid;
  }

  /** The text of a session as it is under its new id. */
  async textAt({ fields, ...moved }: Moved, text: string): Promise<string> {
    const session = await this.records.codec.read(text);
    hide(session, withOwn({ ...moved, fields }, hiddenOf(session)));
    return this.records.codec.stringify(session);
  }

  /** Is this the session that a request's cookie names, and does it have its id for longer than it may? */
  isDue(session: SessionData, sid: string): boolean {
    if (!this.#times || !this.#isNamed(session, sid)) return false;
    const { __idSince = 0 } = hiddenOf(session);
    const now = Date.now();
    return now - Math.min(__idSince, now) >= this.#times.everyMs;
  }

  /** A session was read by its new id: how the old one ends, if that is not known here to have ended. */
  endingOldId(session: SessionData, sid: string): (() => Promise<unknown>) | undefined {
    const { __previous } = hiddenOf(session);
    const times = this.#times;
    if (!times || __previous === undefined || !this.#isNamed(session, sid) || this.#cameBack.has(sid)) return undefined;
    this.#cameBack.set(sid, true);
    return () =>
      this.records.moved.endOldId(__previous, times.graceMs).catch((error) => {
        this.#cameBack.delete(sid);
        throw error;
      });
  }

  /** Gives a session another id. Undefined: it keeps the one that it has. */
  async rotate(session: Session & SessionData, newId: unknown): Promise<SessionData | null> {
    const sid = session.id;
    const before = this.#underWay.get(sid);
    if (before) {
      await before.catch(() => {}); // it is told where it was begun
      return this.follow(sid);
    }
    const rotating = this.#rotate(session, newId);
    this.#underWay.set(sid, rotating);
    try {
      return await rotating;
    } finally {
      this.#underWay.delete(sid);
    }
  }

  async #rotate(session: Session & SessionData, newId: unknown): Promise<SessionData | null> {
    const { records, owners, lifetimes } = this;
    const snapshot = records.states.snapshotOf(session);
    const sid = session.id;
    if (!this.#times || !snapshot || typeof newId !== 'string' || newId === '' || newId === sid) return null;
    const { graceMs } = this.#times;
    const stored = await records.codec.read(snapshot.storedText);
    hide(stored, { __idSince: Date.now(), __previous: sid, __subject: hiddenOf(stored).__subject ?? sid });
    const leftMs = lifetimes.ms(stored, true);
    const value = records.codec.encrypt(newId, records.codec.stringify(stored));
    const moved = await records.parse(newId, value);
    if (!moved || leftMs <= 0) return null;
    if (hiddenOf(moved).__idSince === undefined) {
      this.#times = { graceMs, everyMs: Number.POSITIVE_INFINITY };
      records.events.applicationMistake(NOT_KEPT);
      return null;
    }
    // Noted before it is stored, as at each first save: who ends all sessions of the user misses none.
    const noted = await owners.note(snapshot.user, newId, leftMs, { isNew: true });
    if (!(await records.add(newId, value, this.options.disableTTL ? NO_TTL : leftMs))) return null;
    const went = noted?.tooLate
      ? undefined
      : await records.moved.move(sid, snapshot.storedValue, newId, Math.max(leftMs, graceMs));
    if (went === newId) {
      owners.forgetWhenNoted(sid);
      await owners.removeNote(snapshot.user, sid).catch((error) => records.events.fault(error)); // a note says where to look
      records.events.count('rotated');
      this.#arrivals.set(moved, { cookieId: sid });
      return moved;
    }
    await records.unlink(newId);
    owners.forgetWhenNoted(newId);
    await owners.removeNote(snapshot.user, newId);
    return went === undefined ? null : this.follow(sid);
  }

  /** Was the session read by this id, and by no other one that leads there? */
  #isNamed(session: SessionData, sid: string): boolean {
    const snapshot = this.records.states.snapshotOf(session);
    return snapshot?.wasRead === true && snapshot.sid === sid && !this.#arrivals.has(session);
  }
}

/** The hidden fields of a session under its new id, of which its request may have changed the subject. */
const withOwn = ({ fields }: Moved, own: HiddenFields): HiddenFields => ({
  ...fields,
  __subject: own.__subject ?? fields.__subject,
});

/** What express-session compares: a session without its cookie. Undefined where JSON can't say it, which express-session tells. */
function textOf({ cookie: _cookie, ...session }: SessionData): string | undefined {
  try {
    return JSON.stringify(session);
  } catch {
    return undefined;
  }
}
