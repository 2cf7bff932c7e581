import { IntelligentSessionError } from '../errors/errors.js';
import { besideKey } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { Script } from '../redis/run-script.js';
import type { Batches } from './batcher.js';
import { CoalescedMerges, KEEP_TTL, NO_TTL } from './coalesced-merges.js';
import type { Lifetimes } from './lifetimes.js';
import type { RedisSessionStoreOptions } from './options.js';
import type { SessionCodec } from './session-codec.js';

/** What a session object is based on. */
export interface View {
  readonly sid: string;
  /** the text that this request read, or saved last */
  readonly base: string;
  /** the text that is in Redis, as far as is known; it differs from `base` after a merge or a touch */
  held: string;
  /** the same as it is stored */
  raw: string;
  /** has it been read, so that its cookie has come back? */
  readonly read: boolean;
  /** whose the held one is */
  user: string | undefined;
  /** when this was made, ms */
  readonly since: number;
}

/** What is known of a session object. */
export interface State {
  view?: View;
  /** saves since then that got no answer: each may stand in Redis or not */
  unanswered?: View[];
  /** the save that it is in */
  saving?: Promise<void> | undefined;
  /** what that one has sent, and waits for the answer to */
  sending?: View | undefined;
}

/** Saved; gone, and so left alone; or what stands there can't be read, and is left alone too. */
export type Outcome = 'saved' | 'gone' | 'unreadable';

/** How long a tombstone stays, and for how long it is surely there for what was sent before the session ended. */
export const TOMBSTONE_MS = 60_000;
const TOMBSTONE_SURE_MS = 50_000;

const UNANSWERED = 20;

/** Keeps a save that may stand in Redis or not. */
export function noteUnanswered(state: State, saved: View): void {
  const unanswered = state.unanswered?.filter(({ sid }) => sid === saved.sid) ?? [];
  if (unanswered.length >= UNANSWERED) unanswered.splice(1, 1);
  state.unanswered = [...unanswered, saved];
}

const saveUnanswered = new Script<number | string>(loadScript('lib/session/save-unanswered.lua'), 2);

/** Saves sessions as saveMode says, each upon what this request read or may have written itself. */
export class SessionSaver {
  readonly #merges: CoalescedMerges;

  constructor(
    readonly batches: Batches,
    codec: SessionCodec,
    lifetimes: Lifetimes,
    readonly options: { readonly saveMode: RedisSessionStoreOptions['saveMode']; readonly disableTTL: boolean },
    /** stands before a tombstone's key */
    readonly endedPrefix: string,
    onConflict: (sid: string) => void,
  ) {
    this.#merges = new CoalescedMerges(batches, codec, lifetimes, options, onConflict);
  }

  /**
   * `saved` is what becomes the view; a merge makes another text of it. What is sent is sent at once; one that would lose
   * against another save of this process waits for that one. `urgent`: only where it is sure to lose.
   */
  async save(key: string, saved: View, state: State, ttlMs: number, urgent: boolean): Promise<Outcome> {
    try {
      return await this.#save(key, saved, state, ttlMs, urgent);
    } catch (error) {
      // what was refused counts too: it never stands there
      if (!(error instanceof IntelligentSessionError) && !wasNotSent(error)) noteUnanswered(state, saved);
      throw error;
    } finally {
      if (state.sending === saved) state.sending = undefined;
    }
  }

  /** Saves over what is about to stand there: was it saved? */
  async saveOver(key: string, raw: string, saved: View, state: State, ttlMs: number): Promise<boolean> {
    state.sending = saved;
    try {
      return (await this.batches.save(key, raw, saved.raw, ttlMs)) === 1;
    } finally {
      if (state.sending === saved) state.sending = undefined;
    }
  }

  async #save(key: string, saved: View, state: State, ttlMs: number, urgent: boolean): Promise<Outcome> {
    const { sid } = saved;
    const view = state.view?.sid === sid ? state.view : undefined;
    const unanswered = state.unanswered?.filter((one) => one.sid === sid) ?? [];
    const overwrite = this.options.saveMode === 'overwrite';
    const over = (there?: string) => this.#merges.merge(key, there, saved, view, unanswered);

    if (!view && unanswered[0]) {
      const mayBeAbsent = Date.now() - unanswered[0].since < TOMBSTONE_SURE_MS ? 1 : 0;
      const raws = unanswered.map(({ raw }) => raw);
      const reply = await saveUnanswered.run(this.batches.inOrder, [
        ...[key, besideKey(this.endedPrefix, key), saved.raw, ttlMs, mayBeAbsent],
        ...raws,
      ]);
      if (reply === 1) return 'saved';
      if (reply === 0) return 'gone';
      return overwrite ? this.#set(key, saved.raw, ttlMs, true) : over(String(reply));
    }
    // after a merge or a touch, what stands there is not what this request read
    if (view && !overwrite && view.held !== view.base) return over(view.raw);
    if (view && !overwrite && this.#merges.isTaken(key, view.raw, urgent)) return over();
    state.sending = saved;
    if (!view || overwrite) return this.#set(key, saved.raw, ttlMs, view !== undefined);
    const reply = await this.#merges.send(key, view.raw, saved.raw, ttlMs);
    if (state.sending === saved) state.sending = undefined;
    if (reply === 1) return 'saved';
    return reply === 0 ? 'gone' : over(String(reply));
  }

  async #set(key: string, raw: string, ttlMs: number, ifThere: boolean): Promise<Outcome> {
    const expiry = ttlMs === KEEP_TTL ? ['KEEPTTL'] : ttlMs === NO_TTL ? [] : ['PX', ttlMs];
    const reply = await this.batches.inOrder.call('SET', key, raw, ...expiry, ...(ifThere ? ['XX'] : []));
    return reply === null ? 'gone' : 'saved';
  }
  /** What a session that has so long left is stored with; one that has run out keeps the expiry that it has. */
  ttlOf(leftMs: number): number {
    if (this.options.disableTTL) return NO_TTL;
    return leftMs > 0 ? leftMs : KEEP_TTL;
  }
}
