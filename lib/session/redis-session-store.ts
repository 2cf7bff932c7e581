import { type SessionData, Store } from 'express-session';
import type { Redis } from 'ioredis';
import * as v from 'valibot';
import { checkOptions, func, whole } from '../check-options.js';
import { redisFault } from '../errors.js';
import { sessionKey } from '../keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import { connect, defaultRedis, type RedisOption, whenReady } from '../redis/connect.js';

type Callback<T = void> = (error?: unknown, result?: T) => void;
type Stored = SessionData & { id: string };

export interface RedisSessionStoreOptions {
  /** Where Redis is. @default REDIS_URL, or redis://127.0.0.1:6379 */
  readonly redis?: RedisOption;
  /** Stands before each session's key. @default 'sess:' */
  readonly prefix?: string;
  /** Seconds to keep a session whose cookie has no expiry: a number, or a function of the session. @default 86400 */
  readonly ttl?: number | ((session: SessionData) => number);
  /** Seconds to keep a new session that holds nothing, until its cookie comes back. @default 600 */
  readonly newSessionTtl?: number;
  /** Keys asked for in one SCAN. @default 100 */
  readonly scanCount?: number;
}

const schema = v.strictObject({
  redis: v.optional(v.any(), defaultRedis),
  prefix: v.optional(v.string(), 'sess:'),
  ttl: v.optional(v.union([whole(1), func<(session: SessionData) => number>()]), 86_400),
  newSessionTtl: v.optional(whole(1), 600),
  scanCount: v.optional(whole(1, 100_000), 100),
});

/** Does a session hold nothing but its cookie? */
const isEmpty = (session: SessionData): boolean => Object.keys(session).every((key) => key === 'cookie');

const compareAndTouch = new Script<number>(loadScript('../scripts/touch.lua', import.meta.url), 1);

/** How long the first command may wait for the first connection. */
const READY_MS = 250;

/**
 * express-session's store on Redis: JSON under `sess:<sid>` with an expiry, as connect-redis writes it.
 * Every method takes a callback, and returns a promise where none is given. Emits `connect` and `disconnect` with the
 * connection, so that express-session passes requests on without a session while Redis is away.
 */
export class RedisSessionStore extends Store {
  readonly client: Redis;
  readonly #options: ReturnType<typeof RedisSessionStore.resolve>;
  /** Sessions that were read: their cookie has come back. */
  readonly #returning = new WeakSet<object>();

  constructor(options: RedisSessionStoreOptions = {}) {
    super();
    this.#options = RedisSessionStore.resolve(options);
    this.client = connect(this.#options.redis, 'commands');
    this.client.on('ready', () => this.emit('connect'));
    this.client.on('close', () => this.emit('disconnect'));
  }

  private static resolve(options: RedisSessionStoreOptions) {
    return checkOptions(schema, options, 'RedisSessionStore');
  }

  override createSession(...[req, session]: Parameters<Store['createSession']>): ReturnType<Store['createSession']> {
    const created = super.createSession(req, session);
    this.#returning.add(created);
    return created;
  }

  /** GET */
  override get(sid: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    return this.#settle(callback, async () => {
      const text = await this.client.get(this.#key(sid));
      return text === null ? null : (JSON.parse(text) as SessionData);
    });
  }

