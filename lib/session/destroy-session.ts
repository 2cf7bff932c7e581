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
    /** Is there an option that says whose a session is? */
    readonly hasUsers: boolean,
    readonly subjects: SessionSubjects,
  ) {}

  /** Removes a session after a first save of it that is under way here: it would be stored after its end. */
  destroy(sid: string): Promise<void> {
    return this.firstSaves.after(sid, () => this.calls.whenReady(() => this.remove(sid)));
  }

  /** Removes a session now. One that is being saved is removed by its save. */
  async remove(sid: string): Promise<void> {
    const { records, owners, subjects } = this;
    // Where a session may go on under another id, its value says whose data end with it.
    const asksValue = subjects.inUse || records.moved.followsMoves;
    if (typeof sid === 'string' && !asksValue) records.events.ended(sid, sid, sid);
    this.throttle.forget(sid);
    owners.forgetWhenNoted(sid);
    const removed = await records.destroy(sid, this.hasUsers || asksValue);
    if (typeof removed === 'object' && removed !== null) {
      const next = records.moved.nextIn(sid, removed[0]);
      if (next !== undefined) return this.remove(next);
    }
    // Its value says whose the session was.
    const session = typeof removed === 'string' ? await records.parse(sid, removed) : null;
    const user = session ? records.states.snapshotOf(session)?.user : undefined;
    if (asksValue) records.events.ended(sid, subjects.endedWith(sid, session, user), subjects.visitorOf(sid, session));
    await owners.removeNote(user, sid);
    if (removed !== null && removed !== 0 && typeof removed !== 'object') records.events.session('destroyed', sid);
  }
}
