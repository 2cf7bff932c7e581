import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../errors/errors.js';
import { ApplicationMerge } from './application-merge.js';
import { hiddenOf, hide } from './hidden-fields.js';
import type { Lifetimes } from './lifetimes.js';
import { type Changes, differences } from './merge-session.js';
import { MergeTarget, ParsedTexts } from './merge-target.js';
import type { RedisSessionStoreOptions } from './options.js';
import { newSaveId, withSaveId } from './save-ids.js';
import { type Changed, KEEP_TTL, NO_TTL, type SaveOutcome } from './save-outcome.js';
import { unserializable } from './session-codec.js';
import type { SessionRecords } from './session-records.js';
import type { Snapshot } from './snapshot.js';

/** How often a merge is tried again, because somebody else wrote the session meanwhile, before it is rejected as a conflict. */
const MAX_RETRIES = 100;

/** A save that waits until it can be merged with what stands in Redis. */
export interface MergeRequest {
  /** The session as this request saves it. The merge puts its result here, and this becomes the session object's snapshot. */
  readonly saved: Snapshot;
  /** The session as this request knows it from its last read or save. */
  readonly snapshot: Snapshot | undefined;
  /** The saves of this request that got no answer. */
  readonly unanswered: readonly Snapshot[];
}

interface WaitingMerge extends MergeRequest {
  /** The value that Redis is expected to hold. Where Redis holds another one, its answer to the save says which. */
  readonly expected: string;
  readonly resolve: (outcome: SaveOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface PreparedMerge extends WaitingMerge {
  readonly changes: Changes;
  /**
   * The texts that this request may have written and, where it has a snapshot, at the end the one that it knows from Redis. If
   * one of them stands in Redis, there is no conflict.
   */
  readonly knownTexts: string[];
  hasReportedConflict: boolean;
}

/** The saves of one session that are under way in this process. */
interface SessionWrites {
  /** How many saves were sent without a merge and have no answer yet; the first of them expects `expected`. */
  sent: number;
  readonly expected: string;
  /** The value that Redis has by its last answer to a save; undefined where that is not known. */
  current?: string | undefined;
  isMerging: boolean;
  waiting: WaitingMerge[];
}

/**
 * Sends this process's saves of sessions, each a compare-and-set. While one save of a session is under way, other saves of that
 * session would fail: they wait for its answer, are then merged into what stands in Redis, one after the other, and are written
 * as one value. So 200 saves at once cost as many writes as two, and none is acknowledged before it has been written.
 */
export class CoalescedMerges {
  readonly #writes = new Map<string, SessionWrites>();
  /** Merges as the option `merge` says. Undefined without that option: top-level keys are merged. */
  readonly #applicationMerge: ApplicationMerge | undefined;

  constructor(
    readonly records: SessionRecords,
    readonly lifetimes: Lifetimes,
    readonly options: Pick<RedisSessionStoreOptions, 'saveMode' | 'merge'> & { readonly disableTTL: boolean },
    readonly onConflict: (sid: string) => void,
  ) {
    if (options.merge) this.#applicationMerge = new ApplicationMerge(records.codec, options.merge);
  }

  /** Does a save that expects this value have to wait for another save? An `urgent` save waits only where it is sure to fail. */
  hasToWait(sid: string, expected: string, urgent: boolean): boolean {
    const writes = this.#writes.get(sid);
    return writes !== undefined && (!urgent || (writes.sent > 0 && writes.expected === expected));
  }

  /** Saves at once, without a merge. */
  async send(sid: string, expected: string, value: string, ttlMs: number): Promise<'saved' | 'gone' | Changed> {
    const writes = this.#writesOf(sid, expected);
    writes.sent++;
    try {
      const outcome = await this.records.compareAndSet(sid, expected, value, ttlMs);
      writes.current = outcome === 'saved' ? value : outcome === 'gone' ? undefined : outcome.current;
      return outcome;
    } finally {
      writes.sent--;
      this.#proceed(sid, writes);
    }
  }

  /** Merges what this request changed into the value in Redis, and saves the result. `current` is that value, where it is known. */
  merge(request: MergeRequest, current?: string): Promise<SaveOutcome> {
    const { sid } = request.saved;
    return new Promise((resolve, reject) => {
      const expected = current ?? request.snapshot?.storedValue ?? '';
      const writes = this.#writesOf(sid, expected);
      if (current !== undefined && !writes.isMerging) writes.current = current;
      writes.waiting.push({ ...request, expected, resolve, reject });
      this.#proceed(sid, writes);
    });
  }

  #writesOf(sid: string, expected: string): SessionWrites {
    let writes = this.#writes.get(sid);
    if (!writes) {
      writes = { sent: 0, expected, isMerging: false, waiting: [] };
      this.#writes.set(sid, writes);
    }
    return writes;
  }

  /** Begins the next merge, unless there is an answer to wait for. */
  #proceed(sid: string, writes: SessionWrites): void {
    if (writes.isMerging) return;
    if (writes.waiting.length === 0) {
      if (writes.sent === 0) this.#writes.delete(sid);
      return;
    }
    if (writes.sent > 0 && writes.current === undefined) return;
    writes.isMerging = true;
    const next = () => void this.#mergeWaiting(sid, writes);
    // The answers to one batch of saves arrive together: setImmediate() lets each of them be seen before the merge begins.
    if (writes.sent > 0) setImmediate(next);
    else next();
  }

