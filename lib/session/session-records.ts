import type { SessionData } from 'express-session';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import { forEachKey, scanPrefix } from '../redis/scan.js';
import type { RedisTarget } from '../redis/target.js';
import { Batcher } from './batcher.js';
import { NearCache } from './near-cache.js';
import type { Lifetimes } from './lifetimes.js';
import { MovedSessions } from './moved-sessions.js';
import type { resolveStoreOptions } from './options.js';
import { type Changed, KEEP_TTL, NO_TTL, outcomeOf } from './save-outcome.js';
import type { SessionCodec } from './session-codec.js';
import type { SessionKeys } from './session-keys.js';
import type { SessionStates } from './snapshot.js';
import type { StoreEvents } from './store-events.js';

type Options = Pick<ReturnType<typeof resolveStoreOptions>, 'nearCache' | 'ttlSeconds' | 'disableTTL' | 'scanCount'>;

/** A tombstone stays as long as a save that got no answer may be sent again: it keeps that save from undoing the logout. */
const TOMBSTONE_MS = 60_000;

/**
 * What destroy() found: the value, or null, where it was wanted, and else how many sessions there were, 0 or 1. Where the session has
 * another id by now, a list with the value of its tombstone, in which MovedSessions.nextIn() reads that id.
 */
export type Removed = string | number | null | [string];

/** The most keys of one EXISTS. In a Cluster each key has its own, and so many are sent at a time. */
const EXISTS_KEYS = 500;

/** What destroy.lua replies with. */
type Asked = 'count' | 'value' | 'value-or-next';

const touchScript = new Script<number>(loadScript('lib/session/touch.lua'));
const destroyScript = new Script<Removed>(loadScript('lib/session/destroy.lua'), 2);
const saveUnansweredScript = new Script<number | string>(loadScript('lib/session/save-unanswered.lua'), 2);

/**
 * Sessions as records in Redis. Every command on a session's key is here, with what belongs to it: reads and saves of one turn
 * of the event loop share a call, values are decrypted and parsed, and a write takes the session out of the near cache.
 */
export class SessionRecords {
  readonly #batcher: Batcher;
  readonly #near: NearCache | undefined;
  /** The sessions that have gone to another id. */
  readonly moved: MovedSessions;

