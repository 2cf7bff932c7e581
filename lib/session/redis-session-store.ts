import { type SessionData, Store } from 'express-session';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { Counter, Registry } from 'prom-client';
import { IntelligentSessionError, redisFault } from '../errors.js';
import { sessionKey, userSessionsKey } from '../keys.js';
import { Availability } from '../redis/availability.js';
import { connectCommands, keyPrefixOf, type RedisClient } from '../redis/connect.js';
import { wasLost, wasNotSent } from '../redis/lost-connection.js';
import { gatherWrites } from '../redis/gather-writes.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import { type Found, forEachKey, scanPrefix } from '../redis/scan.js';
import { Subscriber } from '../redis/subscriber.js';
import { Batches } from './batches.js';
import { Lines } from './lines.js';
import { differ, mergeSession } from './merge-session.js';
import { NearCache } from './near-cache.js';
import { type RedisSessionStoreOptions, resolveStoreOptions } from './options.js';
import { type Seal, sealOf } from './seal.js';
import { Throttle } from './throttle.js';
import { STORED_BY_MS, UserSessions } from './user-sessions.js';

type Callback<T = void> = (error?: unknown, result?: T) => void;
type Stored = SessionData & { id: string };

/** What a session object is based on. */
interface View {
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
}

const nothing = (): void => {};
/** what a method with a callback returns */
const NEVER_ASKED: Promise<unknown> = Promise.resolve();

/** What is known of a session object. */
interface State {
  view?: View;
  /** the save that it is in, or was in last */
  saving?: Promise<void>;
}

/** What is saved, as it was when the save was asked. */
interface Saving {
  readonly mine: string;
  readonly user: string | undefined;
  readonly ttlMs: number;
}

const TRIES = 100;
const UNREADABLE =
  'A stored session could not be read (another secret, damaged, or something else): it is treated as absent';

const touchScript = new Script<number>(loadScript('../scripts/touch.lua', import.meta.url));

/** Does a session hold nothing but its cookie? */
const isEmpty = (session: SessionData): boolean => Object.keys(session).every((key) => key === 'cookie');

/**
 * express-session's store on Redis: JSON under `sess:<sid>` with an expiry, as connect-redis writes it, and its option names.
 * Every method takes a callback, or returns a promise where none is given.
 *
 * Emits `away` (with the reason) when Redis can't be reached and `back` when it can, at first too; with `whenAway: 'pass'`
 * also `disconnect` and `connect`, by which express-session passes requests on without a session; `created`, `destroyed`, `conflict` (merged, or rejected), `refused`
 * (a save of a session that is gone), `expired` (option), each with the session id; `fault` with an Error that has neither
 * ids nor data in it. `metrics` counts all of these.
 */
