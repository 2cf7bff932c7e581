import { type SessionData, Store } from 'express-session';
import { Counter, Registry } from 'prom-client';
import { IntelligentSessionError, redisFault } from '../errors.js';
import { sessionKey, userSessionsKey } from '../keys.js';
import { connectCommands, keyPrefixOf, masters, type RedisClient, whenReady } from '../redis/connect.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import { Subscriber } from '../redis/subscriber.js';
import { mergeSession } from './merge-session.js';
import { NearCache } from './near-cache.js';
import { type RedisSessionStoreOptions, resolveStoreOptions } from './options.js';
import { type Seal, sealOf } from './seal.js';
import { Throttle } from './throttle.js';
import { UserSessions } from './user-sessions.js';

type Callback<T = void> = (error?: unknown, result?: T) => void;
type Stored = SessionData & { id: string };

/** What a session object is based on. */
interface View {
  /** the text that this request read, or saved last */
  base: string;
  /** the text that is in Redis, as far as is known; it differs from `base` after a merge or a touch */
  held: string;
  /** the same as it is stored */
  raw: string;
  /** has it been read, so that its cookie has come back? */
  readonly read: boolean;
  user: string | undefined;
}

/** How long a command may wait for the connection: for the first one (a Cluster's takes its time), for one that was lost. */
const FIRST_READY_MS = 1000;
const READY_MS = 250;
const TRIES = 100;
const UNREADABLE =
  'A stored session could not be read (another secret, damaged, or something else): it is treated as absent';

const saveScript = new Script<number | string>(loadScript('../scripts/save.lua', import.meta.url));
const touchScript = new Script<number>(loadScript('../scripts/touch.lua', import.meta.url));

/** Does a session hold nothing but its cookie? */
const isEmpty = (session: SessionData): boolean => Object.keys(session).every((key) => key === 'cookie');

/**
 * express-session's store on Redis: JSON under `sess:<sid>` with an expiry, as connect-redis writes it, and its option names.
 * Every method takes a callback, and returns a promise where none is given.
 *
 * Emits `connect` and `disconnect` with the connection; `created`, `destroyed`, `conflict` (merged, or rejected), `refused`
 * (a save of a session that is gone), `expired` (option), each with the session id; `fault` with an Error that has neither
 * ids nor data in it. `metrics` counts all of these.
 */