  async #mergeWaiting(sid: string, writes: SessionWrites): Promise<void> {
    const waiting = writes.waiting.splice(0);
    try {
      await this.#merge(sid, waiting, writes);
    } catch (error) {
      writes.current = undefined;
      const reason = reasonOf(error);
      for (const one of waiting) one.reject(reason); // a save that has its outcome already ignores this
    }
    writes.isMerging = false;
    this.#proceed(sid, writes);
  }

  /** Merges and writes, again where another process wrote meanwhile, until all that wait have their outcome. */
  async #merge(sid: string, waiting: readonly WaitingMerge[], writes: SessionWrites): Promise<void> {
    const parsed = new ParsedTexts(this.records.codec);
    let merging = await this.#prepareAll(waiting, parsed);
    const end = (outcome: SaveOutcome, current?: string) => {
      writes.current = current;
      for (const one of merging) one.resolve(outcome);
    };
    let expected = writes.current ?? merging.at(-1)?.expected ?? '';
    for (let tried = 0; tried <= MAX_RETRIES && merging.length > 0; tried++) {
      const text = this.records.codec.decrypt(sid, expected);
      if (text === undefined) return end('unreadable');
      const target = new MergeTarget(text, await this.records.codec.read(text), parsed);
      const { merged, ttlMs } = await this.#mergeInto(target, merging, tried === MAX_RETRIES);
      merging = merged;
      if (merging.length === 0) return;
      const value = this.#putResult(sid, target.session, merging);
      const outcome = await this.records.compareAndSet(sid, expected, value, this.options.disableTTL ? NO_TTL : ttlMs);
      if (outcome === 'saved') return end('saved', value);
      if (outcome === 'gone') return end('gone');
      // Redis seems to hold what was expected, and yet the write failed: its value is no valid UTF-8, so our text is another.
      if (outcome.current === expected) return end('unreadable');
      // from now on, each of these requests knows the text that it was merged into
      for (const { snapshot, knownTexts } of merging) if (snapshot) knownTexts[knownTexts.length - 1] = text;
      expected = outcome.current;
    }
  }

  /**
   * Merges the saves one after the other. Rejects those that conflict where `saveMode` is 'reject', and all at the last try.
   * The ttl is that of the last save whose session has time left.
   */
  async #mergeInto(
    target: MergeTarget,
    merging: readonly PreparedMerge[],
    isLastTry: boolean,
  ): Promise<{ merged: PreparedMerge[]; ttlMs: number }> {
    const merged: PreparedMerge[] = [];
    let ttlMs = KEEP_TTL;
    for (const one of merging)
      try {
        // A touch changes the cookie alone, and the value in Redis may be an earlier save of this request: neither is a conflict.
        const isConflict = await target.differsFromAll(one.knownTexts);
        if (isConflict && !one.hasReportedConflict) this.onConflict(one.saved.sid);
        one.hasReportedConflict ||= isConflict;
        if ((isConflict && this.options.saveMode === 'reject') || isLastTry) throw conflictError();
        const next = this.#applicationMerge
          ? await this.#applicationMerge.merged(target, one)
          : target.merged(one.changes);
        // a process with another `maxLifetime` may have written the value in Redis
        this.lifetimes.absolute.limitCookie(next.session);
        const leftMs = this.lifetimes.ms(next.session, one.saved.wasRead);
        target.take(next); // after all that can fail: the changes of a rejected save must not be written with the others
        if (leftMs > 0) ttlMs = leftMs;
        merged.push(one);
      } catch (error) {
        one.reject(reasonOf(error)); // the other saves go on, also where a listener of event `conflict` threw
      }
    return { merged, ttlMs };
  }

  /** Puts the merged session into the snapshot of each merged save, and returns the value to store. */
  #putResult(sid: string, session: SessionData, merged: readonly PreparedMerge[]): string {
    const id = this.#applicationMerge && newSaveId();
    if (id !== undefined) {
      hide(session, { __saves: withSaveId(hiddenOf(session).__saves, id) });
      for (const { saved } of merged) saved.saveIds = [...saved.saveIds, id];
    }
    const storedText = this.records.codec.stringify(session);
    const storedValue = this.records.codec.encrypt(sid, storedText);
    const user = this.records.userOf(session);
    for (const { saved } of merged) Object.assign(saved, { storedText, storedValue, user });
    return storedValue;
  }

  async #prepareAll(waiting: readonly WaitingMerge[], parsed: ParsedTexts): Promise<PreparedMerge[]> {
    const prepared: PreparedMerge[] = [];
    for (const one of waiting)
      try {
        prepared.push(await this.#prepare(one, parsed));
      } catch (error) {
        one.reject(reasonOf(error));
      }
    return prepared;
  }

  /** Finds out what a request has changed. Where that is enough, only those members of its sessions are parsed that differ. */
  async #prepare(waiting: WaitingMerge, parsed: ParsedTexts): Promise<PreparedMerge> {
    const { codec } = this.records;
    const { saved: mine, snapshot } = waiting;
    const unanswered = await Promise.all(waiting.unanswered.map((one) => parsed.read(one.loadedText)));
    const knownTexts = waiting.unanswered.map((one) => one.storedText);
    if (snapshot) knownTexts.push(snapshot.storedText);
    const differing =
      snapshot && unanswered.length === 0 ? codec.parseDifferences(snapshot.loadedText, mine.loadedText) : undefined;
    const saved = differing?.after ?? (await codec.read(mine.loadedText));
    const loaded =
      differing?.before ??
      (snapshot ? await parsed.read(snapshot.loadedText) : ({ cookie: saved.cookie } as SessionData));
    const changes = { loaded, saved, keys: differences(loaded, saved), unanswered };
    return { ...waiting, knownTexts, changes, hasReportedConflict: false };
  }
}

/** The error to reject with. Comparing a session that is nested too deeply throws a RangeError, which gets a code of ours. */
const reasonOf = (error: unknown): unknown => (error instanceof RangeError ? unserializable(error) : error);

const conflictError = (): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_CONFLICT',
    'The session was changed by another request since this one read it',
  );
