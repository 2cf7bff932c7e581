import type { SessionData } from 'express-session';
import { LRUCache } from 'lru-cache';
import { describeValue } from '../options/check-options.js';
import { IntelligentSessionError, newerVersion } from '../errors/errors.js';
import { userIdOf } from '../intelligence/command/subject.js';
import { forEachKey, scanPrefix } from '../redis/scan.js';
import { callApplication } from './application-functions.js';
import type { Lifetimes } from './lifetimes.js';
import type { resolveStoreOptions } from './options.js';
import type { SessionRecords } from './session-records.js';
import { type Noted, STORED_BY_MS, UserSessions } from './user-sessions.js';

type Options = Pick<
  ReturnType<typeof resolveStoreOptions>,
  'user' | 'itemSecret' | 'maxSessionsPerUser' | 'disableTTL' | 'scanCount'
>;

/** Of how many sessions this process remembers when the note has to be renewed. */
const MAX_REMEMBERED = 50_000;

/**
 * Knows which sessions belong to which user. For each session of a user Redis has a note (user-sessions.lua). A note only says that
 * the session may be the user's; the stored session decides.
 */
export class SessionOwners {
  readonly #users: UserSessions;
  /** By session id: until when the session's note needs no renewal, ms since 1970. */
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
   * Notes a session as its user's for a little longer than it lives: at once where `isNew`, else only when the note has to be
   * renewed. Resolves with all sessions of the user, or with undefined where no note was written.
   */
  async note(
    user: string | undefined,
    sid: string,
    ttlMs: number,
    { isNew }: { isNew: boolean },
  ): Promise<Noted | undefined> {
    const endsAt = Date.now() + ttlMs + STORED_BY_MS;
    if (user === undefined || !(isNew || (this.#notedUntil.get(sid) ?? 0) < endsAt)) return undefined;
    // During `pauseMs` saves and touches may move the session's end without renewing the note.
    const pauseMs = this.lifetimes.touchAfterMs(ttlMs);
    const noteMs = this.options.disableTTL ? 0 : Math.ceil(ttlMs + pauseMs + STORED_BY_MS);
    const noted = await this.#users.note(user, sid, noteMs, isNew);
    this.#notedUntil.set(sid, endsAt + pauseMs);
    if (noted.isNewer) this.records.events.fault(newerVersion('some of what is noted of a user’s sessions'));
    return noted;
  }

  /** Makes the next save of the session note it again. */
  forgetWhenNoted(sid: string): void {
    this.#notedUntil.delete(sid);
  }

  /** Removes a session's note. HDEL */
  async removeNote(user: string | undefined, sid: string): Promise<void> {
    if (user !== undefined) await this.#users.forget(user, sid);
  }

  /** The ids of the sessions that a user has beyond `maxSessionsPerUser`: those whose notes are the oldest. */
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

  /** Destroys a user's sessions, all but those in `kept`. Resolves with how many it has destroyed. */
  async destroyAllOf(
    given: string | number,
    kept: ReadonlySet<string>,
    destroy: (sid: string) => Promise<void>,
  ): Promise<number> {
    const user = this.#checkedUser('destroyAllOf', given);
    const keptIds = new Set(kept); // with the newer ids of those whose ids were replaced
    for (const sid of kept) keptIds.add((await this.records.moved.nextOf(sid)) ?? sid);
    const sids = (await this.#users.listToEnd(user, [...keptIds])).filter((sid) => !keptIds.has(sid));
    const destroyed = await Promise.all(
      sids.map(async (sid) => {
        const found = await this.records.find(sid);
        const session = found === undefined ? await this.records.moved.findMoved(sid) : found;
        if (session === undefined) return false;
        // a session that can't be read may be the user's, so it is destroyed
        if (session !== null && this.#userOf(session) !== user) return false;
        await destroy(sid);
        await this.#users.forget(user, sid);
        return true;
      }),
    );
    return destroyed.filter(Boolean).length;
  }

  /** Removes the notes of all users: SCAN, and UNLINK in batches. */
  async clear(): Promise<void> {
    if (!this.options.user) return;
    const { target, keys } = this.records;
    for await (const { node, keys: found } of scanPrefix(target, keys.usersPrefix, this.options.scanCount))
      await forEachKey({ node, keys: found.filter((key) => keys.isUser(key)) }, 'unlink');
  }

  #userOf(session: SessionData): string | undefined {
    return this.records.states.snapshotOf(session)?.user;
  }

  /** The id of a user, in the form that option `user` gives. Throws for what is no user: it would just have no sessions. */
  #checkedUser(method: string, user: unknown): string {
    if (!this.options.user) throw misuse('RedisSessionStore has no option "user"');
    const id = typeof user === 'string' ? user : callApplication(() => userIdOf(user));
    if (id !== undefined) return id;
    throw misuse(`${method}(): expected a user, a text or a number, got ${describeValue(user)}`);
  }
}

const misuse = (message: string) => new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', message);
