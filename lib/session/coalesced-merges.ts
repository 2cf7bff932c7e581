import type { SessionData } from 'express-session';
import { IntelligentSessionError } from '../errors/errors.js';
import type { Batches } from './batcher.js';
import type { Lifetimes } from './lifetimes.js';
import { type Changes, differAt, differences, mergeInto } from './merge-session.js';
import type { RedisSessionStoreOptions } from './options.js';
import type { Outcome, View } from './save-session.js';
import { type SessionCodec, unserializable } from './session-codec.js';

/** A ttl of a save: the session never expires; it keeps the expiry that it has. */
export const NO_TTL = 0;
export const KEEP_TTL = -1;

const TRIES = 100;

/** A save that waits until it can be merged with what stands there. */
interface Waiting {
  /** becomes the view: what it was merged into is put into it */
  readonly saved: View;
  readonly view: View | undefined;
  readonly unanswered: readonly View[];
  /** what may stand there: where it does not, Redis says what does */
  readonly there: string;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** One that is being merged. */
interface Merging extends Waiting {
  readonly changes: Changes;
  /** texts that are no conflict where they stand: what this request read, or may have written */
  readonly known: string[];
  told: boolean;
}

/** What this process saves of one session at present. */
interface Flight {
  /** saves that were sent without a merge and have no answer yet, and what the first of them expects to find */
  sent: number;
  readonly expected: string;
  /** what stands in Redis, by the last answer */
  stands?: string | undefined;
  merging: boolean;
  waiting: Waiting[];
}

/** Sessions by their texts, each parsed once: only for reading. */
class ParsedOnce {
  readonly #sessions = new Map<string, Promise<SessionData>>();

  constructor(readonly codec: SessionCodec) {}

  read(text: string): Promise<SessionData> {
    let session = this.#sessions.get(text);
    if (!session) {
      session = this.codec.read(text);
      this.#sessions.set(text, session);
    }
    return session;
  }
}

/**
 * Saves of one session by this process, a compare-and-set each. While one is under way, the others would lose against it: they
 * wait for its answer, and are then put over what stands there, one after the other, and written as one. So 200 at once cost
 * as many writes as two, and none is acknowledged before it has been written.
 */
export class CoalescedMerges {
  readonly #flights = new Map<string, Flight>();

  constructor(
    readonly batches: Batches,
    readonly codec: SessionCodec,
    readonly lifetimes: Lifetimes,
    readonly options: { readonly saveMode: RedisSessionStoreOptions['saveMode']; readonly disableTTL: boolean },
    readonly onConflict: (sid: string) => void,
  ) {}

  /** Would a save that expects this text have to wait? One that is `urgent` does only where it is sure to lose. */
  isTaken(key: string, expected: string, urgent: boolean): boolean {
    const flight = this.#flights.get(key);
    return flight !== undefined && (!urgent || (flight.sent > 0 && flight.expected === expected));
  }

  /** Saves without a merge, at once: 1 if it was saved, 0 if the session is gone, else the value that stands there. */
  async send(key: string, expected: string, raw: string, ttlMs: number): Promise<number | string> {
    const flight = this.#flight(key, expected);
    flight.sent++;
    try {
      const reply = await this.batches.save(key, expected, raw, ttlMs);
      flight.stands = reply === 1 ? raw : reply === 0 ? undefined : String(reply);
      return reply;
    } finally {
      flight.sent--;
      this.#proceed(key, flight);
    }
  }

