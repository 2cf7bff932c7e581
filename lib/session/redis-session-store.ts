import { type SessionData, Store } from 'express-session';
import { WarnOnce } from '../errors/warnings.js';
import type { PromRegistry } from '../metrics/metrics.js';
import { checkIsObject, optionsOf } from '../options/check-arguments.js';
import type { RedisClient } from '../redis/client.js';
import { corkWrites } from '../redis/cork-writes.js';
import { endConnection } from '../redis/end-connection.js';
import { wasLost } from '../redis/lost-connection.js';
import { openTarget } from '../redis/open-target.js';
import type { Subscriber } from '../redis/subscriber.js';
import type { RedisTarget } from '../redis/target.js';
import { onConnectionFault } from '../redis/connection-faults.js';
import { CLOSE_TIMEOUT_MS } from '../redis/unfinished-work.js';
import { asThrown, callApplication, throwingAsThrown } from './application-functions.js';
import { assembleStore } from './assemble-store.js';
import { watchExpiredSessions } from './expired-sessions.js';
import { generateFor, onGenerated } from './generate-session.js';
import { type RedisSessionStoreOptions, resolveStoreOptions } from './options.js';
import { type Callback, checkCallback, GIVEN_TO_CALLBACK, StoreCalls } from './store-calls.js';
import { watchStoreAvailability } from './store-availability.js';
import { StoreEvents } from './store-events.js';
import type { RotationTimes } from './session-rotation.js';
import type { SubjectHooks } from './session-subjects.js';
import { isWithoutCookie } from './stored-session.js';

type SessionWithId = SessionData & { id: string };

/** For methods that scan all sessions: option `maxWaitMs` does not limit them. */
const UNLIMITED = { limited: false };

/**
 * express-session's store on Redis: JSON under `sess:<sid>` with an expiry, as connect-redis writes it, and its option names.
 * A method that takes a callback returns a promise where none is given, but for regenerate().
 *
 * Emits, each with the session's id: `created`, `destroyed`, `conflict` (merged, or rejected), `refused` (a save of a session
 * that is gone), `expired` (with option `expiredEvents`), and `ended`: a session is about to be removed, by destroy(), by its
 * page or by the limit of its user's sessions, or has expired (with option `expiredEvents`); its second argument is the subject
 * whose data end with it, and its third, where that is known, the subject of who had the session.
 * Emits `away` (with the reason) when Redis can't be reached and `back` when it can, at first too, whatever `whenAway` says;
 * only with `whenAway: 'pass'` also `disconnect`, upon which express-session passes requests on without a session until
 * `connect`. Emits `fault` with an Error that has neither ids nor data in it. An `away` or a `fault` that nobody listens to is a
 * warning of the process (docs/errors.md), once. `metrics` counts what happens to sessions, and faults.
 */
export class RedisSessionStore extends Store {
  readonly client: RedisClient;
  readonly #target: RedisTarget;
  readonly #events = new StoreEvents((event, ...args) => this.emit(event, ...args));
  readonly #warnings = new WarnOnce();
  readonly #calls: StoreCalls;
  readonly #layers: ReturnType<typeof assembleStore>;
  readonly #expired: Subscriber | undefined;
  #closing: Promise<void> | undefined;