export class RedisSessionStore extends Store {
  readonly client: RedisClient;
  readonly metrics = new Registry();
  readonly #options: ReturnType<typeof resolveStoreOptions>;
  /** of whole keys */
  readonly #prefix: string;
  readonly #seal: Seal;
  readonly #near: NearCache | undefined;
  readonly #batches: Batches;
  readonly #users: UserSessions;
  readonly #expired: Subscriber | undefined;
  readonly #states = new WeakMap<object, State>();
  /** errors that an application's own function threw: they are not told as Redis' */
  readonly #thrown = new WeakSet<object>();
  /** renewing an expiry by a touch; and until when a session is noted as its user's */
  readonly #renewals = new Throttle();
  readonly #notes = new LRUCache<string, number>({ max: 50_000 });
  readonly #conflicts = new Lines();
  readonly #firstSaves = new Lines();
  readonly #availability: Availability;
  readonly #count = new Counter({
    name: 'intelligent_session_store_total',
    help: 'What happened to sessions: read, near (read from this process), absent, created, saved, conflict, refused, …',
    labelNames: ['event'],
    registers: [this.metrics],
  });
  /** those of every request, found once */
  readonly #counted = {
    near: this.#count.labels('near'),
    read: this.#count.labels('read'),
    absent: this.#count.labels('absent'),
    saved: this.#count.labels('saved'),
    touched: this.#count.labels('touched'),
  };

  constructor(options: RedisSessionStoreOptions = {}) {
    super();
    this.#options = resolveStoreOptions(options);
    const { redis, nearCache, expiredEvents, encryption, whenAway, maxWaitMs } = this.#options;
    const keyPrefix = keyPrefixOf(redis);
    this.#prefix = keyPrefix + this.#options.prefix;
    this.#seal = sealOf(encryption);
    this.client = connectCommands(redis, maxWaitMs);
    gatherWrites(this.client);
    this.#availability = new Availability(this.client, maxWaitMs);
    this.#availability.on('back', () => {
      this.emit('back');
      this.emit('connect');
    });
    this.#availability.on('away', (reason) => {
      this.emit('away', reason);
      // express-session passes requests on without a session from now on
      if (whenAway === 'pass') this.emit('disconnect');
    });
    this.#batches = new Batches(this.client);
    this.#users = new UserSessions(this.client, keyPrefix + userSessionsKey(this.#options.prefix, ''));
    if (nearCache) this.#near = new NearCache(redis, this.#prefix, nearCache);
    this.#near?.on('fault', (error) => this.#fault(error));
    const db = this.client.isCluster ? 0 : ((this.client as Redis).options.db ?? 0);
    if (expiredEvents) this.#expired = new Subscriber(redis, [`__keyevent@${db}__:expired`]);
    this.#expired?.on('message', (_channel, key: string) => {
      if (this.#isSession(key)) this.#tell('expired', key.slice(this.#prefix.length));
    });
    this.#expired?.on('fault', (error) => this.#fault(error));
  }

  override createSession(...[req, session]: Parameters<Store['createSession']>): ReturnType<Store['createSession']> {
    const created = super.createSession(req, session);
    const state = this.#states.get(session);
    if (state) this.#states.set(created, state);
    return created;
  }

  /** GET; nothing where the near cache has it. What can't be read (damaged, another secret) is as if it were not there. */
  override get(sid: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    const key = this.#key(sid);
    return this.#settle(callback, () => {
      const near = this.#near?.get(key);
      if (near !== undefined) {
        this.#counted.near.inc();
        return this.#parse(sid, near);
      }
      return this.#ready(async () => {
        const mark = this.#near?.begin(key);
        const raw = await this.#batches.get(key);
        if (raw === null) {
          this.#counted.absent.inc();
          return null;
        }
        this.#counted.read.inc();
        const session = await this.#parse(sid, raw);
        if (mark && session) this.#keepNear(key, mark, raw, session);
        return session;
      }, wasLost);
    });
  }

  /**
   * One script where the session was read (see save.lua), SET where it is new; with `user`, another script when the user
   * changes. A session that has expired is destroyed instead; one that is gone stays gone (event `refused`, no error).
   * Where Redis is away, a new session that holds nothing is no error to the page, but an event `fault`.
   */
  override set(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    const state = this.#states.get(session) ?? {};
    if (!state.view) this.#states.set(session, state);
    const save = () => {
      const mine = this.#theirs(() => this.#options.serializer.stringify(session));
      const user = this.#userOf(session);
      const ttlMs = this.#ttlMs(session, state.view?.sid === sid && state.view.read);
      const saveNow = () => this.#ready(() => this.#save(sid, state, { mine, user, ttlMs }));
      // Saves of one session object stand in line: each goes on from the one before.
      const { saving } = state;
      const inLine = () => (state.view ? saveNow() : this.#firstSaves.join(sid, saveNow));
      state.saving = saving ? saving.then(inLine, inLine) : inLine();
      return state.saving;
    };
    return this.#settle(callback, save, !state.view && isEmpty(session));
  }

  /**
   * Renews the expiry, and the stored cookie's where it has one, at most once in `touchAfter`: PEXPIRE, or one script that
   * never undoes a save which came between. A callback does not wait for it; a fault is an event `fault`.
   */
  override touch(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    const due =
      !this.#options.disableTouch && !this.#options.disableTTL && this.#renewals.isDue(sid, this.#markOf(session));
    const renew = () => (due ? this.#ready(() => this.#renew(sid, session)) : Promise.resolve());
    if (!callback) return this.#settle(undefined, renew);
    renew().catch((error) => this.#fault(error));
    process.nextTick(callback, null);
    return Promise.resolve();
  }

  /** UNLINK, or GETDEL and HDEL with `user`. */
  override destroy(sid: string, callback?: Callback): Promise<void> {
    // after a first save that is under way here: the session would come after its end
    return this.#settle(callback, () => this.#firstSaves.after(sid, () => this.#ready(() => this.#remove(sid))));
  }

  /** SCAN, and UNLINK in batches, on every master. */
  override clear(callback?: Callback): Promise<void> {
    return this.#settle(callback, () =>
      this.#ready(async () => {
        for await (const found of this.#scan()) await forEachKey(found, 'unlink');
        if (this.#options.user)
          for await (const found of scanPrefix(this.client, this.#users.prefix, this.#options.scanCount))
            await forEachKey(found, 'unlink');
        this.#near?.clear();
      }),
    );
  }

  /** SCAN */
  override length(callback?: Callback<number>): Promise<number> {
    return this.#settle(callback, async () => (await this.#ids()).length);
  }

  /** The ids of all sessions. SCAN */
  ids(callback?: Callback<string[]>): Promise<string[]> {
    return this.#settle(callback, () => this.#ids());
  }

  /** All sessions, each with its id. SCAN, and GET in batches. */
  override all(callback?: Callback<Stored[]>): Promise<Stored[]> {
    return this.#settle(callback, async () => {
      const found = new Map<string, Stored>();
      for await (const session of this.scanSessions()) found.set(session.id, session);
      return [...found.values()];
    });
  }

  /** The ids one by one, without holding them all; SCAN may give one twice. */
  async *scanIds(): AsyncGenerator<string, void, undefined> {
    await this.#ready(async () => {});
    for await (const { keys } of this.#scan()) for (const key of keys) yield key.slice(this.#prefix.length);
  }

  /** The sessions one by one, without holding them all; SCAN may give one twice. */
  async *scanSessions(): AsyncGenerator<Stored, void, undefined> {
    await this.#ready(async () => {});
    for await (const found of this.#scan()) {
      for (const [i, raw] of (await forEachKey(found, 'get')).entries()) {
        const id = (found.keys[i] as string).slice(this.#prefix.length);
        const session = typeof raw === 'string' ? await this.#parse(id, raw) : null;
        if (session) yield Object.assign(session, { id });
      }
    }
  }

  /** A user's sessions, each with its id. HKEYS and a GET each, in two round trips. Needs option `user`. */
  sessionsOf(user: string): Promise<Stored[]> {
    return this.#settle(undefined, () =>
      this.#ready(async () => {
        const sids = await this.#sidsOf(user);
        const sessions = await Promise.all(sids.map((sid) => this.#stored(sid)));
        return sessions.flatMap((session, i) =>
          session && this.#viewOf(session)?.user === user ? [Object.assign(session, { id: sids[i] as string })] : [],
        );
      }),
    );
  }

  /**
   * Destroys a user's sessions, all or all but some: how many. HKEYS, and as many GETs and GETDELs as there are sessions.
   * One that can't be read is destroyed too; one that is another's by now is not.
   */
  destroyAllOf(user: string, { except = [] }: { except?: string | readonly string[] } = {}): Promise<number> {
    return this.#settle(undefined, () =>
      this.#ready(async () => {
        const kept = new Set(typeof except === 'string' ? [except] : except);
        const sids = (await this.#sidsOf(user)).filter((sid) => !kept.has(sid));
        const ended = await Promise.all(
          sids.map(async (sid) => {
            const session = await this.#stored(sid);
            if (session === undefined) return false;
            if (session !== null && this.#viewOf(session)?.user !== user) return false;
            await this.destroy(sid);
            await this.#users.forget(user, sid);
            return true;
          }),
        );
        return ended.filter(Boolean).length;
      }),
    );
  }

  /** Seconds that this session has left, rounded up: what its intelligence is kept for. */
  ttlSeconds(session: SessionData, returning = false): number {
    return Math.ceil(this.#ttlMs(session, returning) / 1000);
  }

  /** Closes the connections. Can be called twice. */
  async close(): Promise<void> {
    this.#near?.close();
    this.#expired?.close();
    this.client.disconnect();
  }

  async #save(sid: string, state: State, { mine, user, ttlMs }: Saving): Promise<void> {
    const { saveMode, disableTTL } = this.#options;
    const view = state.view?.sid === sid ? state.view : undefined;
    const read = view?.read ?? false;
    if (ttlMs <= 0) return this.#remove(sid);
    const key = this.#key(sid);
    // noted before it is stored, so that none is stored that destroyAllOf() does not know
    let noted = user === undefined ? undefined : await this.#note(user, sid, ttlMs, user !== view?.user);

    this.#near?.forget(key);
    const saved: View = { sid, base: mine, held: mine, raw: this.#seal.seal(sid, mine), read, user };
    const storedMs = disableTTL ? 0 : ttlMs;
    let stored: boolean | undefined = true;
    if (!view || saveMode === 'overwrite') {
      const how = [...(storedMs ? ['PX', storedMs] : []), ...(view ? ['XX'] : [])];
      stored = (await this.#batches.inOrder.call('SET', key, saved.raw, ...how)) !== null;
      if (!view) this.#tell('created', sid);
    } else {
      const asRead = view.held === view.base;
      const reply = asRead ? await this.#batches.save(key, view.raw, saved.raw, storedMs) : view.raw;
      if (reply === 0) stored = false;
      else if (reply !== 1)
        stored = await this.#conflicts.join(sid, () => this.#saveOver(String(reply), saved, view, asRead));
    }
    this.#near?.forget(key);
    if (stored === undefined) return;
    if (!stored) return this.#refuse(sid, user);
    this.#counted.saved.inc();
    state.view = saved;
    // a page that saves before its end has not moved its cookie yet: the touch at its end is due
    this.#renewals.forget(sid);
    // a note of one who is no longer its user stays till it ends: readers ask the session whose it is
    if (saved.user !== user) noted = await this.#note(saved.user, sid, ttlMs, true);
    const { maxSessionsPerUser: most } = this.#options;
    if (noted && most !== undefined && saved.user !== undefined && saved.user !== view?.user) {
      const over = await this.#users.over(saved.user, noted, most, (one) => this.#ownerOf(one));
      await Promise.all(over.map((one) => this.destroy(one)));
    }
  }

  /**
   * Saves what this request changed over what another has stored: false where the session is gone, undefined where what
   * stands there can't be read, and so is left alone.
   */
  async #saveOver(there: string, saved: View, view: View, conflicting: boolean): Promise<boolean | undefined> {
    const { saveMode, disableTTL, serializer } = this.#options;
    const { sid } = saved;
    let [held, expected, check, told] = [view.held, there, conflicting, false];
    for (let tried = 0; tried <= TRIES; tried++) {
      const text = this.#seal.open(sid, expected);
      if (text === undefined) break;
      const theirs = await this.#parsed(text);
      // a touch moves the cookie and nothing else: that is no conflict
      const conflict = check && differ(await this.#parsed(held), theirs);
      if (conflict && !told) this.#tell('conflict', sid);
      told ||= conflict;
      if ((conflict && saveMode === 'reject') || tried === TRIES)
        throw new IntelligentSessionError(
          'ERR_INTELLIGENT_SESSION_CONFLICT',
          'The session was changed by another request since this one read it',
        );
      const merged = mergeSession(await this.#parsed(view.base), await this.#parsed(saved.base), theirs);
      saved.held = this.#theirs(() => serializer.stringify(merged));
      saved.raw = this.#seal.seal(sid, saved.held);
      saved.user = this.#userOf(merged);
      const ttlMs = disableTTL ? 0 : this.#ttlMs(merged, saved.read);
      const reply = await this.#batches.save(this.#key(sid), expected, saved.raw, ttlMs);
      if (reply === 1) return true;
      if (reply === 0) return false;
      // no text, and so never equal to itself: it can't be merged with
      if (reply === expected) break;
      [held, expected, check] = [text, String(reply), true];
    }
    this.#unreadable();
    return undefined;
  }

  async #refuse(sid: string, user: string | undefined): Promise<void> {
    this.#near?.forget(this.#key(sid));
    if (user !== undefined) await this.#users.forget(user, sid);
    this.#notes.delete(sid);
    this.#tell('refused', sid);
  }

  async #renew(sid: string, session: SessionData): Promise<void> {
    const ttlMs = this.#ttlMs(session, true);
    if (ttlMs <= 0) return this.#remove(sid);
    this.#renewals.done(sid, this.#markOf(session), this.#touchAfterMs(ttlMs));
    try {
      if (!(await this.#move(sid, session, ttlMs))) return;
    } catch (error) {
      this.#renewals.forget(sid);
      throw error;
    }
    this.#counted.touched.inc();
    await this.#note(this.#viewOf(session)?.user, sid, ttlMs, false);
  }

  /** Moves a session's end, and its stored cookie where it has one; false where it is gone, or another's save stands there. */
  async #move(sid: string, session: SessionData, ttlMs: number): Promise<boolean> {
    const key = this.#key(sid);
    const known = this.#viewOf(session);
    const view = known?.sid === sid ? known : undefined;
    const raw = view?.raw ?? (await this.#batches.get(key));
    const held = view?.held ?? (raw === null ? undefined : this.#seal.open(sid, raw));
    if (raw === null || held === undefined) return false;
    const stored = await this.#parsed(held);
    if (!session.cookie?.expires && !stored.cookie?.expires)
      return (await this.#batches.inOrder.pexpire(key, ttlMs)) === 1;
    const text = this.#theirs(() => this.#options.serializer.stringify({ ...stored, cookie: session.cookie }));
    const moved = this.#seal.seal(sid, text);
    this.#near?.forget(key);
    const reply = await touchScript.run(this.#batches.inOrder, [key, raw, moved, ttlMs]);
    this.#near?.forget(key);
    if (view && reply === 1) Object.assign(view, { held: text, raw: moved });
    return reply === 1;
  }

  async #remove(sid: string): Promise<void> {
    const key = this.#key(sid);
    this.#near?.forget(key);
    this.#renewals.forget(sid);
    this.#notes.delete(sid);
    let there: boolean;
    if (this.#options.user) {
      const raw = await this.#batches.inOrder.getdel(key);
      there = raw !== null;
      const session = raw === null ? null : await this.#parse(sid, raw);
      const user = session ? this.#viewOf(session)?.user : undefined;
      if (user !== undefined) await this.#users.forget(user, sid);
    } else there = (await this.#batches.inOrder.unlink(key)) === 1;
    this.#near?.forget(key);
    if (there) this.#tell('destroyed', sid);
  }

  /** Notes a session as its user's till after its end, now or when it is due: all that the user has, if it did. */
  async #note(user: string | undefined, sid: string, ttlMs: number, now: boolean) {
    const endsMs = Date.now() + ttlMs + STORED_BY_MS;
    if (user === undefined || !(now || (this.#notes.get(sid) ?? 0) < endsMs)) return undefined;
    const afterMs = this.#touchAfterMs(ttlMs);
    // saves and touches move the session's end without a note for so long
    const noteMs = this.#options.disableTTL ? 0 : Math.ceil(ttlMs + afterMs + STORED_BY_MS);
    const noted = await this.#users.note(user, sid, noteMs);
    this.#notes.set(sid, endsMs + afterMs);
    return noted;
  }

  /** undefined: not there; null: it can't be read */
  async #stored(sid: string): Promise<SessionData | null | undefined> {
    const raw = await this.#batches.get(this.#key(sid));
    return raw === null ? undefined : this.#parse(sid, raw);
  }

  /** Whose a stored session is: undefined where it is not there, null where nobody's, or it can't be read. */
  async #ownerOf(sid: string): Promise<string | null | undefined> {
    const session = await this.#stored(sid);
    return session === undefined ? undefined : ((session && this.#viewOf(session)?.user) ?? null);
  }

  #viewOf(session: SessionData): View | undefined {
    return this.#states.get(session)?.view;
  }

  #sidsOf(user: string): Promise<string[]> {
    if (!this.#options.user)
      throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', 'RedisSessionStore has no option "user"');
    return this.#users.of(user);
  }

  #key(sid: string): string {
    return sessionKey(this.#prefix, sid);
  }

  #touchAfterMs(ttlMs: number): number {
    const { touchAfter } = this.#options;
    return touchAfter === undefined ? Math.min(ttlMs / 100, 300_000) : Math.min(touchAfter * 1000, ttlMs / 4);
  }

  /** How long a session lives, in seconds: express-session lets maxAge slip by a millisecond now and then. */
  #markOf(session: SessionData): number {
    const { ttl } = this.#options;
    return typeof ttl === 'function'
      ? this.#theirs(() => ttl(session))
      : Math.round((session.cookie?.originalMaxAge ?? 0) / 1000);
  }

  #ttlMs(session: SessionData, returning: boolean): number {
    const { ttl, newSessionTtl, disableTouch, disableTTL } = this.#options;
    const { expires } = session.cookie ?? {};
    let ms: number;
    if (typeof ttl === 'function') ms = this.#theirs(() => ttl(session)) * 1000;
    else ms = expires ? new Date(expires).getTime() - Date.now() : ttl * 1000;
    // only where a touch will lengthen it
    const provisional = !returning && isEmpty(session) && !disableTouch && !disableTTL;
    return Math.floor(provisional ? Math.min(ms, newSessionTtl * 1000) : ms);
  }

  /** Keeps what was read in this process, till its end: Redis tells of an expiry only when it removes the key. */
  #keepNear(key: string, mark: symbol, raw: string, session: SessionData): void {
    const { ttl, disableTTL } = this.#options;
    const { expires } = session.cookie ?? {};
    if (expires && typeof ttl === 'number' && !disableTTL)
      this.#near?.keep(key, mark, raw, new Date(expires).getTime() - Date.now());
    else
      this.client.pttl(key).then(
        (leftMs) => this.#near?.keep(key, mark, raw, leftMs === -1 ? Number.POSITIVE_INFINITY : leftMs),
        (error) => this.#fault(error),
      );
  }

  /** A stored text as a session object whose view is known; null where it can't be read. At once, if the serializer can. */
  #parse(sid: string, raw: string): SessionData | null | Promise<SessionData | null> {
    const text = this.#seal.open(sid, raw);
    if (text === undefined) return this.#unreadable();
    const known = (session: SessionData) => {
      if (typeof session !== 'object' || session === null) return this.#unreadable();
      const view = { sid, base: text, held: text, raw, read: true, user: this.#userOf(session) };
      this.#states.set(session, { view });
      return session;
    };
    let session: SessionData | Promise<SessionData>;
    try {
      session = this.#options.serializer.parse(text);
    } catch {
      return this.#unreadable();
    }
    return session instanceof Promise
      ? session.catch(() => null as unknown as SessionData).then(known)
      : known(session);
  }

  /** The serializer's parse(); what it can't read is an error that tells nothing of the text. */
  async #parsed(text: string): Promise<SessionData> {
    const session = await Promise.resolve(text)
      .then((one) => this.#options.serializer.parse(one))
      .catch(() => undefined);
    if (typeof session === 'object' && session !== null) return session;
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_UNREADABLE', UNREADABLE);
  }

  #unreadable(): null {
    this.#count.inc({ event: 'unreadable' });
    this.emit('fault', new IntelligentSessionError('ERR_INTELLIGENT_SESSION_UNREADABLE', UNREADABLE));
    return null;
  }

  #userOf(session: SessionData): string | undefined {
    const { user: userOf } = this.#options;
    if (!userOf) return undefined;
    const user = this.#theirs(() => userOf(session));
    return user === undefined || user === null || user === '' ? undefined : String(user);
  }

  /** Calls an application's own function: what it throws stays its own. */
  #theirs<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      if (typeof error === 'object' && error !== null) this.#thrown.add(error);
      throw error;
    }
  }

  #ids(): Promise<string[]> {
    return this.#ready(async () => {
      const all = new Set<string>();
      for await (const { keys } of this.#scan()) for (const key of keys) all.add(key);
      return Array.from(all, (key) => key.slice(this.#prefix.length));
    });
  }

  #isSession(key: string): boolean {
    return key.startsWith(this.#prefix) && !key.startsWith(this.#users.prefix);
  }

  async *#scan(): AsyncGenerator<Found> {
    for await (const { node, keys } of scanPrefix(this.client, this.#prefix, this.#options.scanCount))
      yield { node, keys: keys.filter((key) => this.#isSession(key)) };
  }

  #tell(event: 'created' | 'destroyed' | 'conflict' | 'refused' | 'expired', sid: string): void {
    this.#count.inc({ event });
    this.#theirs(() => this.emit(event, sid));
  }

  /** Told, counted, and as the page gets it. What an application's own function threw stays as it is. */
  #fault(cause: unknown): Error {
    const theirs = cause instanceof Error && this.#thrown.has(cause);
    const error = theirs || cause instanceof IntelligentSessionError ? cause : redisFault(cause);
    if (!theirs) Object.assign(error, { status: (error as { code?: string }).code?.endsWith('_CONFLICT') ? 409 : 503 });
    this.#count.inc({ event: 'fault' });
    this.emit('fault', error);
    return error;
  }

  /** Runs `work` when Redis can be reached; once more where its connection was lost before the command was sent. */
  #ready<T>(work: () => Promise<T>, again: (error: unknown) => boolean = wasNotSent): Promise<T> {
    if (this.client.status !== 'ready') return this.#availability.ready().then(work);
    return work().catch((error) => {
      if (!again(error)) throw error;
      return this.#availability.ready().then(work);
    });
  }

  #settle<T>(callback: Callback<T> | undefined, work: () => T | Promise<T>, forgiving = false): Promise<T> {
    let result: Promise<T>;
    try {
      const now = work();
      if (callback && !(now instanceof Promise)) {
        setImmediate(callback, null, now);
        return NEVER_ASKED as Promise<T>;
      }
      result = Promise.resolve(now);
    } catch (error) {
      result = Promise.reject(error);
    }
    if (!callback) {
      const safe = result.catch((cause) => {
        throw this.#fault(cause);
      });
      // A promise that nobody looks at (req.session.destroy() without a callback) must not end the process: `fault` tells.
      safe.catch(nothing);
      return safe;
    }
    // Outside the promise: what a callback throws is its own, and it is called once.
    result.then(
      (value) => process.nextTick(callback, null, value),
      (cause) => {
        const error = this.#fault(cause);
        process.nextTick(callback, forgiving ? null : error);
      },
    );
    return NEVER_ASKED as Promise<T>;
  }
}
