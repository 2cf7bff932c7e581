import { IntelligentSessionError } from '../errors/errors.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { CoalescedMerges } from './coalesced-merges.js';
import type { Lifetimes } from './lifetimes.js';
import type { RedisSessionStoreOptions } from './options.js';
import { KEEP_TTL, NO_TTL, type SaveOutcome } from './save-outcome.js';
import type { SessionRecords } from './session-records.js';
import { keepUnanswered, type SessionState, type Snapshot } from './snapshot.js';

/** If a save was sent less than this ago and its session was destroyed since, the tombstone (60 s) is surely still there. */
const TOMBSTONE_SURE_MS = 50_000;

/** Writes a session as `saveMode` says, over the value that its request has read, or may have written itself. */
export class SessionWriter {
  readonly #merges: CoalescedMerges;

  constructor(
    readonly records: SessionRecords,
    lifetimes: Lifetimes,
    readonly options: Pick<RedisSessionStoreOptions, 'saveMode' | 'merge'> & { readonly disableTTL: boolean },
    onConflict: (sid: string) => void,
  ) {
    this.#merges = new CoalescedMerges(records, lifetimes, options, onConflict);
  }

  /**
   * Writes `saved`, which becomes the session object's snapshot; a merge puts its result into `saved`. A save that would lose
   * against another one of this process waits for that one; an `urgent` save waits only where it is sure to lose.
   */
  async write(saved: Snapshot, state: SessionState, leftMs: number, urgent: boolean): Promise<SaveOutcome> {
    try {
      return await this.#write(saved, state, this.#ttlMs(leftMs), urgent);
    } catch (error) {
      // a save that was never sent, or that is an error of ours, does not stand in Redis
      if (!(error instanceof IntelligentSessionError) && !wasNotSent(error)) keepUnanswered(state, saved);
      throw error;
    } finally {
      if (state.sending === saved) state.sending = undefined;
    }
  }

  /** Writes over a value of this request that is on its way to Redis: was that value there, so that this one was written? */
  async writeBehind(expected: string, saved: Snapshot, state: SessionState, leftMs: number): Promise<boolean> {
    state.sending = saved;
    try {
      const outcome = await this.records.compareAndSet(saved.sid, expected, saved.storedValue, this.#ttlMs(leftMs));
      return outcome === 'saved';
    } finally {
      if (state.sending === saved) state.sending = undefined;
    }
  }

  async #write(saved: Snapshot, state: SessionState, ttlMs: number, urgent: boolean): Promise<SaveOutcome> {
    const { sid, storedValue: value } = saved;
    const snapshot = state.snapshot?.sid === sid ? state.snapshot : undefined;
    const unanswered = state.unanswered?.filter((one) => one.sid === sid) ?? [];
    const overwrites = this.options.saveMode === 'overwrite';
    const merge = (current?: string) => this.#merges.merge({ saved, snapshot, unanswered }, current);

    if (!snapshot && unanswered.length > 0) {
      const outcome = await this.#writeAgain(saved, unanswered, ttlMs);
      if (typeof outcome === 'string') return outcome;
      return overwrites ? this.records.put(sid, value, ttlMs, true) : merge(outcome.current);
    }
    if (snapshot && !overwrites) {
      // After a merge or a touch, Redis holds another text than this request has read.
      if (snapshot.storedText !== snapshot.loadedText) return merge(snapshot.storedValue);
      if (this.#merges.hasToWait(sid, snapshot.storedValue, urgent)) return merge();
    }
    state.sending = saved;
    if (!snapshot || overwrites) return this.records.put(sid, value, ttlMs, snapshot !== undefined);
    const outcome = await this.#merges.send(sid, snapshot.storedValue, value, ttlMs);
    if (state.sending === saved) state.sending = undefined;
    return typeof outcome === 'string' ? outcome : merge(outcome.current);
  }

  /** Writes a new session whose earlier saves got no answer. */
  #writeAgain(saved: Snapshot, unanswered: readonly Snapshot[], ttlMs: number) {
    const mayBeAbsent = Date.now() - (unanswered[0]?.takenAt ?? 0) < TOMBSTONE_SURE_MS;
    const values = unanswered.map(({ storedValue }) => storedValue);
    return this.records.saveUnanswered(saved.sid, saved.storedValue, ttlMs, mayBeAbsent, values);
  }

  /** The ttl to save a session with that has `leftMs` left. One that has run out keeps the expiry that it has in Redis. */
  #ttlMs(leftMs: number): number {
    if (this.options.disableTTL) return NO_TTL;
    return leftMs > 0 ? leftMs : KEEP_TTL;
  }
}
