import type { SessionData } from 'express-session';
import { checkIsObject } from '../options/check-arguments.js';
import { wasNotSent } from '../redis/lost-connection.js';
import type { SessionRemover } from './destroy-session.js';
import { hiddenOf, hide } from './hidden-fields.js';
import type { KeyedMutex } from './keyed-mutex.js';
import { isEmpty, type Lifetimes } from './lifetimes.js';
import type { MergeSessions } from './merge-growing.js';
import { newSaveId, withSaveId } from './save-ids.js';
import { KEEP_TTL, NO_TTL } from './save-outcome.js';
import type { SessionOwners } from './session-owners.js';
import type { SessionRecords } from './session-records.js';
import type { Moved, SessionRotation } from './session-rotation.js';
import { hasRunOut, keepUnanswered, type SessionState, type Snapshot } from './snapshot.js';
import type { StoreCalls } from './store-calls.js';
import type { TouchThrottle } from './touch-throttle.js';
import type { Noted } from './user-sessions.js';
import type { SessionWriter } from './write-session.js';

/** The parts of the store that a save uses. */
interface Layers {
  readonly records: SessionRecords;
  readonly writer: SessionWriter;
  readonly owners: SessionOwners;
  readonly lifetimes: Lifetimes;
  readonly throttle: TouchThrottle;
  readonly remover: SessionRemover;
  readonly rotation: SessionRotation;
  /** By session id: the first save of a session, for which destroy() waits. */
  readonly firstSaves: KeyedMutex;
  readonly calls: StoreCalls;
}

/** One call of save(): the session as it was at that moment. */
interface Save {
  readonly session: SessionData;
  readonly sid: string;
  readonly text: string;
  readonly user: string | undefined;
  /** how long the session has left; 0 or less: it has ended */
  readonly leftMs: number;
  /** The response is a redirect: the browser asks for another page at once. */
  readonly isRedirect: boolean;
  /** The ids of this save (save-ids.ts): one, or none without option `merge`. */
  readonly saveIds: readonly string[];
}

/** How long a session's note (user-sessions.lua) is kept where our copy has run out, and only Redis knows the session's end. */
const RUN_OUT_NOTE_MS = 86_400_000;

/** Saves sessions: decides in which order saves go, notes which user a session belongs to, and acts on the outcome of each save. */
export class SessionSaver {
  constructor(
    readonly layers: Layers,
    readonly options: { readonly disableTTL: boolean; readonly merge?: MergeSessions | undefined },
  ) {}

  /** Is this a session that was never stored and holds nothing but its cookie? Where it can't be stored, nobody loses anything. */
  isNewAndEmpty(session: SessionData): boolean {
    return (
      typeof session === 'object' &&
      session !== null &&
      !this.layers.records.states.snapshotOf(session) &&
      isEmpty(session)
    );
  }

