import type { Session, SessionData } from 'express-session';
import { LRUCache } from 'lru-cache';
import { type HiddenFields, hiddenOf, hide } from './hidden-fields.js';
import type { Lifetimes } from './lifetimes.js';
import type { SessionOwners } from './session-owners.js';
import type { SessionRecords } from './session-records.js';
import { NO_TTL } from './save-outcome.js';
import { isWithoutCookie } from './stored-session.js';

/** How often a session gets a new id, and for how long the old id still leads to it once a request has come with the new one. */
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

/** Of how many new ids this process remembers that a request has come with them. */
const MAX_REMEMBERED = 50_000;
const FIELDS_NOT_KEPT =
  'option "serializer" does not keep fields that it does not know: what says since when a session has its id is lost, and "rotateEvery" has no effect';

/**
 * Gives sessions a new id from time to time (option `rotateEvery`). The session is written under the new id, and its record under
 * the old id is replaced by a tombstone, which holds the new id: a request with the old id finds the session, until a request has
 * come with the new id and the grace period is over. If none ever comes with the new id, the old id leads to the session for as
 * long as the session lives: an answer that is lost logs nobody out.
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

  /** Notes, for a new session that is about to be stored, that it has its id since now. */
  begin(session: SessionData): void {
    if (this.#times && !this.records.states.snapshotOf(session) && hiddenOf(session).__idSince === undefined)
      hide(session, { __idSince: Date.now() });
  }

  /** Reads the session whose id `sid` was replaced by another one. */
  async follow(sid: string): Promise<SessionData | null> {
    if (!this.#times) return null;
    const next = await this.records.moved.nextOf(sid);
    const session = next === undefined ? null : await this.records.load(next);
    if (session) this.#arrivals.set(session, { cookieId: sid });
    return session;
  }

  /** The id in the request's cookie, where the session was found under a newer one. */
  cookieIdOf(session: object): string | undefined {
    return this.#arrivals.get(session)?.cookieId;
  }

  /** To be called when express-session has made its object `session` of the `data` that was read. */
  arrived(data: SessionData, session: SessionData): void {
    const arrival = this.#arrivals.get(data);
    if (!arrival) return;
    this.#arrivals.set(session, { ...arrival, text: textOf(session) });
    // express-session compares the session's id with that of the data: they differ, so it sets the cookie, whatever
    // `saveUninitialized` says.
    Object.assign(data, { id: arrival.cookieId });
  }

  /** Does express-session save a session only because its id is new? Then nothing is written, and other requests' saves stay. */
  isUnchanged(session: SessionData): boolean {
    if (typeof session !== 'object' || session === null) return false;
    const arrival = this.#arrivals.get(session);
    if (arrival?.text === undefined) return false;
    if (arrival.text === textOf(session)) return true;
    arrival.text = undefined; // if the session is changed back after this save, that has to be saved, too
    return false;
  }

  /** Notes that the session of this object has got another id since it was read; `found` is the session under that id. */
  moved(session: object, from: string, found: SessionData): Moved {
    const { __idSince, __previous, __subject } = hiddenOf(found);
    const to = this.records.states.snapshotOf(found)?.sid as string;
    const moved: Moved = { from, to, fields: { __idSince, __previous, __subject } };
    this.#moved.set(session, moved);
    hide(session, withOwn(moved, hiddenOf(session)));
    return moved;
  }

  movedOf(session: object, sid: string): Moved | undefined {
    const moved = this.#moved.get(session);
    return moved?.from === sid ? moved : undefined;
  }

  /** The id under which Redis has the session of this object; the object itself has the id `sid`. */
  idOf(session: object, sid: string): string {
    return this.#times ? (this.movedOf(session, sid)?.to ?? sid) : sid;
  }

  /** A session's text with the hidden fields that it has under its new id. */
  async textAt({ fields, ...moved }: Moved, text: string): Promise<string> {
    const session = await this.records.codec.read(text);
    hide(session, withOwn({ ...moved, fields }, hiddenOf(session)));
    return this.records.codec.stringify(session);
  }

  /** Is this the session that the request's cookie names, and has it had its id for as long as `rotateEvery` allows? */
  isDue(session: SessionData, sid: string): boolean {
    if (!this.#times || !this.#wasReadByOwnId(session, sid)) return false;
    const { __idSince = 0 } = hiddenOf(session);
    const now = Date.now();
    return now - Math.min(__idSince, now) >= this.#times.everyMs;
  }

  /** For a session that was read by its new id: what begins the old id's grace; undefined where this process has done that. */
  endingOldId(session: SessionData, sid: string): (() => Promise<unknown>) | undefined {
    const { __previous } = hiddenOf(session);
    const times = this.#times;
    if (!times || __previous === undefined || !this.#wasReadByOwnId(session, sid) || this.#cameBack.has(sid))
      return undefined;
    this.#cameBack.set(sid, true);
    return () =>
      this.records.moved.endOldId(__previous, times.graceMs).catch((error) => {
        this.#cameBack.delete(sid);
        throw error;
      });
  }

  /** Gives a session another id, and returns the session under it; null where the session keeps the id that it has. */
  async rotate(session: Session & SessionData, newId: unknown): Promise<SessionData | null> {
    const sid = session.id;
    const before = this.#underWay.get(sid);
    if (before) {
      await before.catch(() => {}); // the call that began the rotation reports its error
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
    if (isWithoutCookie(stored)) stored.cookie = session.cookie; // the site's, which express-session has made
    hide(stored, { __idSince: Date.now(), __previous: sid, __subject: hiddenOf(stored).__subject ?? sid });
    const leftMs = lifetimes.ms(stored, true);
    const value = records.codec.encrypt(newId, records.codec.stringify(stored));
    const moved = await records.parse(newId, value); // with its snapshot, as a read of the new id would give it
    if (!moved || leftMs <= 0) return null;
    if (hiddenOf(moved).__idSince === undefined) {
      // the serializer dropped the field, so each request would rotate the id: no more rotations
      this.#times = { graceMs, everyMs: Number.POSITIVE_INFINITY };
      records.events.applicationMistake(FIELDS_NOT_KEPT);
      return null;
    }
    // The new id is noted before it is stored, as at each first save: destroyAllOf() then finds it.
    const noted = await owners.note(snapshot.user, newId, leftMs, { isNew: true });
    if (!(await records.add(newId, value, this.options.disableTTL ? NO_TTL : leftMs))) return null;
    const leadsTo = noted?.tooLate
      ? undefined
      : await records.moved.move(sid, snapshot.storedValue, newId, Math.max(leftMs, graceMs));
    if (leadsTo === newId) {
      owners.forgetWhenNoted(sid);
      // a note that is left behind does no harm: its id leads to no session of its own
      await owners.removeNote(snapshot.user, sid).catch((error) => records.events.fault(error));
      records.events.count('rotated');
      this.#arrivals.set(moved, { cookieId: sid });
      return moved;
    }
    // another process has rotated the id first, or the session was saved or ended meanwhile
    await records.unlink(newId);
    owners.forgetWhenNoted(newId);
    await owners.removeNote(snapshot.user, newId);
    return leadsTo === undefined ? null : this.follow(sid);
  }

  /** Was the session read by this id itself, not by an older one that leads to it? */
  #wasReadByOwnId(session: SessionData, sid: string): boolean {
    const snapshot = this.records.states.snapshotOf(session);
    return snapshot?.wasRead === true && snapshot.sid === sid && !this.#arrivals.has(session);
  }
}

/** The hidden fields of a session under its new id, with the subject that the request has set, if it has set one. */
const withOwn = ({ fields }: Moved, own: HiddenFields): HiddenFields => ({
  ...fields,
  __subject: own.__subject ?? fields.__subject,
});

/** The text that express-session compares: a session without its cookie. Undefined where JSON.stringify() throws. */
function textOf({ cookie: _cookie, ...session }: SessionData): string | undefined {
  try {
    return JSON.stringify(session);
  } catch {
    return undefined;
  }
}