  /**
   * SET with PX; a session that has expired is destroyed instead. Where Redis is away, a session that holds nothing is
   * no error to the page (nothing is lost), but an event `fault`.
   */
  override set(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    const save = async () => {
      const ttlMs = this.#ttlMs(session);
      if (ttlMs <= 0) await this.client.unlink(this.#key(sid));
      else await this.client.set(this.#key(sid), JSON.stringify(session), 'PX', ttlMs);
    };
    return this.#settle(callback, save, isEmpty(session));
  }

  /**
   * Renews the expiry, and the stored cookie's where it has one: PEXPIRE, or GET and a script that never undoes a
   * save which came between. A fault of Redis is an event `fault`: express-session would break the page for it.
   */
  override touch(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    const renew = async () => {
      const ttlMs = this.#ttlMs(session, true);
      if (ttlMs <= 0) {
        await this.client.unlink(this.#key(sid));
        return;
      }
      if (!session.cookie?.expires) {
        await this.client.pexpire(this.#key(sid), ttlMs);
        return;
      }
      const text = await this.client.get(this.#key(sid));
      if (text === null) return;
      const stored = { ...(JSON.parse(text) as SessionData), cookie: session.cookie };
      await compareAndTouch.run(this.client, [this.#key(sid), text, JSON.stringify(stored), ttlMs]);
    };
    return this.#settle(callback, renew, true);
  }

  /** UNLINK */
  override destroy(sid: string, callback?: Callback): Promise<void> {
    return this.#settle(callback, async () => {
      await this.client.unlink(this.#key(sid));
    });
  }

  /** SCAN, and UNLINK in batches. */
  override clear(callback?: Callback): Promise<void> {
    return this.#settle(callback, async () => {
      for await (const keys of this.#scan()) await this.client.unlink(...keys);
    });
  }

  /** SCAN */
  override length(callback?: Callback<number>): Promise<number> {
    return this.#settle(callback, async () => (await this.#keys()).size);
  }

  /** The ids of all sessions. SCAN */
  ids(callback?: Callback<string[]>): Promise<string[]> {
    return this.#settle(callback, async () =>
      [...(await this.#keys())].map((key) => key.slice(this.#options.prefix.length)),
    );
  }

  /** All sessions, each with its id. SCAN, and MGET in batches. */
  override all(callback?: Callback<Stored[]>): Promise<Stored[]> {
    return this.#settle(callback, async () => {
      const keys = [...(await this.#keys())];
      const sessions: Stored[] = [];
      for (let i = 0; i < keys.length; i += this.#options.scanCount) {
        const batch = keys.slice(i, i + this.#options.scanCount);
        const texts = await this.client.mget(batch);
        texts.forEach((text, at) => {
          const id = (batch[at] as string).slice(this.#options.prefix.length);
          if (text !== null) sessions.push({ ...(JSON.parse(text) as SessionData), id });
        });
      }
      return sessions;
    });
  }

  /** Seconds that this session has left, rounded up: what its intelligence is kept for. */
  ttlSeconds(session: SessionData, returning = false): number {
    return Math.ceil(this.#ttlMs(session, returning) / 1000);
  }

  /** Closes the connection. Can be called twice. */
  async close(): Promise<void> {
    this.client.disconnect();
  }

  #key(sid: string): string {
    return sessionKey(this.#options.prefix, sid);
  }

  #ttlMs(session: SessionData, returning = this.#returning.has(session)): number {
    const { ttl, newSessionTtl } = this.#options;
    const { expires } = session.cookie ?? {};
    const ms = expires
      ? new Date(expires).getTime() - Date.now()
      : (typeof ttl === 'function' ? ttl(session) : ttl) * 1000;
    const provisional = !returning && isEmpty(session);
    return Math.floor(provisional ? Math.min(ms, newSessionTtl * 1000) : ms);
  }

  async #keys(): Promise<Set<string>> {
    const all = new Set<string>();
    for await (const keys of this.#scan()) for (const key of keys) all.add(key);
    return all;
  }

  async *#scan(): AsyncGenerator<string[]> {
    const match = `${this.#options.prefix.replace(/[*?[\]\\^-]/g, '\\$&')}*`;
    let cursor = '0';
    do {
      const [next, keys] = await this.client.scan(cursor, 'MATCH', match, 'COUNT', this.#options.scanCount);
      cursor = next;
      if (keys.length > 0) yield keys;
    } while (cursor !== '0');
  }

  #settle<T>(callback: Callback<T> | undefined, work: () => Promise<T>, forgiving = false): Promise<T> {
    const result = this.client.status === 'ready' ? work() : whenReady(this.client, READY_MS).then(work);
    const safe = result.catch((error) => {
      this.emit('fault', redisFault(error));
      if (forgiving && callback) return undefined as T;
      throw redisFault(error);
    });
    if (!callback) return safe;
    // Outside the promise: what a callback throws is its own, and it is called once.
    safe.then(
      (value) => setImmediate(callback, null, value),
      (error) => setImmediate(callback, error),
    );
    return safe.catch(() => undefined as T);
  }
}
