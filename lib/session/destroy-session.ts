import type { KeyedMutex } from './keyed-mutex.js';
import type { SessionOwners } from './session-owners.js';
import type { SessionRecords } from './session-records.js';
import type { SessionSubjects } from './session-subjects.js';
import type { StoreCalls } from './store-calls.js';
import type { TouchThrottle } from './touch-throttle.js';

/** Removes sessions, with all that this process and Redis have noted of them. */
export class SessionRemover {
  constructor(
    readonly records: SessionRecords,
    readonly owners: SessionOwners,
    readonly throttle: TouchThrottle,
    readonly firstSaves: KeyedMutex,
    readonly calls: StoreCalls,
    /** Is option `user` given, so that sessions have notes to remove? */
    readonly hasUsers: boolean,
    readonly subjects: SessionSubjects,
  ) {}

  /** Removes a session, after a first save of it that is under way here: that would store the session after its end. */
  destroy(sid: string): Promise<void> {
    return this.firstSaves.after(sid, () => this.calls.whenConnected(() => this.remove(sid)));
  }

  /**
   * Removes a session now, also where a listener throws. A save that has to end its session calls this, since destroy() would
   * wait for that save.
   */
  async remove(sid: string): Promise<void> {
    const { records, subjects } = this;
    // Where subjects are in use, or sessions get other ids, only the value says whose data end with the session.
    const needsValue = subjects.inUse || records.moved.followsMoves;
    try {
      if (typeof sid === 'string' && !needsValue) records.events.ended(sid, sid, sid);
    } finally {
      await this.#remove(sid, needsValue);
    }
  }

  async #remove(sid: string, needsValue: boolean): Promise<void> {
    const { records, owners, subjects } = this;
    this.throttle.forget(sid);
    owners.forgetWhenNoted(sid);
    const removed = await records.destroy(sid, this.hasUsers || needsValue);
    if (typeof removed === 'object' && removed !== null) {
      // it has another id by now
      const next = records.moved.nextIn(sid, removed[0]);
      if (next !== undefined) return this.remove(next);
    }
    // The value says whose the session was.
    const session = typeof removed === 'string' ? await records.parse(sid, removed) : null;
    const user = session ? records.states.snapshotOf(session)?.user : undefined;
    try {
      if (needsValue)
        records.events.ended(sid, subjects.endedWith(sid, session, user), subjects.visitorOf(sid, session));
    } finally {
      await owners.removeNote(user, sid);
      if (removed !== null && removed !== 0 && typeof removed !== 'object')
        records.events.sessionEvent('destroyed', sid);
    }
  }
}