  constructor(given: RedisSessionStoreOptions = {}) {
    super();
    const options = resolveStoreOptions(given);
    const { redis, expiredEvents, maxWaitMs } = options;
    this.#target = openTarget(redis, maxWaitMs);
    this.client = this.#target.client;
    corkWrites(this.#target);
    onConnectionFault(this.client, (error) => this.#events.fault(error));
    const availability = watchStoreAvailability(this, options, () => this.#closing !== undefined);
    // a longer `commandTimeout` of the caller's own client counts instead of `maxWaitMs`
    const waitMs = Math.max(maxWaitMs, this.#target.options.commandTimeout ?? 0);
    this.#calls = new StoreCalls(availability, waitMs, (error) => this.#events.fault(error));
    this.#layers = assembleStore(options, this.#target, this.#calls, this.#events);
    if (this.#layers.lifetimes.absolute.isLimited) this.#beginWhenGenerated();
    if (expiredEvents) this.#expired = watchExpiredSessions(this.#target, this.#layers.keys, this.#events);
  }

  /** Warns, once, of a fault that nobody listens to. While Redis is away its faults bring no warning: `away` has told. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const heard = super.emit(event, ...args);
    if (event === 'fault' && !heard) this.#warnings?.unheard(args[0], this.client?.status === 'ready');
    return heard;
  }

  /** A registry of prom-client, an optional peer. Where that is not installed, throws ERR_INTELLIGENT_SESSION_METRICS. */
  get metrics(): PromRegistry {
    return this.#events.registry;
  }

  override createSession(...[req, session]: Parameters<Store['createSession']>): ReturnType<Store['createSession']> {
    checkIsObject('createSession', req, 'a request');
    checkIsObject('createSession', session, 'a session');
    if (isWithoutCookie(session)) session.cookie = generateFor(this, req)?.session.cookie ?? session.cookie;
    const { rotation, states } = this.#layers;
    // From here on a session that was read by an old id has its newer one, and express-session sets the cookie anew.
    if (rotation.cookieIdOf(session) !== undefined) req.sessionID = states.snapshotOf(session)?.sid ?? req.sessionID;
    const created = super.createSession(req, session);
    states.share(session, created);
    rotation.arrived(session, created);
    this.#layers.lifetimes.absolute.watchCookie(created);
    return created;
  }

  /** Destroys the session and makes a new one. express-session's own calls a callback even where none is given. */
  override regenerate(req: Parameters<Store['regenerate']>[0], callback: (error?: unknown) => void = () => {}): void {
    checkIsObject('regenerate', req, 'a request');
    checkCallback(callback);
    const replaced = this.#layers.subjects.replacing(req);
    super.regenerate(req, (error?: unknown) => {
      replaced(error);
      callback(error);
    });
  }

  /** For intelligentSession(): says whose data end with a session, and keeps those of a visitor whose session is replaced. */
  useSubjects(hooks: SubjectHooks): void {
    this.#layers.subjects.use(hooks);
  }

  /** For intelligentSession(): sessions get another id by themselves. */
  useRotation(times: RotationTimes): void {
    this.#layers.rotation.use(times);
  }

  /** For intelligentSession(): gives a request's session another id where that is due, and calls back, also where it failed. */
  rotate(req: Parameters<Store['createSession']>[0], done: () => void): void {
    const { rotation } = this.#layers;
    const { session, sessionID } = req;
    const endOldId = rotation.endingOldId(session, sessionID);
    if (endOldId) this.#calls.runInBackground(endOldId);
    if (!rotation.isDue(session, sessionID)) return done();
    const rotate = () => {
      const newId = callApplication(() => generateFor(this, req)?.sessionID); // by the application's genid()
      return this.#calls.whenConnected(() => rotation.rotate(session, newId));
    };
    const rotated: Callback<SessionData | null> = (_error, moved) => {
      if (moved && req.session === session) this.createSession(req, moved);
      done();
    };
    void this.#calls.run(rotated, rotate);
  }

  /** For intelligentSession(): the id in a request's cookie, where its session was found under a newer id. */
  cookieIdOf(session: SessionData): string | undefined {
    return this.#layers.rotation.cookieIdOf(session);
  }

  /** GET, or no command where the near cache has it. What can't be read (damaged, another secret) counts as not there. */
  override get(sid: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    return this.#calls.run(callback, () => {
      const { records, rotation } = this.#layers;
      const cached = records.cached(sid);
      const load = async () => (await records.load(sid)) ?? rotation.follow(sid);
      return cached === undefined
        ? this.#calls.whenConnected(rotation.inUse ? load : () => records.load(sid), wasLost)
        : cached;
    });
  }

  /**
   * One script where the session was read (see save.lua), SET where it is new; with `user`, another script when the user
   * changes, in the same round trip. A session that the page has ended (maxAge 0, a ttl of 0) is destroyed instead; one that
   * is gone stays gone, as does one whose copy has merely expired here and in Redis (event `refused`, no error).
   * Where Redis is away, a new session that holds nothing is no error to the page, but an event `fault`.
   */
  override set(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    const { rotation } = this.#layers;
    if (rotation.isUnchanged(session)) return this.touch(sid, session, callback);
    const hidesError = this.#layers.saver.isNewAndEmpty(session);
    const save = () => {
      checkIsObject('set', session, 'a session');
      this.#layers.subjects.saving(session);
      return this.#layers.saver.save(rotation.idOf(session, sid), session);
    };
    return this.#calls.run(callback, save, { hidesError });
  }

  /**
   * Renews the expiry, and the stored cookie's where it has one, at most once in `touchAfter`: PEXPIRE, or one script that
   * never undoes a save which came between. A callback does not wait for it; a fault is an event `fault`.
   */
  override touch(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    checkCallback(callback);
    let touch = (): Promise<void> | undefined => {
      checkIsObject('touch', session, 'a session');
      const id = this.#layers.rotation.idOf(session, sid);
      if (!this.#layers.toucher.isDue(id, session)) return undefined;
      return this.#calls.whenConnected(() => this.#layers.toucher.touch(id, session));
    };
    try {
      // The session's hidden fields were changed, which express-session does not see: they have to be saved.
      if (typeof session === 'object' && session !== null && this.#layers.subjects.saving(session))
        return this.#calls.run(callback, () =>
          this.#layers.saver.save(this.#layers.rotation.idOf(session, sid), session),
        );
    } catch (error) {
      touch = () => Promise.reject(error);
    }
    if (!callback) return this.#calls.run(undefined, touch) as Promise<void>;
    this.#calls.runInBackground(touch);
    process.nextTick(callback, null);
    return GIVEN_TO_CALLBACK as Promise<void>;
  }

  /** One script (destroy.lua), which leaves a tombstone for a minute; HDEL with `user`. */
  override destroy(sid: string, callback?: Callback): Promise<void> {
    return this.#calls.run(callback, () => this.#layers.remover.destroy(sid));
  }

  /** SCAN, and UNLINK in batches, on every master. */
  override clear(callback?: Callback): Promise<void> {
    const clear = async () => {
      await this.#layers.records.clear();
      await this.#layers.owners.clear();
    };
    return this.#calls.run(callback, () => this.#calls.whenConnected(clear), UNLIMITED);
  }

  /** SCAN */
  override length(callback?: Callback<number>): Promise<number> {
    return this.#calls.run(callback, async () => (await this.#ids()).length, UNLIMITED);
  }

  /** The ids of all sessions. SCAN */
  ids(callback?: Callback<string[]>): Promise<string[]> {
    return this.#calls.run(callback, () => this.#ids(), UNLIMITED);
  }

  /** All sessions, each with its id. SCAN, and GET in batches. */
  override all(callback?: Callback<SessionWithId[]>): Promise<SessionWithId[]> {
    const all = async () => {
      await this.#connected();
      const byId = new Map<string, SessionWithId>();
      for await (const session of this.#layers.records.scanSessions()) byId.set(session.id, session);
      return [...byId.values()];
    };
    return this.#calls.run(callback, all, UNLIMITED);
  }

  /** The ids one by one, without holding them all; SCAN may give one twice. */
  async *scanIds(): AsyncGenerator<string, void, undefined> {
    await this.#connected();
    for await (const sids of this.#layers.records.scan()) yield* sids;
  }

  /** The sessions one by one, without holding them all; SCAN may give one twice. */
  async *scanSessions(): AsyncGenerator<SessionWithId, void, undefined> {
    await this.#connected();
    try {
      yield* this.#layers.records.scanSessions();
    } catch (error) {
      throw asThrown(error);
    }
  }

  /** A user's sessions, each with its id; the user is what option `user` gives. HKEYS, then a GET each. Needs that option. */
  sessionsOf(user: string | number): Promise<SessionWithId[]> {
    return this.#calls.run(undefined, () => this.#calls.whenConnected(() => this.#layers.owners.sessionsOf(user)));
  }

  /**
   * Destroys a user's sessions but those in `except`, and gives their number. HKEYS (in a Cluster end-user-sessions.lua), and
   * as many GETs and destroy() as there are sessions. A session that can't be read is destroyed too; one that is another user's
   * by now is not.
   */
  destroyAllOf(user: string | number, options?: { except?: string | readonly string[] | undefined }): Promise<number> {
    return this.#calls.run(undefined, () => {
      const { except = [] } = optionsOf('destroyAllOf', options);
      const kept = new Set(typeof except === 'string' ? [except] : except);
      const destroy = (sid: string) => this.#layers.remover.destroy(sid);
      return this.#calls.whenConnected(() => this.#layers.owners.destroyAllOf(user, kept, destroy));
    });
  }

  /** For intelligentSession(): which of these sessions are gone. An EXISTS for 500 of them; in a Cluster one for each. */
  missingOf(sids: readonly string[]): Promise<string[]> {
    return this.#calls.run(undefined, () => this.#calls.whenConnected(() => this.#layers.records.missingOf(sids)));
  }

  /** Seconds that this session has left, rounded up: intelligence is kept as long. `returning`: has its cookie come back? */
  ttlSeconds(session: SessionData, returning = false): number {
    checkIsObject('ttlSeconds', session, 'a session');
    return throwingAsThrown(() => Math.ceil(this.#layers.lifetimes.ms(session, returning) / 1000));
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
    await this.#calls.ended(timeoutMs);
    this.#layers.records.close();
    this.#expired?.close();
    endConnection(this.client);
  }

  /** Waits for a connection only, so that a scan which fails half-way is not begun again. */
  #connected(): Promise<void> {
    return this.#calls.whenConnected(async () => {});
  }

  #ids(): Promise<string[]> {
    return this.#calls.whenConnected(async () => {
      const sids = new Set<string>();
      for await (const found of this.#layers.records.scan()) for (const sid of found) sids.add(sid);
      return [...sids];
    });
  }

  /** The lifetime of a new session begins when express-session makes it, and its cookie ends with it. */
  #beginWhenGenerated(): void {
    const { absolute } = this.#layers.lifetimes;
    onGenerated(this, (session) => {
      absolute.begin(session);
      absolute.watchCookie(session);
    });
  }
}