  /** Saves a session as it is now. Saves of one session object go in the order in which they were asked for. */
  save(sid: string, session: SessionData): Promise<void> {
    checkIsObject('set', session, 'a session');
    const state = this.layers.records.states.of(session);
    const { absolute } = this.layers.lifetimes;
    absolute.begin(session);
    absolute.limitCookie(session);
    this.layers.rotation.begin(session);
    const saveIds = this.options.merge ? [newSaveId()] : [];
    for (const id of saveIds) hide(session, { __saves: withSaveId(hiddenOf(session).__saves, id) });
    const asked: Save = {
      session,
      sid,
      text: this.layers.records.codec.stringify(session),
      user: this.layers.records.userOf(session),
      leftMs: this.layers.lifetimes.ms(session, state.snapshot?.sid === sid && state.snapshot.wasRead),
      isRedirect: isRedirect(session),
      saveIds,
    };
    const save = () => this.layers.calls.whenConnected(() => this.#save(asked, state));
    const saveInTurn = () => (state.snapshot ? save() : this.layers.firstSaves.run(sid, save));
    const { saving: before, sending } = state;
    let saving: Promise<void>;
    if (!before) saving = saveInTurn();
    else if (sending?.sid === sid && sending.user === asked.user && asked.leftMs > 0)
      saving = this.#saveBehind(before, sending, asked, state, saveInTurn);
    else saving = before.then(saveInTurn, saveInTurn);
    state.saving = saving;
    const ended = () => {
      if (state.saving === saving) state.saving = undefined;
    };
    saving.then(ended, ended);
    return saving;
  }

  async #save(asked: Save, state: SessionState): Promise<void> {
    const { sid, text, user, leftMs, isRedirect } = asked;
    const moved = this.layers.rotation.movedOf(asked.session, sid);
    if (moved) return this.#saveMoved(asked, moved, state);
    const { codec, events } = this.layers.records;
    const snapshot = state.snapshot?.sid === sid ? state.snapshot : undefined;
    // A session without time left was ended by the application, unless this request's copy has merely run out: then another
    // request may have renewed the session, and it is saved.
    if (leftMs <= 0 && !(snapshot && (await hasRunOut(text, snapshot, codec, this.layers.lifetimes))))
      return this.layers.remover.remove(sid);
    const isNewUser = user !== undefined && user !== snapshot?.user;
    // The note is sent first, so that no stored session lacks it, and the session right behind it, before the note's answer.
    const noteMs = leftMs > 0 ? leftMs : RUN_OUT_NOTE_MS;
    const noting = this.layers.owners.note(user, sid, noteMs, { isNew: isNewUser });
    const saved = this.#snapshotOf(asked, snapshot?.wasRead ?? false);
    const writing = this.layers.writer.write(saved, state, leftMs, isNewUser || isRedirect);
    // express-session writes the answer's head right after this, upon which a browser may send a request that needs this save.
    if (!snapshot || isNewUser || isRedirect) this.layers.records.flushWrites();
    const [note, written] = await Promise.allSettled([noting, writing]);

    if (written.status === 'rejected') throw written.reason;
    if (written.value === 'unreadable') return void events.sessionUnreadable();
    if (written.value === 'gone') return this.#saveGone(asked, state, snapshot);
    if (note.status === 'rejected') {
      if (isNewUser) {
        await this.#takeBack(saved, state, snapshot);
        throw note.reason;
      }
      events.fault(note.reason); // An earlier note of the session still stands, and the next save tries to renew it.
    }
    this.#remember(saved, state);
    try {
      if (!snapshot) events.sessionEvent('created', sid);
    } finally {
      // also where a listener throws
      await this.#afterSave(saved, snapshot, asked, noteMs, note.status === 'fulfilled' ? note.value : undefined);
    }
  }

  /** Redis holds nothing under the session's id: the session has ended, or has got another id since it was read. */
  async #saveGone(asked: Save, state: SessionState, snapshot: Snapshot | undefined): Promise<void> {
    const { rotation } = this.layers;
    const { session, sid, user } = asked;
    const found = snapshot && (await rotation.follow(sid));
    if (!found) return this.#refuse(sid, user);
    const moved = rotation.moved(session, sid, found);
    state.snapshot = await this.#underNewId(snapshot, moved);
    const unanswered = state.unanswered?.filter((one) => one.sid === sid) ?? [];
    state.unanswered = await Promise.all(unanswered.map((one) => this.#underNewId(one, moved)));
    this.layers.owners.forgetWhenNoted(sid);
    await this.layers.owners.removeNote(user, sid);
    return this.#saveMoved(asked, moved, state);
  }

  /** A snapshot of a session, rewritten for the session's new id. */
  async #underNewId(one: Snapshot, moved: Moved): Promise<Snapshot> {
    const { rotation, records } = this.layers;
    const loadedText = await rotation.textAt(moved, one.loadedText);
    const storedText = one.storedText === one.loadedText ? loadedText : await rotation.textAt(moved, one.storedText);
    return { ...one, sid: moved.to, loadedText, storedText, storedValue: records.codec.encrypt(moved.to, storedText) };
  }

