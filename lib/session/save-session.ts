import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../errors.js';
import { besideKey } from '../keys.js';
import { loadScript } from '../redis/load-script.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { Script } from '../redis/run-script.js';
import type { Batches } from './batches.js';
import type { Lifetimes } from './lifetimes.js';
import { Lines } from './lines.js';
import { differ, mergeSession } from './merge-session.js';
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

/** A ttl of a save: the session never expires; it keeps the expiry that it has. */
export const NO_TTL = 0;
export const KEEP_TTL = -1;

/** How long a tombstone stays, and for how long it is surely there for what was sent before the session ended. */
export const TOMBSTONE_MS = 60_000;
const TOMBSTONE_SURE_MS = 50_000;

const TRIES = 100;
const UNANSWERED = 20;

/** Keeps a save that may stand in Redis or not. */
export function noteUnanswered(state: State, saved: View): void {
  const unanswered = state.unanswered?.filter(({ sid }) => sid === saved.sid) ?? [];
  if (unanswered.length >= UNANSWERED) unanswered.splice(1, 1);
  state.unanswered = [...unanswered, saved];
}

const saveUnanswered = new Script<number | string>(loadScript('lib/scripts/save-unanswered.lua'), 2);

/** Saves sessions as saveMode says, each upon what this request read or may have written itself. */
export class SessionSaver {
  readonly #conflicts = new Lines();

  constructor(
    readonly batches: Batches,
    readonly codec: SessionCodec,
    readonly lifetimes: Lifetimes,
    readonly options: { readonly saveMode: RedisSessionStoreOptions['saveMode']; readonly disableTTL: boolean },
    /** stands before a tombstone's key */
    readonly endedPrefix: string,
    readonly onConflict: (sid: string) => void,
  ) {}

  /** `saved` is what becomes the view; a merge makes another text of it. What is sent is sent at once. */
  async save(key: string, saved: View, state: State, ttlMs: number): Promise<Outcome> {
    try {
      return await this.#save(key, saved, state, ttlMs);
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

  async #save(key: string, saved: View, state: State, ttlMs: number): Promise<Outcome> {
    const { sid } = saved;
    const view = state.view?.sid === sid ? state.view : undefined;
    const unanswered = state.unanswered?.filter((one) => one.sid === sid) ?? [];
    const overwrite = this.options.saveMode === 'overwrite';
    const over = (there: string, conflicting: boolean) =>
      this.#conflicts.join(sid, () => this.#merge(key, there, saved, view, unanswered, conflicting));

    if (!view && unanswered[0]) {
      const mayBeAbsent = Date.now() - unanswered[0].since < TOMBSTONE_SURE_MS ? 1 : 0;
      const raws = unanswered.map(({ raw }) => raw);
      const reply = await saveUnanswered.run(this.batches.inOrder, [
        ...[key, besideKey(this.endedPrefix, key), saved.raw, ttlMs, mayBeAbsent],
        ...raws,
      ]);
      if (reply === 1) return 'saved';
      if (reply === 0) return 'gone';
      return overwrite ? this.#set(key, saved.raw, ttlMs, true) : over(String(reply), true);
    }
    // after a merge or a touch, what stands there is not what this request read
    if (view && !overwrite && view.held !== view.base) return over(view.raw, false);
    state.sending = saved;
    if (!view || overwrite) return this.#set(key, saved.raw, ttlMs, view !== undefined);
    const reply = await this.batches.save(key, view.raw, saved.raw, ttlMs);
    if (state.sending === saved) state.sending = undefined;
    if (reply === 1) return 'saved';
    return reply === 0 ? 'gone' : over(String(reply), true);
  }

  async #set(key: string, raw: string, ttlMs: number, ifThere: boolean): Promise<Outcome> {
    const expiry = ttlMs === KEEP_TTL ? ['KEEPTTL'] : ttlMs === NO_TTL ? [] : ['PX', ttlMs];
    const reply = await this.batches.inOrder.call('SET', key, raw, ...expiry, ...(ifThere ? ['XX'] : []));
    return reply === null ? 'gone' : 'saved';
  }

  /** Saves what this request changed over what stands there; `conflicting`: another request may have changed that. */
  async #merge(
    key: string,
    there: string,
    saved: View,
    view: View | undefined,
    unanswered: readonly View[],
    conflicting: boolean,
  ): Promise<Outcome> {
    const { sid } = saved;
    const read = (text: string): Promise<SessionData> => this.codec.read(text);
    const mine = await read(saved.base);
    const base = view ? await read(view.base) : ({ cookie: mine.cookie } as SessionData);
    const written = await Promise.all(unanswered.map((one) => read(one.base)));
    const known = unanswered.map((one) => one.held);
    if (view) known.push(view.held);
    let [expected, check, told] = [there, conflicting, false];
    for (let tried = 0; tried <= TRIES; tried++) {
      const text = this.codec.open(sid, expected);
      if (text === undefined) return 'unreadable';
      const theirs = await read(text);
      // A touch moves the cookie and nothing else, and a save of this request's own may stand there: neither is a conflict.
      const conflict = check && (await Promise.all(known.map(read))).every((one) => differ(one, theirs));
      if (conflict && !told) this.onConflict(sid);
      told ||= conflict;
      if ((conflict && this.options.saveMode === 'reject') || tried === TRIES)
        throw new IntelligentSessionError(
          'ERR_INTELLIGENT_SESSION_CONFLICT',
          'The session was changed by another request since this one read it',
        );
      const merged = mergeSession(base, mine, theirs, written);
      saved.held = this.codec.stringify(merged);
      saved.raw = this.codec.seal(sid, saved.held);
      saved.user = this.codec.userOf(merged);
      const reply = await this.batches.save(
        key,
        expected,
        saved.raw,
        this.ttlOf(this.lifetimes.ms(merged, saved.read)),
      );
      if (reply === 1) return 'saved';
      if (reply === 0) return 'gone';
      // no text, and so never equal to itself: it can't be merged with
      if (reply === expected) return 'unreadable';
      if (view) known[known.length - 1] = text;
      [expected, check] = [String(reply), true];
    }
    return 'unreadable';
  }

  /** What a session that has so long left is stored with; one that has run out keeps the expiry that it has. */
  ttlOf(leftMs: number): number {
    if (this.options.disableTTL) return NO_TTL;
    return leftMs > 0 ? leftMs : KEEP_TTL;
  }
}
