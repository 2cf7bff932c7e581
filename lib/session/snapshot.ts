import { shareHidden } from './hidden-fields.js';
import type { SessionCodec } from './session-codec.js';
import type { Lifetimes } from './lifetimes.js';

/** A stored session as a session object knows it: as it was read, or as it was saved last. */
export interface Snapshot {
  readonly sid: string;
  /** The text that this request loaded or saved last: its changes are the difference from this text. */
  readonly loadedText: string;
  /** The text in Redis, as far as is known. It differs from `loadedText` after a merge or a touch. */
  storedText: string;
  /** `storedText` as Redis holds it: encrypted, where the store encrypts. */
  storedValue: string;
  /** Has the session been read, so that its cookie has come back? */
  readonly wasRead: boolean;
  /** The user to whom the stored session belongs. */
  user: string | undefined;
  /** When the snapshot was taken, ms since 1970. */
  readonly takenAt: number;
  /** The ids that this save was sent under: one of them names it in a session's record. None without option `merge`. */
  saveIds: readonly string[];
}

/** What is known of a session object. */
export interface SessionState {
  snapshot?: Snapshot;
  /** Saves since the snapshot that got no answer: Redis may hold any of them. */
  unanswered?: Snapshot[];
  /** The save under way, with those that wait behind it. */
  saving?: Promise<void> | undefined;
  /** What the save under way has sent without having its answer yet. */
  sending?: Snapshot | undefined;
}

/** More saves of one session object than this without an answer are of a page that saves in a loop while Redis is away. */
const MAX_UNANSWERED = 20;

/** Notes a save that may stand in Redis or not. Where there are too many, the first one and the latest ones are kept. */
export function keepUnanswered(state: SessionState, saved: Snapshot): void {
  const unanswered = state.unanswered?.filter(({ sid }) => sid === saved.sid) ?? [];
  if (unanswered.length >= MAX_UNANSWERED) unanswered.splice(1, 1);
  state.unanswered = [...unanswered, saved];
}

/** The states of session objects. They go when the objects go. */
export class SessionStates {
  readonly #states = new WeakMap<object, SessionState>();

  /** The state of a session object, an empty one where nothing is known yet. */
  of(session: object): SessionState {
    let state = this.#states.get(session);
    if (!state) {
      state = {};
      this.#states.set(session, state);
    }
    return state;
  }

  snapshotOf(session: object): Snapshot | undefined {
    return this.#states.get(session)?.snapshot;
  }

  /** express-session makes a session object of the data that it reads: both have one state from then on. */
  share(data: object, session: object): void {
    const state = this.#states.get(data);
    if (state) this.#states.set(session, state);
    shareHidden(data, session);
  }
}

/**
 * Has this session merely run out while its request was under way? If not, a session that is at its end was ended by the
 * application.
 */
export async function hasRunOut(
  text: string,
  { loadedText, storedText, takenAt }: Snapshot,
  codec: SessionCodec,
  lifetimes: Lifetimes,
): Promise<boolean> {
  const [session, loaded, stored] = await Promise.all([text, loadedText, storedText].map((each) => codec.read(each)));
  return lifetimes.ranOut(session?.cookie, [loaded?.cookie, stored?.cookie], takenAt);
}