  async #saveMoved(asked: Save, moved: Moved, state: SessionState): Promise<void> {
    return this.#save({ ...asked, sid: moved.to, text: await this.layers.rotation.textAt(moved, asked.text) }, state);
  }

  /** Applies the limit of sessions to the session's user; ends the session where all of that user's were ended meanwhile. */
  async #afterSave(
    { sid, user }: Snapshot,
    before: Snapshot | undefined,
    asked: Save,
    noteMs: number,
    noted: Noted | undefined,
  ): Promise<void> {
    if (asked.user !== undefined && asked.user !== before?.user && noted?.tooLate)
      return this.layers.remover.remove(sid);
    // A merge may give the session to another user. The former user's note stays: its readers ask the session.
    const latest = user === asked.user ? noted : await this.layers.owners.note(user, sid, noteMs, { isNew: true });
    if (!latest || user === undefined || user === before?.user) return;
    const beyond = await this.layers.owners.beyondLimit(user, latest);
    // this session itself is removed without destroy(), which would wait for this save
    await Promise.all(
      beyond.map((each) => (each === sid ? this.layers.remover.remove(each) : this.layers.remover.destroy(each))),
    );
  }

  /**
   * Saves while the earlier save has no answer yet. This save is sent right behind the earlier one and expects the value that
   * the earlier one writes, so that the page after a redirect finds it. Where the earlier save fails, or is merged, this save is
   * made again after it.
   */
  async #saveBehind(
    before: Promise<void>,
    { storedValue: expected, wasRead }: Snapshot,
    asked: Save,
    state: SessionState,
    saveInTurn: () => Promise<void>,
  ): Promise<void> {
    const saved = this.#snapshotOf(asked, wasRead);
    const writing = this.layers.writer.writeBehind(expected, saved, state, asked.leftMs);
    if (asked.isRedirect) this.layers.records.flushWrites();
    const [first, second] = await Promise.allSettled([before, writing]);
    if (second.status === 'rejected' && wasNotSent(second.reason)) return saveInTurn();
    if (second.status === 'rejected' || first.status === 'rejected') keepUnanswered(state, saved);
    if (second.status === 'rejected') throw second.reason;
    if (first.status === 'rejected' || !second.value) return saveInTurn();
    this.#remember(saved, state);
  }

  #snapshotOf({ sid, text, user, saveIds }: Save, wasRead: boolean): Snapshot {
    const storedValue = this.layers.records.codec.encrypt(sid, text);
    return { sid, loadedText: text, storedText: text, storedValue, wasRead, user, takenAt: Date.now(), saveIds };
  }

  #remember(saved: Snapshot, state: SessionState): void {
    this.layers.records.events.count('saved');
    state.snapshot = saved;
    state.unanswered = [];
    // A page that saves before it ends has not renewed its cookie yet: the touch at its end must not be skipped.
    this.layers.throttle.forget(saved.sid);
  }

  /** Undoes a save whose session could not be noted as its user's: destroyAllOf() would not find the session. */
  async #takeBack(saved: Snapshot, state: SessionState, before: Snapshot | undefined): Promise<void> {
    keepUnanswered(state, saved);
    if (!before) return this.layers.records.unlink(saved.sid);
    const ttlMs = this.options.disableTTL ? NO_TTL : KEEP_TTL;
    await this.layers.records.compareAndSet(saved.sid, saved.storedValue, before.storedValue, ttlMs);
  }

  /** The session is gone, and its save does not bring it back. */
  async #refuse(sid: string, user: string | undefined): Promise<void> {
    await this.layers.owners.removeNote(user, sid);
    this.layers.owners.forgetWhenNoted(sid);
    this.layers.records.events.sessionEvent('refused', sid);
  }
}

/** Does the page that saves this session answer with a redirect? */
function isRedirect(session: SessionData): boolean {
  const { req } = session as { req?: { res?: { statusCode?: number } } };
  const status = req?.res?.statusCode ?? 200;
  return status >= 300 && status < 400;
}
