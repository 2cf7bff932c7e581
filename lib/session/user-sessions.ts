import { userSessionsKey } from '../keys.js';
import type { RedisClient } from '../redis/connect.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';

const note = new Script<string[]>(loadScript('../scripts/user-sessions.lua', import.meta.url));

export interface NotedSession {
  readonly sid: string;
  /** when it was noted last, ms by Redis' clock */
  readonly seen: number;
}

/** Which sessions are whose: a hash a user, kept by user-sessions.lua. */
export class UserSessions {
  constructor(
    readonly client: RedisClient,
    readonly prefix: string,
    readonly keyPrefix: string,
  ) {}

  /** One script; all that the user then has, those seen longest ago first. */
  async note(user: string, sid: string, ttlMs: number): Promise<NotedSession[]> {
    const reply = await note.run(this.client, [this.#key(user), sid, ttlMs]);
    const all: NotedSession[] = [];
    for (let i = 0; i < reply.length; i += 2) all.push({ sid: reply[i] as string, seen: Number(reply[i + 1]) });
    return all.sort((a, b) => a.seen - b.seen || (a.sid < b.sid ? -1 : 1));
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
    return this.keyPrefix + userSessionsKey(this.prefix, user);
  }
}
