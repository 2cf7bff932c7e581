import { type SessionData, Store } from 'express-session';
import { LRUCache } from 'lru-cache';
import { argumentError, checkIsObject, optionsOf } from '../options/check-arguments.js';
import { applicationFault, IntelligentSessionError, newerVersion, redisFault } from '../errors/errors.js';
import { besideKey, endedPrefix, sessionKey, userSessionsPrefix } from '../redis/keys.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { CLOSE_TIMEOUT_MS, UnfinishedWork } from '../redis/unfinished-work.js';
import { expiredChannel } from '../redis/channels.js';
import { Availability } from '../redis/availability.js';
import { keyPrefixOf, type RedisClient } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { wasLost, wasNotSent } from '../redis/lost-connection.js';
import { corkWrites } from '../redis/cork-writes.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import { type FoundKeys, forEachKey, scanPrefix } from '../redis/scan.js';
import { Subscriber } from '../redis/subscriber.js';
import { openTarget } from '../redis/open-target.js';
import type { RedisTarget } from '../redis/target.js';
import { logAvailability } from '../redis/log-availability.js';
import { onConnectionFault } from '../redis/connection-faults.js';
import { WarnOnce } from '../errors/warnings.js';
import { WaitLimit } from '../redis/wait-limit.js';
import { Batches } from './batcher.js';
import { KEEP_TTL, NO_TTL } from './coalesced-merges.js';
import { isEmpty, Lifetimes } from './lifetimes.js';
import { Lines } from './keyed-mutex.js';
import { NearCache } from './near-cache.js';
import { type RedisSessionStoreOptions, resolveStoreOptions } from './options.js';
import { noteUnanswered, SessionSaver, type State, TOMBSTONE_MS, type View } from './save-session.js';
import { SessionCodec, unreadable } from './session-codec.js';
import { isWithoutCookie } from './stored-session.js';
import { Throttle } from './touch-throttle.js';
import { type Noted, STORED_BY_MS, UserSessions } from './user-sessions.js';

type Callback<T = void> = (error?: unknown, result?: T) => void;
type Stored = SessionData & { id: string };

const nothing = (): void => {};
/** what a method with a callback returns */
const NEVER_ASKED: Promise<unknown> = Promise.resolve();

/** What is saved, as it was when the save was asked. */
interface Saving {
  readonly mine: string;
  readonly user: string | undefined;
  readonly ttlMs: number;
  /** a browser goes on to another page at once */
  readonly redirects: boolean;
}

/** Of all sessions: as long as it takes. */
const A_SCAN = { limited: false };

/** A note of a session whose end is not known. */
const A_DAY_MS = 86_400_000;

const statuses: Partial<Record<string, number>> = {
  ERR_INTELLIGENT_SESSION_CONFLICT: 409,
  ERR_INTELLIGENT_SESSION_ARGUMENT: 500,
  ERR_INTELLIGENT_SESSION_SERIALIZE: 500,
};

const touchScript = new Script<number>(loadScript('lib/session/touch.lua'));
const destroyScript = new Script<string | number | null>(loadScript('lib/session/destroy.lua'), 2);

/** One that can't be called would end the process later, where nobody catches. */
function checkCallback(method: string, callback: unknown): void {
  if (callback && typeof callback !== 'function') throw argumentError(method, 'a function, or none', callback);
}