export class RedisSessionStore extends Store {
  readonly client: RedisClient;
  readonly metrics = new Registry();
  readonly #options: ReturnType<typeof resolveStoreOptions>;
  readonly #prefix: string;
  readonly #seal: Seal;
  readonly #near: NearCache | undefined;
  readonly #users: UserSessions;
  readonly #expired: Subscriber | undefined;
  readonly #views = new WeakMap<object, View>();
  /** renewing an expiry by a touch; and a user's note of a session */
  readonly #renewals = new Throttle();
  readonly #notes = new Throttle();
  #soon: Promise<void> | undefined;
  #wasReady = false;
  readonly #count = new Counter({
    name: 'intelligent_session_store_total',
    help: 'What happened to sessions: read, near (read from this process), absent, created, saved, merged, refused, …',
    labelNames: ['event'],
    registers: [this.metrics],
  });

  constructor(options: RedisSessionStoreOptions = {}) {
    super();
    this.#options = resolveStoreOptions(options);
    const { redis, nearCache, expiredEvents, encryption, whenAway } = this.#options;
    this.#prefix = keyPrefixOf(redis) + this.#options.prefix;
    this.#seal = sealOf(encryption);
    this.client = connectCommands(redis);
    this.client.on('ready', () => {
      this.#wasReady = true;
      this.emit('connect');
    });
    if (whenAway === 'pass') this.client.on('close', () => this.emit('disconnect'));
    this.#users = new UserSessions(this.client, this.#prefix);
    if (nearCache) this.#near = new NearCache(redis, this.#prefix, nearCache);
    this.#near?.on('fault', (error) => this.#fault(error));
    if (expiredEvents) this.#expired = new Subscriber(redis, ['__keyevent@*__:expired']);
    this.#expired?.on('message', (_channel, key: string) => {
      if (key.startsWith(this.#prefix)) this.#tell('expired', key.slice(this.#prefix.length));
    });
    this.#expired?.on('fault', (error) => this.#fault(error));
  }

  override createSession(...[req, session]: Parameters<Store['createSession']>): ReturnType<Store['createSession']> {
    const created = super.createSession(req, session);
    const view = this.#views.get(session);
    if (view) this.#views.set(created, view);
    return created;
  }

  /** GET; nothing where the near cache has it. What can't be read (damaged, another secret) is as if it were not there. */
  override get(sid: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    return this.#settle(callback, () => {
      const key = this.#key(sid);
      const near = this.#near?.get(key);
      if (near !== undefined) {
        this.#count.inc({ event: 'near' });
        return this.#parse(sid, near);
      }
      const read = () => this.client.get(key);
      return this.#ready(async () => {
        const raw = await (this.#near ? this.#near.read(key, read) : read());
        this.#count.inc({ event: raw === null ? 'absent' : 'read' });
        return raw === null ? null : this.#parse(sid, raw);
      });
    });
  }

  /**
   * One script where the session was read (see save.lua), SET where it is new; with `user`, another script when the user
   * changes. A session that has expired is destroyed instead; one that is gone stays gone (event `refused`, no error).
   * Where Redis is away, a session that holds nothing is no error to the page, but an event `fault`.
   */
  override set(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    return this.#settle(callback, () => this.#ready(() => this.#save(sid, session)), isEmpty(session));
  }

  /**
   * Renews the expiry, and the stored cookie's where it has one, at most once in `touchAfter`: PEXPIRE, or one script that
   * never undoes a save which came between. A callback does not wait for it; a fault is an event `fault`.
   */
  override touch(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    const due = !this.#options.disableTouch && !this.#options.disableTTL && this.#renewals.isDue(sid, session);
    const renew = () => (due ? this.#ready(() => this.#renew(sid, session)) : Promise.resolve());
    if (!callback) return this.#settle(undefined, renew);
    renew().catch((error) => this.#fault(error));
    process.nextTick(callback, null);
    return Promise.resolve();
  }

  /** UNLINK, or GETDEL and ZREM with `user`. */
  override destroy(sid: string, callback?: Callback): Promise<void> {
    return this.#settle(callback, () => this.#ready(() => this.#remove(sid)));
  }

  /** SCAN, and UNLINK in batches, on every master. */
  override clear(callback?: Callback): Promise<void> {
    return this.#settle(callback, () =>
      this.#ready(async () => {
        for await (const { node, keys } of this.#scan()) await node.pipeline(keys.map((key) => ['unlink', key])).exec();
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
    for await (const { node, keys } of this.#scan()) {
      const replies = (await node.pipeline(keys.map((key) => ['get', key])).exec()) ?? [];
      for (const [i, [, raw]] of replies.entries()) {
        const id = (keys[i] as string).slice(this.#prefix.length);
        const session = typeof raw === 'string' ? await this.#parse(id, raw) : null;
        if (session) yield Object.assign(session, { id });
      }
    }
  }

  /** A user's sessions, each with its id. ZRANGE and a GET each, in two round trips. Needs option `user`. */
  sessionsOf(user: string): Promise<Stored[]> {
    return this.#settle(undefined, () =>
      this.#ready(async () => {
        const sids = await this.#sidsOf(user);
        const raws = await Promise.all(sids.map((sid) => this.client.get(this.#key(sid))));
        const found: Stored[] = [];
        const gone: string[] = [];
        for (const [i, sid] of sids.entries()) {
          const raw = raws[i];
          const session = typeof raw === 'string' ? await this.#parse(sid, raw) : null;
          if (session && this.#views.get(session)?.user === user) found.push(Object.assign(session, { id: sid }));
          else gone.push(sid);
        }
        await this.#users.remove(user, ...gone);
        return found;
      }),
    );
  }

  /** Destroys a user's sessions, all or all but some: how many. As many commands as there are sessions. */
  destroyAllOf(user: string, { except = [] }: { except?: string | readonly string[] } = {}): Promise<number> {
    return this.#settle(undefined, () =>
      this.#ready(async () => {
        const kept = new Set(typeof except === 'string' ? [except] : except);
        const sids = (await this.#sidsOf(user)).filter((sid) => !kept.has(sid));
        await Promise.all(sids.map((sid) => this.destroy(sid)));
        return sids.length;
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

  async #save(sid: string, session: SessionData): Promise<void> {
    const { serializer, saveMode, disableTTL, user: userOf } = this.#options;
    const view = this.#views.get(session);
    const ttlMs = this.#ttlMs(session, view?.read ?? false);
    if (ttlMs <= 0) return this.#remove(sid);
    const key = this.#key(sid);
    const mine = serializer.stringify(session);
    const user = userOf?.(session);
    const changed = user !== view?.user;
    if (user !== undefined && (changed || this.#notes.isDue(sid, session))) await this.#note(user, sid, session, ttlMs);
    const storedMs = disableTTL ? 0 : ttlMs;
    const set = (raw: string, ...how: string[]) =>
      this.client.call('SET', key, raw, ...(storedMs ? ['PX', storedMs] : []), ...how);

    this.#near?.forget(key);
    const saved = { base: mine, held: mine, raw: this.#seal.seal(sid, mine), read: view?.read ?? false, user };
    if (!view) {
      await set(saved.raw);
      this.#tell('created', sid);
    } else if (saveMode === 'overwrite') {
      if ((await set(saved.raw, 'XX')) === null) return this.#refuse(sid, user);
    } else {
      if (view.held !== view.base) await this.#mergeInto(saved, sid, view.base, view.held);
      let expected = view.raw;
      for (let tried = 0; ; tried++) {
        const reply = await saveScript.run(this.client, [key, expected, saved.raw, storedMs]);
        if (reply === 1) break;
        if (reply === 0) return this.#refuse(sid, user);
        if (tried === 0) this.#tell('conflict', sid);
        if (saveMode === 'reject' || tried === TRIES)
          throw new IntelligentSessionError(
            'ERR_INTELLIGENT_SESSION_CONFLICT',
            'The session was changed by another request since this one read it',
          );
        expected = String(reply);
        await this.#mergeInto(saved, sid, view.base, this.#seal.open(sid, expected) ?? view.base);
      }
    }
    this.#near?.forget(key);
    this.#count.inc({ event: 'saved' });
    this.#views.set(session, saved);
    if (changed && view?.user !== undefined) await this.#users.remove(view.user, sid);
  }

  /** Sets what is to be stored: what `saved.base` changed of `base`, over `held`. */
  async #mergeInto(saved: View, sid: string, base: string, held: string): Promise<void> {
    const { parse, stringify } = this.#plain();
    const same = (a: unknown, b: unknown) => stringify({ value: a }) === stringify({ value: b });
    saved.held = stringify(mergeSession(await parse(base), await parse(saved.base), await parse(held), same));
    saved.raw = this.#seal.seal(sid, saved.held);
  }

  #plain() {
    const { serializer } = this.#options;
    return {
      parse: (text: string) => serializer.parse(text),
      stringify: (value: object) => serializer.stringify(value as SessionData),
    };
  }

  async #refuse(sid: string, user: string | undefined): Promise<void> {
    this.#near?.forget(this.#key(sid));
    if (user !== undefined) await this.#users.remove(user, sid);
    this.#tell('refused', sid);
  }

  async #renew(sid: string, session: SessionData): Promise<void> {
    const ttlMs = this.#ttlMs(session, true);
    if (ttlMs <= 0) return this.#remove(sid);
    this.#renewals.done(sid, session, this.#touchAfterMs(ttlMs));
    const key = this.#key(sid);
    const view = this.#views.get(session);
    const user = this.#options.user?.(session);
    if (user !== undefined) await this.#note(user, sid, session, ttlMs);
    this.#count.inc({ event: 'touched' });
    if (!session.cookie?.expires) {
      await this.client.pexpire(key, ttlMs);
      return;
    }
    const raw = view?.raw ?? (await this.client.get(key));
    const held = view?.held ?? (raw === null ? undefined : this.#seal.open(sid, raw));
    if (raw === null || held === undefined) return;
    const { parse, stringify } = this.#plain();
    const text = stringify({ ...(await parse(held)), cookie: session.cookie });
    const moved = this.#seal.seal(sid, text);
    this.#near?.forget(key);
    const replaced = await touchScript.run(this.client, [key, raw, moved, ttlMs]);
    this.#near?.forget(key);
    if (view && replaced === 1) Object.assign(view, { held: text, raw: moved });
  }

  async #remove(sid: string): Promise<void> {
    const key = this.#key(sid);
    this.#near?.forget(key);
    this.#renewals.forget(sid);
    this.#notes.forget(sid);
    let there: boolean;
    if (this.#options.user) {
      const raw = await this.client.getdel(key);
      there = raw !== null;
      const session = raw === null ? null : await this.#parse(sid, raw);
      const user = session ? this.#views.get(session)?.user : undefined;
      if (user !== undefined) await this.#users.remove(user, sid);
    } else there = (await this.client.unlink(key)) === 1;
    this.#near?.forget(key);
    if (there) this.#tell('destroyed', sid);
  }

  /** Notes a session as its user's, before it is stored, so that none escapes destroyAllOf(); ends those over the limit. */
  async #note(user: string, sid: string, session: SessionData, ttlMs: number): Promise<void> {
    const { maxSessionsPerUser = Number.POSITIVE_INFINITY, disableTTL } = this.#options;
    const noted = await this.#users.add(user, sid, disableTTL ? 0 : ttlMs);
    this.#notes.done(sid, session, this.#touchAfterMs(ttlMs));
    if (noted <= maxSessionsPerUser) return;
    const others = (await this.#users.of(user)).filter((one) => one !== sid);
    const there = await Promise.all(others.map((one) => this.client.exists(this.#key(one))));
    await this.#users.remove(user, ...others.filter((_, i) => !there[i]));
    const alive = others.filter((_, i) => there[i]);
    const over = alive.slice(0, Math.max(0, alive.length + 1 - maxSessionsPerUser));
    await Promise.all(over.map((one) => this.destroy(one)));
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
    return touchAfter === undefined ? Math.min(ttlMs / 100, 300_000) : touchAfter * 1000;
  }

  #ttlMs(session: SessionData, returning: boolean): number {
    const { ttl, newSessionTtl } = this.#options;
    const { expires } = session.cookie ?? {};
    let ms: number;
    if (typeof ttl === 'function') ms = ttl(session) * 1000;
    else ms = expires ? new Date(expires).getTime() - Date.now() : ttl * 1000;
    const provisional = !returning && isEmpty(session);
    return Math.floor(provisional ? Math.min(ms, newSessionTtl * 1000) : ms);
  }

  /** A stored text as a session object whose view is known; null where it can't be read. */
  async #parse(sid: string, raw: string): Promise<SessionData | null> {
    const text = this.#seal.open(sid, raw);
    const session = text === undefined ? undefined : await this.#deserialize(text);
    if (text === undefined || typeof session !== 'object' || session === null) {
      this.#count.inc({ event: 'unreadable' });
      this.emit('fault', new IntelligentSessionError('ERR_INTELLIGENT_SESSION_UNREADABLE', UNREADABLE));
      return null;
    }
    this.#views.set(session, { base: text, held: text, raw, read: true, user: this.#options.user?.(session) });
    return session;
  }

  async #deserialize(text: string): Promise<SessionData | undefined> {
    try {
      return await this.#options.serializer.parse(text);
    } catch {
      return undefined;
    }
  }

  async #ids(): Promise<string[]> {
    const all = new Set<string>();
    for await (const id of this.scanIds()) all.add(id);
    return [...all];
  }

  async *#scan() {
    const match = `${this.#prefix.replace(/[*?[\]\\^-]/g, '\\$&')}*`;
    const others = userSessionsKey(this.#prefix, '');
    for (const node of masters(this.client)) {
      let cursor = '0';
      do {
        const [next, found] = await node.scan(cursor, 'MATCH', match, 'COUNT', this.#options.scanCount);
        cursor = next;
        const keys = found.filter((key) => !key.startsWith(others));
        if (keys.length > 0) yield { node, keys };
      } while (cursor !== '0');
    }
  }

  #tell(event: 'created' | 'destroyed' | 'conflict' | 'refused' | 'expired', sid: string): void {
    this.#count.inc({ event });
    this.emit(event, sid);
  }

  /** Told, counted, and as the page gets it. What the serializer or `user` threw is theirs. */
  #fault(cause: unknown): Error {
    const own = cause instanceof IntelligentSessionError || cause instanceof TypeError;
    const error = own ? cause : redisFault(cause);
    if (error instanceof IntelligentSessionError)
      Object.assign(error, { status: error.code === 'ERR_INTELLIGENT_SESSION_CONFLICT' ? 409 : 503 });
    this.#count.inc({ event: 'fault' });
    this.emit('fault', error);
    return error;
  }

  #ready<T>(work: () => Promise<T>): Promise<T> {
    if (this.client.status === 'ready') return work();
    this.#soon ??= whenReady(this.client, this.#wasReady ? READY_MS : FIRST_READY_MS).finally(() => {
      this.#soon = undefined;
    });
    return this.#soon.then(work);
  }

  #settle<T>(callback: Callback<T> | undefined, work: () => Promise<T>, forgiving = false): Promise<T> {
    const safe = work().catch((cause) => {
      const error = this.#fault(cause);
      if (forgiving && callback) return undefined as T;
      throw error;
    });
    if (!callback) return safe;
    // Outside the promise: what a callback throws is its own, and it is called once.
    safe.then(
      (value) => process.nextTick(callback, null, value),
      (error) => process.nextTick(callback, error),
    );
    return safe.catch(() => undefined as T);
  }
}
