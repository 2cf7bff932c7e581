import type { RedisClient } from '../redis/connect.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';

const note = new Script<string[]>(loadScript('../scripts/user-sessions.lua', import.meta.url));

export interface NotedSession {
  readonly sid: string;
  /** when it was noted last, ms by Redis' clock */
  readonly seen: number;
}

/** A session that was noted this long ago has been stored by now, or never will be. */
export const STORED_BY_MS = 10_000;

/** Which sessions are whose: a hash a user, kept by user-sessions.lua. */
export class UserSessions {
  constructor(
    readonly client: RedisClient,
    /** stands before the user in the key */
    readonly prefix: string,
  ) {}

  /** One script; all that the user then has, those seen longest ago first. */
  async note(user: string, sid: string, ttlMs: number): Promise<NotedSession[]> {
    const reply = await note.run(this.client, [this.#key(user), sid, ttlMs]);
    const all: NotedSession[] = [];
    for (let i = 0; i < reply.length; i += 2) all.push({ sid: reply[i] as string, seen: Number(reply[i + 1]) });
    return all.sort((a, b) => a.seen - b.seen || (a.sid < b.sid ? -1 : 1));
  }

  /**
   * Of the sessions that note() gave, those to destroy so that at most so many stay: the ones that were seen longest ago.
   * Every process comes to the same ones. A GET for each, and HDEL of those that have ended.
   */
  async over(
    user: string,
    noted: readonly NotedSession[],
    most: number,
    ownerOf: (sid: string) => Promise<string | null | undefined>,
  ): Promise<string[]> {
    if (noted.length <= most) return [];
    const owners = await Promise.all(noted.map(({ sid }) => ownerOf(sid)));
    const latest = noted.at(-1)?.seen ?? 0;
    const dead = noted.filter(({ seen }, i) => owners[i] === undefined && seen < latest - STORED_BY_MS);
    await this.forget(user, ...dead.map(({ sid }) => sid));
    const alive = noted.filter((_, i) => owners[i] === user);
    return alive.slice(0, Math.max(0, alive.length - most)).map(({ sid }) => sid);
  }

  /** HDEL */
  async forget(user: string, ...sids: readonly string[]): Promise<void> {
    if (sids.length > 0) await this.client.hdel(this.#key(user), ...sids);
  }

  /** HKEYS: the ids; some may have ended, one may be about to be stored. */
  of(user: string): Promise<string[]> {
    return this.client.hkeys(this.#key(user));
  }

  #key(user: string): string {
    return this.prefix + user;
  }
}