  /** Saves what this request changed over what stands there; `there`: that, where it is known. */
  merge(
    key: string,
    there: string | undefined,
    saved: View,
    view: View | undefined,
    unanswered: readonly View[],
  ): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const mayStand = there ?? view?.raw ?? '';
      const flight = this.#flight(key, mayStand);
      if (there !== undefined && !flight.merging) flight.stands = there;
      flight.waiting.push({ saved, view, unanswered, there: mayStand, resolve, reject });
      this.#proceed(key, flight);
    });
  }

  #flight(key: string, expected: string): Flight {
    let flight = this.#flights.get(key);
    if (!flight) {
      flight = { sent: 0, expected, merging: false, waiting: [] };
      this.#flights.set(key, flight);
    }
    return flight;
  }

  /** Begins the next merge where nothing has to be waited for. */
  #proceed(key: string, flight: Flight): void {
    if (flight.merging) return;
    if (flight.waiting.length === 0) {
      if (flight.sent === 0) this.#flights.delete(key);
      return;
    }
    if (flight.sent > 0 && flight.stands === undefined) return;
    flight.merging = true;
    const next = () => void this.#mergeNext(key, flight);
    // the answers of one call are all looked at first
    if (flight.sent > 0) setImmediate(next);
    else next();
  }

  async #mergeNext(key: string, flight: Flight): Promise<void> {
    const waiting = flight.waiting.splice(0);
    try {
      await this.#mergeAll(key, waiting, flight);
    } catch (error) {
      flight.stands = undefined;
      const reason = reasonOf(error);
      for (const one of waiting) one.reject(reason); // a second time, for some: that is nothing
    }
    flight.merging = false;
    this.#proceed(key, flight);
  }

  async #mergeAll(key: string, waiting: readonly Waiting[], flight: Flight): Promise<void> {
    const parsed = new ParsedOnce(this.codec);
    const settle = (outcome: Outcome, stands?: string) => {
      flight.stands = stands;
      for (const one of merging) one.resolve(outcome);
    };
    let merging: Merging[] = [];
    for (const one of waiting)
      try {
        merging.push(await this.#prepare(one, parsed));
      } catch (error) {
        one.reject(reasonOf(error));
      }
    let expected = flight.stands ?? merging.at(-1)?.there ?? '';
    for (let tried = 0; tried <= TRIES && merging[0]; tried++) {
      const { sid } = merging[0].saved;
      const text = this.codec.open(sid, expected);
      if (text === undefined) return settle('unreadable');
      const theirs = await this.codec.read(text);
      const stood = new Standing(text, theirs, parsed);
      let ttlMs = KEEP_TTL;
      const left: Merging[] = [];
      for (const one of merging) {
        try {
          // A touch moves the cookie and nothing else, and a save of this request's own may stand there: neither is a conflict.
          const conflict = await stood.differsFrom(one.known);
          if (conflict && !one.told) this.onConflict(sid);
          one.told ||= conflict;
          if ((conflict && this.options.saveMode === 'reject') || tried === TRIES) throw conflictError();
          stood.put(one.changes);
          const leftMs = this.lifetimes.ms(theirs, one.saved.read);
          if (leftMs > 0) ttlMs = leftMs;
          left.push(one);
        } catch (error) {
          one.reject(reasonOf(error)); // its own: a listener that throws fails no other save
        }
      }
      merging = left;
      if (merging.length === 0) return;
      const held = this.codec.stringify(theirs);
      const raw = this.codec.seal(sid, held);
      const user = this.codec.userOf(theirs);
      for (const { saved } of merging) Object.assign(saved, { held, raw, user });
      const reply = await this.batches.save(key, expected, raw, this.options.disableTTL ? NO_TTL : ttlMs);
      if (reply === 1) return settle('saved', raw);
      if (reply === 0) return settle('gone');
      // no text, and so never equal to itself: it can't be merged with
      if (reply === expected) return settle('unreadable');
      for (const { view, known } of merging) if (view) known[known.length - 1] = text;
      expected = String(reply);
    }
  }

  async #prepare(one: Waiting, parsed: ParsedOnce): Promise<Merging> {
    const { saved, view } = one;
    const unanswered = await Promise.all(one.unanswered.map(({ base }) => parsed.read(base)));
    const known = one.unanswered.map(({ held }) => held);
    if (view) known.push(view.held);
    const apart = view && unanswered.length === 0 ? this.codec.parseDifferences(view.base, saved.base) : undefined;
    const mine = apart?.mine ?? (await this.codec.read(saved.base));
    const base = apart?.base ?? (view ? await parsed.read(view.base) : ({ cookie: mine.cookie } as SessionData));
    const changes = { base, mine, keys: differences(base, mine), unanswered };
    return { ...one, known, changes, told: false };
  }
}

/** What stands there, and what was put over it so far. */
class Standing {
  readonly #stood: SessionData;
  /** by a text that is known: the keys in which what stood there differs from it */
  readonly #differences = new Map<string, readonly string[]>();
  readonly #put = new Set<string>();

  constructor(
    readonly text: string,
    readonly session: SessionData,
    readonly parsed: ParsedOnce,
  ) {
    this.#stood = { ...session };
  }

  put(changes: Changes): void {
    for (const key of mergeInto(this.session, changes)) this.#put.add(key);
  }

  /** Does it differ from all of these texts in anything but the cookie? */
  async differsFrom(texts: readonly string[]): Promise<boolean> {
    for (const text of texts) if (!(await this.#differsFrom(text))) return false;
    return true;
  }

  async #differsFrom(text: string): Promise<boolean> {
    if (text === this.text && this.#put.size === 0) return false;
    const known = await this.parsed.read(text);
    let differs = this.#differences.get(text);
    if (!differs) {
      differs = text === this.text ? [] : differences(known, this.#stood);
      this.#differences.set(text, differs);
    }
    if (differs.some((key) => !this.#put.has(key))) return true;
    for (const key of this.#put) if (differAt(known, this.session, key)) return true;
    return false;
  }
}

/** Of a serializer of the application's, a session may be too deep to be compared. */
const reasonOf = (error: unknown): unknown => (error instanceof RangeError ? unserializable(error) : error);

const conflictError = (): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_CONFLICT',
    'The session was changed by another request since this one read it',
  );