  constructor(
    readonly target: RedisTarget,
    readonly keys: SessionKeys,
    readonly codec: SessionCodec,
    readonly states: SessionStates,
    readonly userOf: (session: SessionData) => string | undefined,
    readonly lifetimes: Lifetimes,
    /** Is told of a session that was read after its absolute lifetime: it counts as absent. */
    readonly onOver: (sid: string) => void,
    readonly events: StoreEvents,
    readonly options: Options,
  ) {
    this.#batcher = new Batcher(target);
    this.moved = new MovedSessions(this.#batcher, keys, codec, {
      find: (sid) => this.find(sid),
      write: (sid, command) => this.#write(sid, command),
    });
    if (!options.nearCache) return;
    this.#near = new NearCache(target, keys.prefix, options.nearCache);
    this.#near.on('fault', (error) => events.fault(error));
  }

  /** The session if the near cache has it, null if it can't be read or is over; undefined if the near cache has none. */
  cached(sid: string): SessionData | null | Promise<SessionData | null> | undefined {
    const value = this.#near?.get(this.keys.of(sid));
    if (value === undefined) return undefined;
    this.events.count('near');
    const session = this.parse(sid, value);
    if (!(session instanceof Promise)) return this.#loaded(sid, session);
    return session.then((read) => this.#loaded(sid, read));
  }

  /** The session in Redis, which the near cache then has; null where there is none, or none that can be read. */
  async load(sid: string): Promise<SessionData | null> {
    const key = this.keys.of(sid);
    const token = this.#near?.begin(key);
    const value = await this.#batcher.get(key);
    if (value === null) {
      this.events.count('absent');
      return null;
    }
    this.events.count('read');
    const session = this.#loaded(sid, await this.parse(sid, value));
    if (token && session) this.#keepNear(key, token, value, session);
    return session;
  }

  /** The session in Redis: undefined where there is none, null where it can't be read, or is over. */
  async find(sid: string): Promise<SessionData | null | undefined> {
    const value = await this.value(sid);
    return value === null ? undefined : this.#living(await this.parse(sid, value));
  }

  /** The value that Redis has, as it is stored: encrypted, where the store encrypts. */
  value(sid: string): Promise<string | null> {
    return this.#batcher.get(this.keys.of(sid));
  }

  /** A stored value as a session with its snapshot; null where it can't be read. At once, if the serializer parses at once. */
  parse(sid: string, value: string): SessionData | null | Promise<SessionData | null> {
    const text = this.codec.decrypt(sid, value);
    if (text === undefined) return this.events.sessionUnreadable();
    let session: SessionData | Promise<SessionData>;
    try {
      session = this.codec.parse(text);
    } catch {
      return this.events.sessionUnreadable();
    }
    const remember = (read: SessionData) => this.#remember(sid, read, text, value);
    if (!(session instanceof Promise)) return remember(session);
    return session.catch(() => null).then((read) => (read ? remember(read) : this.events.sessionUnreadable()));
  }

  /** Saves if the stored value still equals `expected`. */
  compareAndSet(sid: string, expected: string, value: string, ttlMs: number): Promise<'saved' | 'gone' | Changed> {
    return this.#write(sid, async (key) => outcomeOf(await this.#batcher.save(key, expected, value, ttlMs)));
  }

  /** Saves whatever is stored (SET); `onlyExisting`: only if there is a session (SET XX). */
  async put(sid: string, value: string, ttlMs: number, onlyExisting: boolean): Promise<'saved' | 'gone'> {
    const expiry = ttlMs === KEEP_TTL ? ['KEEPTTL'] : ttlMs === NO_TTL ? [] : ['PX', ttlMs];
    const condition = onlyExisting ? ['XX'] : [];
    const reply = await this.#write(sid, (key) =>
      this.#batcher.flush().call('SET', key, value, ...expiry, ...condition),
    );
    return reply === null ? 'gone' : 'saved';
  }

  /**
   * Saves a new session again whose earlier saves, with the values `unanswered`, got no answer: if one of these is stored, or,
   * with `mayBeAbsent`, if nothing is.
   */
  saveUnanswered(
    sid: string,
    value: string,
    ttlMs: number,
    mayBeAbsent: boolean,
    unanswered: readonly string[],
  ): Promise<'saved' | 'gone' | Changed> {
    return this.#write(sid, async (key) => {
      const keys = [key, this.keys.tombstoneOf(sid)];
      const args = [value, ttlMs, mayBeAbsent ? 1 : 0, ...unanswered];
      return outcomeOf(await saveUnansweredScript.run(this.#batcher.flush(), [...keys, ...args]));
    });
  }

  /** Stores a session if its id has none yet (SET NX): was it stored? */
  async add(sid: string, value: string, ttlMs: number): Promise<boolean> {
    const expiry = ttlMs === NO_TTL ? [] : ['PX', ttlMs];
    const reply = await this.#write(sid, (key) => this.#batcher.flush().call('SET', key, value, ...expiry, 'NX'));
    return reply !== null;
  }

  /** Sends at once what was asked for so far in this turn of the event loop. */
  flushWrites(): void {
    this.#batcher.flushWrites();
  }

  /** PEXPIRE: is the session there? */
  async expire(sid: string, ttlMs: number): Promise<boolean> {
    return (await this.#batcher.flush().pexpire(this.keys.of(sid), ttlMs)) === 1;
  }

  /** Renews the expiry and, if the stored value still equals `expected`, replaces it (touch.lua): was it replaced? */
  async touch(sid: string, expected: string, value: string, ttlMs: number): Promise<boolean> {
    const reply = await this.#write(sid, (key) =>
      touchScript.run(this.#batcher.flush(), [key, expected, value, ttlMs]),
    );
    return reply === 1;
  }

  /** Which of these sessions are not there. One EXISTS counts those of many; only where some are missing is each looked for. */
  async missingOf(sids: readonly string[]): Promise<string[]> {
    const missing: string[] = [];
    for (let i = 0; i < sids.length; i += EXISTS_KEYS) {
      const some = sids.slice(i, i + EXISTS_KEYS);
      const client = this.#batcher.flush();
      const keys = some.map((sid) => this.keys.of(sid));
      if (this.target.sharesCalls && (await client.exists(...keys)) === keys.length) continue;
      const there = await Promise.all(keys.map((key) => client.exists(key)));
      missing.push(...some.filter((_, n) => there[n] === 0));
    }
    return missing;
  }

  /** UNLINK */
  async unlink(sid: string): Promise<void> {
    await this.#write(sid, (key) => this.#batcher.flush().unlink(key));
  }

  /** Removes the session, leaves a tombstone, and gives what was there, as `Removed` says. */
  destroy(sid: string, wantsValue: boolean): Promise<Removed> {
    return this.#write(sid, async (key) => {
      const client = this.#batcher.flush();
      try {
        const asked: Asked = this.moved.followsMoves ? 'value-or-next' : wantsValue ? 'value' : 'count';
        return await destroyScript.eval(client, [key, this.keys.tombstoneOf(sid), TOMBSTONE_MS, asked]);
      } catch (error) {
        // Where this Redis user may not write a tombstone, the session is removed without one.
        if (!(error instanceof Error && /^(NOPERM|CROSSSLOT)/.test(error.message))) throw error;
        this.events.applicationMistake(
          'this Redis user may not write the keys "ended:*": a save that got no answer may undo a logout',
        );
        return wantsValue ? client.getdel(key) : client.unlink(key);
      }
    });
  }

  /** The ids of all sessions, some at a time. SCAN may give one twice. */
  async *scan(): AsyncGenerator<readonly string[]> {
    for await (const { keys } of this.#scanKeys()) yield keys.map((key) => this.keys.sidOf(key));
  }

  /** All sessions that can be read, each with its id. SCAN may give one twice. */
  async *scanSessions(): AsyncGenerator<SessionData & { id: string }> {
    for await (const found of this.#scanKeys())
      for (const [i, value] of (await forEachKey(found, 'get')).entries()) {
        const id = this.keys.sidOf(found.keys[i] as string);
        const session = typeof value === 'string' ? this.#living(await this.parse(id, value)) : null;
        if (session) yield Object.assign(session, { id });
      }
  }

  /** Removes all sessions, and leaves no tombstones. */
  async clear(): Promise<void> {
    for await (const found of this.#scanKeys()) await forEachKey(found, 'unlink');
    this.#near?.clear();
  }

  close(): void {
    this.#near?.close();
  }

  /** Makes each write of one session's value. The near cache forgets it before and after: a read meanwhile may get the old. */
  async #write<T>(sid: string, command: (key: string) => Promise<T>): Promise<T> {
    const key = this.keys.of(sid);
    this.#near?.forget(key);
    try {
      return await command(key);
    } finally {
      this.#near?.forget(key);
    }
  }

  async *#scanKeys() {
    for await (const { node, keys } of scanPrefix(this.target, this.keys.prefix, this.options.scanCount))
      yield { node, keys: keys.filter((key) => this.keys.isSession(key)) };
  }

  /** Null for a session after its absolute lifetime: Redis has it longer if `maxLifetime` was lowered, or a clock was wrong. */
  #living(session: SessionData | null): SessionData | null {
    return session && this.lifetimes.absolute.isOver(session) ? null : session;
  }

  /** The same, and has a session removed that is over. */
  #loaded(sid: string, session: SessionData | null): SessionData | null {
    const living = this.#living(session);
    if (session && !living) this.onOver(sid);
    return living;
  }

  /** Gives a session that was read its snapshot. */
  #remember(sid: string, session: SessionData, text: string, value: string): SessionData {
    this.states.of(session).snapshot = {
      sid,
      loadedText: text,
      storedText: text,
      storedValue: value,
      wasRead: true,
      user: this.userOf(session),
      takenAt: Date.now(),
      saveIds: [],
    };
    return session;
  }

  /** Puts a value into the near cache until its session ends: Redis tells of an expiry only when it removes the key. */
  #keepNear(key: string, token: symbol, value: string, session: SessionData): void {
    const { ttlSeconds, disableTTL } = this.options;
    const { expires } = session.cookie ?? {};
    if (expires && typeof ttlSeconds === 'number' && !disableTTL)
      this.#near?.keep(key, token, value, new Date(expires).getTime() - Date.now());
    else
      this.target.client.pttl(key).then(
        (leftMs) => this.#near?.keep(key, token, value, leftMs === -1 ? Number.POSITIVE_INFINITY : leftMs),
        (error) => this.events.fault(error),
      );
  }
}
