import type { SessionData } from 'express-session';
import { LRUCache } from 'lru-cache';
import { describeValue } from '../options/check-options.js';
import { IntelligentSessionError, newerVersion } from '../errors/errors.js';
import { userIdOf } from '../intelligence/command/subject.js';
import { forEachKey, scanPrefix } from '../redis/scan.js';
import type { Lifetimes } from './lifetimes.js';
import type { resolveStoreOptions } from './options.js';
import type { SessionRecords } from './session-records.js';
import { type Noted, STORED_BY_MS, UserSessions } from './user-sessions.js';

type Options = Pick<
  ReturnType<typeof resolveStoreOptions>,
  'user' | 'itemSecret' | 'maxSessionsPerUser' | 'disableTTL' | 'scanCount'
>;

const MAX_REMEMBERED = 50_000;

/**
 * Which sessions belong to which user. Redis has a note of each session that belongs to one (user-sessions.lua); a note says
 * where to look, and the stored session says whose it is.
 */
export class SessionOwners {
  readonly #users: UserSessions;
  /** Session id to when its note has to be renewed, ms since 1970. */
  readonly #notedUntil = new LRUCache<string, number>({ max: MAX_REMEMBERED });

  constructor(
    readonly records: SessionRecords,
    readonly lifetimes: Lifetimes,
    readonly options: Options,
  ) {
    const { target, keys } = records;
    this.#users = new UserSessions(target, keys.usersPrefix, keys.endedPrefix, options.itemSecret);
  }

  /**
   * Notes a session as its user's until after its end, at once where it is `new` and else when its note has to be renewed.
   * Gives all sessions that the user then has, if a note was made.
   */
  async note(
    user: string | undefined,
    sid: string,
    ttlMs: number,
    { isNew }: { isNew: boolean },
  ): Promise<Noted | undefined> {
    const endsAt = Date.now() + ttlMs + STORED_BY_MS;
    if (user === undefined || !(isNew || (this.#notedUntil.get(sid) ?? 0) < endsAt)) return undefined;
    // For so long, saves and touches may move the session's end without a note.
    const pauseMs = this.lifetimes.touchAfterMs(ttlMs);
    const noteMs = this.options.disableTTL ? 0 : Math.ceil(ttlMs + pauseMs + STORED_BY_MS);
    const noted = await this.#users.note(user, sid, noteMs, isNew);
    this.#notedUntil.set(sid, endsAt + pauseMs);
    if (noted.isNewer) this.records.events.fault(newerVersion('some of what is noted of a user’s sessions'));
    return noted;
  }

  /** The next save of the session notes it again. */
  forgetWhenNoted(sid: string): void {
    this.#notedUntil.delete(sid);
  }

  /** Removes a session's note. HDEL */
  async removeNote(user: string | undefined, sid: string): Promise<void> {
    if (user !== undefined) await this.#users.forget(user, sid);
  }

  /** The sessions by which a user has more than `maxSessionsPerUser`: those that were idle longest. */
  async beyondLimit(user: string, noted: Noted): Promise<string[]> {
    const { maxSessionsPerUser } = this.options;
    if (maxSessionsPerUser === undefined) return [];
    return this.#users.beyond(user, noted.sessions, maxSessionsPerUser, async (sid) => {
      const session = await this.records.find(sid);
      return session === undefined ? undefined : ((session && this.#userOf(session)) ?? null);
    });
  }

  /** A user's sessions, each with its id. */
  async sessionsOf(given: string | number): Promise<(SessionData & { id: string })[]> {
    const user = this.#checkedUser('sessionsOf', given);
    const sids = await this.#users.list(user);
    const sessions = await Promise.all(sids.map((sid) => this.records.find(sid)));
    return sessions.flatMap((session, i) =>
      session && this.#userOf(session) === user ? [Object.assign(session, { id: sids[i] as string })] : [],
    );
  }

  /** Destroys a user's sessions but for those that are `kept`: how many. */
  async destroyAllOf(
    given: string | number,
    kept: ReadonlySet<string>,
    destroy: (sid: string) => Promise<void>,
  ): Promise<number> {
    const user = this.#checkedUser('destroyAllOf', given);
    const keptIds = new Set(kept);
    for (const sid of kept) keptIds.add((await this.records.moved.nextOf(sid)) ?? sid);
    const sids = (await this.#users.listToEnd(user, [...keptIds])).filter((sid) => !keptIds.has(sid));
    const destroyed = await Promise.all(
      sids.map(async (sid) => {
        const found = await this.records.find(sid);
        const session = found === undefined ? await this.records.moved.findMoved(sid) : found;
        if (session === undefined) return false;
        // what can't be read may be the user's, and goes
        if (session !== null && this.#userOf(session) !== user) return false;
        await destroy(sid);
        await this.#users.forget(user, sid);
        return true;
      }),
    );
    return destroyed.filter(Boolean).length;
  }

  /** Removes the notes of all users. SCAN, and UNLINK in batches. */
  async clear(): Promise<void> {
    if (!this.options.user) return;
    const { target, keys } = this.records;
    for await (const { node, keys: found } of scanPrefix(target, keys.usersPrefix, this.options.scanCount))
      await forEachKey({ node, keys: found.filter((key) => keys.isUser(key)) }, 'unlink');
  }

  #userOf(session: SessionData): string | undefined {
    return this.records.states.snapshotOf(session)?.user;
  }

  /** A user as the option `user` names them. Of anything else nothing would be found, or ended, and nobody would know why. */
  #checkedUser(method: string, user: unknown): string {
    if (!this.options.user) throw misuse('RedisSessionStore has no option "user"');
    const id = typeof user === 'string' ? user : userIdOf(user);
    if (id !== undefined) return id;
    throw misuse(`${method}(): expected a user, a text or a number, got ${describeValue(user)}`);
  }
}

const misuse = (message: string) => new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', message);
