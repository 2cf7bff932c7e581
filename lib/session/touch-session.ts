import type { SessionData } from 'express-session';
import type { SessionRemover } from './destroy-session.js';
import { hiddenOf, hide, shareHidden } from './hidden-fields.js';
import type { Lifetimes } from './lifetimes.js';
import type { SessionOwners } from './session-owners.js';
import type { SessionRecords } from './session-records.js';
import { hasRunOut } from './snapshot.js';
import type { TouchThrottle } from './touch-throttle.js';

/** Renews the expiry of sessions that were read and not changed. */
export class SessionToucher {
  constructor(
    readonly records: SessionRecords,
    readonly owners: SessionOwners,
    readonly lifetimes: Lifetimes,
    readonly throttle: TouchThrottle,
    readonly remover: SessionRemover,
    readonly options: { readonly disableTouch: boolean; readonly disableTTL: boolean },
  ) {}

  isDue(sid: string, session: SessionData): boolean {
    const { disableTouch, disableTTL } = this.options;
    return !disableTouch && !disableTTL && this.throttle.isDue(sid, this.lifetimes.lifetimeSeconds(session));
  }

  /** Renews a session's expiry. A session that its application has ended is removed, and one that is gone stays gone. */
  async touch(sid: string, session: SessionData): Promise<void> {
    const { codec, states, events } = this.records;
    const beginsLifetime = this.lifetimes.absolute.begin(session);
    this.lifetimes.absolute.limitCookie(session);
    const leftMs = this.lifetimes.ms(session, true);
    const snapshot = states.snapshotOf(session);
    if (leftMs <= 0) {
      const text = codec.stringify(session);
      const hasMerelyRunOut = snapshot?.sid === sid && (await hasRunOut(text, snapshot, codec, this.lifetimes));
      return hasMerelyRunOut ? undefined : this.remover.remove(sid);
    }
    this.throttle.touched(sid, this.lifetimes.lifetimeSeconds(session), this.lifetimes.touchAfterMs(leftMs));
    try {
      if (!(await this.#renew(sid, session, leftMs, beginsLifetime))) return;
    } catch (error) {
      this.throttle.forget(sid);
      throw error;
    }
    events.count('touched');
    await this.owners.note(snapshot?.user, sid, leftMs, { isNew: false });
  }

  /** Renews the expiry, and a stored cookie's end: false where the session is gone, or its stored value was not replaced. */
  async #renew(sid: string, session: SessionData, leftMs: number, beginsLifetime: boolean): Promise<boolean> {
    const { records } = this;
    const { codec } = records;
    const known = records.states.snapshotOf(session);
    const snapshot = known?.sid === sid ? known : undefined;
    const value = snapshot?.storedValue ?? (await records.value(sid));
    const text = snapshot?.storedText ?? (value === null ? undefined : codec.decrypt(sid, value));
    if (value === null || text === undefined) return false;
    const stored = await codec.read(text);
    if (!beginsLifetime && !session.cookie?.expires && !stored.cookie?.expires) return records.expire(sid, leftMs);
    const renewed = { ...stored, cookie: session.cookie };
    shareHidden(stored, renewed);
    if (beginsLifetime && hiddenOf(stored).__madeAt === undefined)
      hide(renewed, { __madeAt: hiddenOf(session).__madeAt });
    const storedText = codec.stringify(renewed);
    const storedValue = codec.encrypt(sid, storedText);
    const isReplaced = await records.touch(sid, value, storedValue, leftMs);
    if (snapshot && isReplaced) Object.assign(snapshot, { storedText, storedValue });
    return isReplaced;
  }
}