/** Of an id that is no text nothing would be found, and nothing ended. */
function checkUser(method: string, user: unknown): void {
  if (typeof user === 'string') return;
  const { message } = argumentError(method, 'a user, as a text', user);
  throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', message.split(' (ERR_')[0] as string);
}

/** Does the page that saves this session answer with a redirect? */
function isRedirected(session: SessionData): boolean {
  const { req } = session as { req?: { res?: { statusCode?: number } } };
  const status = req?.res?.statusCode ?? 200;
  return status >= 300 && status < 400;
}

/**
 * express-session's store on Redis: JSON under `sess:<sid>` with an expiry, as connect-redis writes it, and its option names.
 * Every method takes a callback, or returns a promise where none is given.
 *
 * Emits `away` (with the reason) when Redis can't be reached and `back` when it can, at first too, whatever `whenAway` says;
 * only with `whenAway: 'pass'` also `disconnect`, upon which express-session passes requests on without a session until `connect`; `created`, `destroyed`, `conflict` (merged, or rejected), `refused`
 * (a save of a session that is gone), `expired` (option), each with the session id; `fault` with an Error that has neither
 * ids nor data in it. `metrics` counts all of these. An `away` or a `fault` that nobody listens to is a warning of the
 * process (docs/errors.md), once.
 */
export class RedisSessionStore extends Store {
  readonly client: RedisClient;
  readonly #target: RedisTarget;
  readonly #metrics = new Metrics();
  readonly #options: ReturnType<typeof resolveStoreOptions>;
  /** of whole keys */
  readonly #prefix: string;
  readonly #endedPrefix: string;
  readonly #codec: SessionCodec;
  readonly #lifetimes: Lifetimes;
  readonly #saver: SessionSaver;
  readonly #near: NearCache | undefined;
  readonly #batches: Batches;
  readonly #users: UserSessions;
  readonly #expired: Subscriber | undefined;
  readonly #states = new WeakMap<object, State>();
  /** faults of the application's that are told once */
  readonly #toldInvalid = new Set<string>();
  /** renewing an expiry by a touch; and until when a session is noted as its user's */
  readonly #renewals = new Throttle();
  readonly #notes = new LRUCache<string, number>({ max: 50_000 });
  readonly #firstSaves = new Lines();
  readonly #availability: Availability;
  readonly #warnings = new WarnOnce();
  readonly #waitLimit: WaitLimit;
  /** what close() waits for */
  readonly #pending: UnfinishedWork;
  #closing: Promise<void> | undefined;
  readonly #count = this.#metrics.counter(
    'intelligent_session_store_total',
    'What happened to sessions: read, near (read from this process), absent, created, saved, conflict, refused, …',
    ['event'],
  );
  /** those of every request, found once */
  readonly #counted = {
    near: this.#count.of('near'),
    read: this.#count.of('read'),
    absent: this.#count.of('absent'),
    saved: this.#count.of('saved'),
    touched: this.#count.of('touched'),
  };

  constructor(options: RedisSessionStoreOptions = {}) {
    super();
    this.#options = resolveStoreOptions(options);
    const { redis, nearCache, expiredEvents, whenAway, maxWaitMs } = this.#options;
    const keyPrefix = keyPrefixOf(redis);
    this.#prefix = keyPrefix + this.#options.prefix;
    this.#endedPrefix = endedPrefix(keyPrefix);
    const onInvalid = (what: string) => this.#tellInvalid(what);
    this.#codec = new SessionCodec(this.#options, this.#prefix, onInvalid);
    this.#lifetimes = new Lifetimes(this.#options, this.#codec.call, onInvalid);
    this.#target = openTarget(redis, maxWaitMs);
    this.client = this.#target.client;
    corkWrites(this.#target);
    this.#pending = new UnfinishedWork(this.client);
    onConnectionFault(this.client, (error) => this.#fault(error));
    this.#availability = new Availability(this.client, maxWaitMs);
    logAvailability(
      this.#availability,
      whenAway === 'pass'
        ? "requests are served without a session (whenAway: 'pass')"
        : "requests that have a session get status 503 (whenAway: 'error')",
      (reason) => this.#closing !== undefined || this.emit('away', reason),
    );
    this.#waitLimit = new WaitLimit(Math.max(maxWaitMs, this.#target.options.commandTimeout ?? 0));
    this.#availability.on('back', () => {
      this.emit('back');
      this.emit('connect');
    });
    // express-session passes requests on without a session from now on
    if (whenAway === 'pass') this.#availability.on('away', () => this.emit('disconnect'));
    this.#batches = new Batches(this.#target);
    this.#saver = new SessionSaver(
      this.#batches,
      this.#codec,
      this.#lifetimes,
      this.#options,
      this.#endedPrefix,
      (sid) => this.#tell('conflict', sid),
    );
    this.#users = new UserSessions(
      this.#target,
      keyPrefix + userSessionsPrefix(this.#options.prefix),
      this.#endedPrefix,
    );
    if (nearCache) this.#near = new NearCache(this.#target, this.#prefix, nearCache);
    this.#near?.on('fault', (error) => this.#fault(error));
    if (expiredEvents) this.#expired = new Subscriber(this.#target, [expiredChannel(this.#target.database)]);
    this.#expired?.on('message', (_channel, key: string) => {
      if (this.#isSession(key)) this.#tell('expired', key.slice(this.#prefix.length));
    });
    this.#expired?.on('fault', (error) => this.#fault(error));
  }

  /** A fault that nobody hears is told once; of a Redis that is away, one line tells all. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const heard = super.emit(event, ...args);
    if (event === 'fault' && !heard) this.#warnings?.unheard(args[0], this.client?.status === 'ready');
    return heard;
  }

  /** A registry of prom-client's, an optional peer: where it is not installed, an error with the code `METRICS`. */
  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  override createSession(...[req, session]: Parameters<Store['createSession']>): ReturnType<Store['createSession']> {
    checkIsObject('createSession', req, 'a request');
    checkIsObject('createSession', session, 'a session');
    if (isWithoutCookie(session)) session.cookie = this.#newCookie(req) ?? session.cookie;
    const created = super.createSession(req, session);
    const state = this.#states.get(session);
    if (state) this.#states.set(created, state);
    return created;
  }

  /** A cookie as express-session makes it for a new session of this request, by the site's options. */
  #newCookie(req: Parameters<Store['createSession']>[0]): SessionData['cookie'] | undefined {
    // express-session's middleware puts it into its store
    const { generate } = this as { generate?: (req: Parameters<Store['createSession']>[0]) => void };
    if (!generate) return undefined;
    // what it puts into the request stays here
    const apart = Object.create(req) as typeof req;
    generate.call(this, apart);
    return apart.session.cookie;
  }

  /** Destroys the session and makes a new one. Without a callback express-session's own would end the process. */
  override regenerate(req: Parameters<Store['regenerate']>[0], callback: (error?: unknown) => void = nothing): void {
    checkIsObject('regenerate', req, 'a request');
    checkCallback('regenerate', callback);
    super.regenerate(req, callback);
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
   * changes, in the same round trip. A session that the page has ended (maxAge 0, a ttl of 0) is destroyed instead; one that
   * is gone stays gone, as does one whose copy has merely expired here and in Redis (event `refused`, no error).
   * Where Redis is away, a new session that holds nothing is no error to the page, but an event `fault`.
   */
  override set(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    const state = this.#states.get(session) ?? {};
    const isObject = typeof session === 'object' && session !== null;
    if (isObject && !state.view) this.#states.set(session, state);
    const save = () => {
      checkIsObject('set', session, 'a session');
      const mine = this.#codec.stringify(session);
      const user = this.#codec.userOf(session);
      const ttlMs = this.#lifetimes.ms(session, state.view?.sid === sid && state.view.read);
      const asked: Saving = { mine, user, ttlMs, redirects: isRedirected(session) };
      const saveNow = () => this.#ready(() => this.#save(sid, state, asked));
      // Saves of one session object stand in line: each goes on from the one before.
      const { saving, sending } = state;
      const inLine = () => (state.view ? saveNow() : this.#firstSaves.join(sid, saveNow));
      let run: Promise<void>;
      if (!saving) run = inLine();
      else if (sending?.sid === sid && sending.user === user && ttlMs > 0)
        run = this.#saveBehind(saving, sending, state, asked, inLine);
      else run = saving.then(inLine, inLine);
      state.saving = run;
      const leave = () => {
        if (state.saving === run) state.saving = undefined;
      };
      run.then(leave, leave);
      return run;
    };
    return this.#settle(callback, save, { forgiving: isObject && !state.view && isEmpty(session) });
  }

  /**
   * Renews the expiry, and the stored cookie's where it has one, at most once in `touchAfter`: PEXPIRE, or one script that
   * never undoes a save which came between. A callback does not wait for it; a fault is an event `fault`.
   */
  override touch(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    const { disableTouch, disableTTL } = this.#options;
    checkCallback('touch', callback);
    const renew = () => {
      checkIsObject('touch', session, 'a session');
      const due = !disableTouch && !disableTTL && this.#renewals.isDue(sid, this.#lifetimes.mark(session));
      return due ? this.#ready(() => this.#renew(sid, session)) : undefined;
    };
    if (!callback) return this.#settle(undefined, renew);
    try {
      const renewed = renew();
      if (renewed) this.#pending.track(renewed.catch((error) => this.#fault(error)));
    } catch (error) {
      this.#fault(error); // of an application's own function: what throws here would leave the response without its end
    }
    process.nextTick(callback, null);
    return NEVER_ASKED as Promise<void>;
  }

  /** One script (destroy.lua), which leaves a tombstone for a minute; HDEL with `user`. */
  override destroy(sid: string, callback?: Callback): Promise<void> {
    // after a first save that is under way here: the session would come after its end
    return this.#settle(callback, () => this.#firstSaves.after(sid, () => this.#ready(() => this.#remove(sid))));
  }

  /** SCAN, and UNLINK in batches, on every master. */
  override clear(callback?: Callback): Promise<void> {
    return this.#settle(
      callback,
      () =>
        this.#ready(async () => {
          for await (const found of this.#scan()) await forEachKey(found, 'unlink');
          if (this.#options.user)
            for await (const { node, keys } of scanPrefix(this.#target, this.#users.prefix, this.#options.scanCount))
              // with a colon it is of a longer prefix
              await forEachKey(
                { node, keys: keys.filter((key) => !key.slice(this.#users.prefix.length).includes(':')) },
                'unlink',
              );
          this.#near?.clear();
        }),
      A_SCAN,
    );
  }

  /** SCAN */
  override length(callback?: Callback<number>): Promise<number> {
    return this.#settle(callback, async () => (await this.#ids()).length, A_SCAN);
  }

  /** The ids of all sessions. SCAN */
  ids(callback?: Callback<string[]>): Promise<string[]> {
    return this.#settle(callback, () => this.#ids(), A_SCAN);
  }

  /** All sessions, each with its id. SCAN, and GET in batches. */
  override all(callback?: Callback<Stored[]>): Promise<Stored[]> {
    return this.#settle(
      callback,
      async () => {
        const found = new Map<string, Stored>();
        for await (const session of this.scanSessions()) found.set(session.id, session);
        return [...found.values()];
      },
      A_SCAN,
    );
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
        this.#needUsers();
        checkUser('sessionsOf', user);
        const sids = await this.#users.of(user);
        const sessions = await Promise.all(sids.map((sid) => this.#stored(sid)));
        return sessions.flatMap((session, i) =>
          session && this.#viewOf(session)?.user === user ? [Object.assign(session, { id: sids[i] as string })] : [],
        );
      }),
    );
  }

  /**
   * Destroys a user's sessions, all or all but some: how many. HKEYS (in a Cluster in a script that tells later notes), and as
   * many GETs and destroy() as there are sessions. One that can't be read is destroyed too; one that is another's by now is
   * not.
   */
  destroyAllOf(user: string, options?: { except?: string | readonly string[] | undefined }): Promise<number> {
    return this.#settle(undefined, () =>
      this.#ready(async () => {
        checkUser('destroyAllOf', user);
        const { except = [] } = optionsOf('destroyAllOf', options);
        const kept = new Set(typeof except === 'string' ? [except] : except);
        this.#needUsers();
        const sids = (await this.#users.ending(user, [...kept])).filter((sid) => !kept.has(sid));
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
    checkIsObject('ttlSeconds', session, 'a session');
    return Math.ceil(this.#lifetimes.ms(session, returning) / 1000);
  }

  /**
   * Waits for what is under way, at most `timeout` ms (5000) and not at all where Redis is away; then closes the connections.
   * Can be called twice. What begins later fails: close the HTTP server first.
   */
  close(options?: { timeout?: number | undefined }): Promise<void> {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    await this.#pending.settled(timeoutMs);
    this.#near?.close();
    this.#expired?.close();
    endConnection(this.client);
  }

  async #save(sid: string, state: State, { mine, user, ttlMs, redirects }: Saving): Promise<void> {
    const view = state.view?.sid === sid ? state.view : undefined;
    // A copy that has run out says nothing of the session, which another request may have renewed.
    if (ttlMs <= 0 && !(view && (await this.#ranOut(mine, view)))) return this.#remove(sid);
    const key = this.#key(sid);
    const liveMs = ttlMs > 0 ? ttlMs : A_DAY_MS;
    const another = user !== undefined && user !== view?.user;
    // The note is sent first and the session right behind it: neither waits for the other's answer.
    const noting = user === undefined ? undefined : this.#note(user, sid, liveMs, another);
    this.#near?.forget(key);
    const saved: View = {
      ...{ sid, base: mine, held: mine, raw: this.#codec.seal(sid, mine) },
      ...{ read: view?.read ?? false, user, since: Date.now() },
    };
    const saving = this.#saver.save(key, saved, state, this.#saver.ttlOf(ttlMs), another || redirects);
    // A browser follows a redirect as soon as it has the answer's head, which express-session writes right after this.
    if (!view || another || redirects) this.#batches.flushWrites();
    const [note, stored] = await Promise.allSettled([noting, saving]);
    this.#near?.forget(key);
    if (stored.status === 'rejected') throw stored.reason;
    if (stored.value === 'unreadable') return void this.#unreadable();
    if (stored.value === 'gone') return this.#refuse(sid, user);
    if (note.status === 'rejected') {
      if (!another)
        this.#fault(note.reason); // it is noted from before, and due again
      else {
        await this.#undo(key, saved, state, view);
        throw note.reason;
      }
    }
    if (!view) this.#tell('created', sid);
    this.#saved(state, saved);
    let noted = note.status === 'fulfilled' ? note.value : undefined;
    if (another && noted?.tooLate) return this.#remove(sid);
    // a note of one who is no longer its user stays till it ends: readers ask the session whose it is
    if (saved.user !== user) noted = await this.#note(saved.user, sid, liveMs, true);
    const { maxSessionsPerUser: most } = this.#options;
    if (noted && most !== undefined && saved.user !== undefined && saved.user !== view?.user) {
      const over = await this.#users.over(saved.user, noted.sessions, most, (one) => this.#ownerOf(one));
      // its own not by destroy(), which waits for this save
      await Promise.all(over.map((one) => (one === sid ? this.#remove(one) : this.destroy(one))));
    }
  }

  /**
   * A save while the one before it has no answer yet: it goes right behind it, upon what that one writes, so that a redirect
   * finds it. Where that one fails, or is merged, it is made again in its turn.
   */
  async #saveBehind(
    before: Promise<void>,
    { sid, raw, read }: View,
    state: State,
    { mine, user, ttlMs, redirects }: Saving,
    inLine: () => Promise<void>,
  ): Promise<void> {
    const key = this.#key(sid);
    const saved = { sid, base: mine, held: mine, raw: this.#codec.seal(sid, mine), read, user, since: Date.now() };
    const sent = this.#saver.saveOver(key, raw, saved, state, this.#saver.ttlOf(ttlMs));
    if (redirects) this.#batches.flushWrites();
    const [first, second] = await Promise.allSettled([before, sent]);
    this.#near?.forget(key);
    if (second.status === 'rejected' && wasNotSent(second.reason)) return inLine();
    if (second.status === 'rejected' || first.status === 'rejected') noteUnanswered(state, saved);
    if (second.status === 'rejected') throw second.reason;
    if (first.status === 'rejected' || !second.value) return inLine();
    this.#saved(state, saved);
  }

  #saved(state: State, saved: View): void {
    this.#counted.saved.inc();
    state.view = saved;
    state.unanswered = [];
    // a page that saves before its end has not moved its cookie yet: the touch at its end is due
    this.#renewals.forget(saved.sid);
  }

  /** Takes a save back that could not be noted as its user's: destroyAllOf() would not find it. */
  async #undo(key: string, saved: View, state: State, view: View | undefined): Promise<void> {
    noteUnanswered(state, saved);
    if (view) await this.#batches.save(key, saved.raw, view.raw, this.#options.disableTTL ? NO_TTL : KEEP_TTL);
    else await this.#batches.inOrder.unlink(key);
    this.#near?.forget(key);
  }

  async #ranOut(mine: string, view: View): Promise<boolean> {
    const [own, base, held] = await Promise.all([mine, view.base, view.held].map((text) => this.#codec.read(text)));
    return this.#lifetimes.ranOut(own?.cookie, [base?.cookie, held?.cookie], view.since);
  }

  async #refuse(sid: string, user: string | undefined): Promise<void> {
    this.#near?.forget(this.#key(sid));
    if (user !== undefined) await this.#users.forget(user, sid);
    this.#notes.delete(sid);
    this.#tell('refused', sid);
  }

  async #renew(sid: string, session: SessionData): Promise<void> {
    const ttlMs = this.#lifetimes.ms(session, true);
    const view = this.#viewOf(session);
    if (ttlMs <= 0) {
      const ranOut = view?.sid === sid && (await this.#ranOut(this.#codec.stringify(session), view));
      return ranOut ? undefined : this.#remove(sid);
    }
    this.#renewals.done(sid, this.#lifetimes.mark(session), this.#lifetimes.touchAfterMs(ttlMs));
    try {
      if (!(await this.#move(sid, session, ttlMs))) return;
    } catch (error) {
      this.#renewals.forget(sid);
      throw error;
    }
    this.#counted.touched.inc();
    await this.#note(view?.user, sid, ttlMs, false);
  }

  /** Moves a session's end, and its stored cookie where it has one; false where it is gone, or another's save stands there. */
  async #move(sid: string, session: SessionData, ttlMs: number): Promise<boolean> {
    const key = this.#key(sid);
    const known = this.#viewOf(session);
    const view = known?.sid === sid ? known : undefined;
    const raw = view?.raw ?? (await this.#batches.get(key));
    const held = view?.held ?? (raw === null ? undefined : this.#codec.open(sid, raw));
    if (raw === null || held === undefined) return false;
    const stored = await this.#codec.read(held);
    if (!session.cookie?.expires && !stored.cookie?.expires)
      return (await this.#batches.inOrder.pexpire(key, ttlMs)) === 1;
    const text = this.#codec.stringify({ ...stored, cookie: session.cookie });
    const moved = this.#codec.seal(sid, text);
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
    const reply = await this.#end(key);
    const there = reply !== null && reply !== 0;
    const session = typeof reply === 'string' ? await this.#parse(sid, reply) : null;
    const user = session ? this.#viewOf(session)?.user : undefined;
    if (user !== undefined) await this.#users.forget(user, sid);
    this.#near?.forget(key);
    if (there) this.#tell('destroyed', sid);
  }

  /** Removes a session and leaves a tombstone: what was there, with `user`, else how many. */
  async #end(key: string): Promise<string | number | null> {
    const client = this.#batches.inOrder;
    const wanted = this.#options.user !== undefined;
    const tombstone = besideKey(this.#endedPrefix, key);
    try {
      return await destroyScript.eval(client, [key, tombstone, TOMBSTONE_MS, wanted ? 1 : 0]);
    } catch (error) {
      // who may not write a tombstone logs out all the same
      if (!(error instanceof Error && /^(NOPERM|CROSSSLOT)/.test(error.message))) throw error;
      this.#tellInvalid(
        'this Redis user may not write the keys "ended:*": a save that got no answer may undo a logout',
      );
      return wanted ? client.getdel(key) : client.unlink(key);
    }
  }

  /** Notes a session as its user's till after its end, now or when it is due: all that the user has, if it did. */
  async #note(user: string | undefined, sid: string, ttlMs: number, now: boolean): Promise<Noted | undefined> {
    const endsMs = Date.now() + ttlMs + STORED_BY_MS;
    if (user === undefined || !(now || (this.#notes.get(sid) ?? 0) < endsMs)) return undefined;
    const afterMs = this.#lifetimes.touchAfterMs(ttlMs);
    // saves and touches move the session's end without a note for so long
    const noteMs = this.#options.disableTTL ? 0 : Math.ceil(ttlMs + afterMs + STORED_BY_MS);
    const noted = await this.#users.note(user, sid, noteMs, now);
    this.#notes.set(sid, endsMs + afterMs);
    if (noted.isNewer) this.#fault(newerVersion('some of what is noted of a user’s sessions'));
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

  #needUsers(): void {
    if (!this.#options.user)
      throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', 'RedisSessionStore has no option "user"');
  }

  #key(sid: string): string {
    if (typeof sid === 'symbol') throw argumentError('store', "a session's id, a text", sid);
    return sessionKey(this.#prefix, sid);
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
    const text = this.#codec.open(sid, raw);
    if (text === undefined) return this.#unreadable();
    const known = (session: SessionData | null) => {
      if (session === null) return this.#unreadable();
      const user = this.#codec.userOf(session);
      const view = { sid, base: text, held: text, raw, read: true, user, since: Date.now() };
      this.#states.set(session, { view });
      return session;
    };
    let session: SessionData | Promise<SessionData>;
    try {
      session = this.#codec.parse(text);
    } catch {
      return this.#unreadable();
    }
    return session instanceof Promise ? session.catch(() => null).then(known) : known(session);
  }

  #unreadable(): null {
    this.#count.of('unreadable').inc();
    this.emit('fault', unreadable());
    return null;
  }

  /** What an application's own function or cookie says that makes no sense: counted each time, told once. */
  #tellInvalid(what: string): void {
    this.#count.of('invalid').inc();
    if (this.#toldInvalid.has(what)) return;
    this.#toldInvalid.add(what);
    this.#fault(new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', `RedisSessionStore: ${what}`));
  }

  #ids(): Promise<string[]> {
    return this.#ready(async () => {
      const all = new Set<string>();
      for await (const { keys } of this.#scan()) for (const key of keys) all.add(key);
      return Array.from(all, (key) => key.slice(this.#prefix.length));
    });
  }

  #isSession(key: string): boolean {
    return (
      key.startsWith(this.#prefix) &&
      !key.startsWith(this.#users.prefix) &&
      (this.#prefix.startsWith(this.#endedPrefix) || !key.startsWith(this.#endedPrefix))
    );
  }

  async *#scan(): AsyncGenerator<FoundKeys> {
    for await (const { node, keys } of scanPrefix(this.#target, this.#prefix, this.#options.scanCount))
      yield { node, keys: keys.filter((key) => this.#isSession(key)) };
  }

  #tell(event: 'created' | 'destroyed' | 'conflict' | 'refused' | 'expired', sid: string): void {
    this.#count.of(event).inc();
    this.#codec.call(() => this.emit(event, sid));
  }

  /** Told, counted, and as the page gets it. What an application's own function threw stays as it is. */
  #fault(cause: unknown): Error {
    const theirs = cause instanceof Error && this.#codec.threw(cause);
    const error = theirs ? applicationFault(cause) : redisFault(cause);
    if (!theirs) Object.assign(error, { status: statuses[(error as IntelligentSessionError).code] ?? 503 });
    this.#count.of('fault').inc();
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

  #settle<T>(
    callback: Callback<T> | undefined,
    work: () => T | Promise<T>,
    { forgiving = false, limited = true }: { forgiving?: boolean; limited?: boolean } = {},
  ): Promise<T> {
    checkCallback('store', callback);
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
    this.#pending.track(result);
    if (!callback) {
      const safe = result.catch((cause) => {
        throw this.#fault(cause);
      });
      // A promise that nobody looks at (req.session.destroy() without a callback) must not end the process: `fault` tells.
      safe.catch(nothing);
      return safe;
    }
    // A page waits no longer than the option says, however many commands, connections and saves before its own that takes.
    let waits = true;
    const fail = (cause: unknown) => {
      waits = false;
      const error = this.#fault(cause);
      process.nextTick(callback, forgiving ? null : error);
    };
    const late = () => fail(new Error(`no answer within ${this.#waitLimit.limitMs} ms`));
    const arrived = limited ? this.#waitLimit.begin(late) : nothing;
    // Outside the promise: what a callback throws is its own, and it is called once.
    result.then(
      (value) => {
        arrived();
        if (waits) process.nextTick(callback, null, value);
      },
      (cause) => {
        arrived();
        if (waits) fail(cause);
      },
    );
    return NEVER_ASKED as Promise<T>;
  }
}
