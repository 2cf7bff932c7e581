import { loadScript } from '../redis/load-script.js';
import { type RedisClient } from '../redis/connect.js';
import { Script } from '../redis/run-script.js';
import { userSessionsKey } from '../keys.js';

const note = new Script<number>(loadScript('../scripts/user-sessions.lua', import.meta.url));

/** Which sessions are whose: a sorted set a user, by the time of expiry. */
export class UserSessions {
  constructor(
    readonly client: RedisClient,
    readonly prefix: string,
  ) {}

  /** One script; how many the user then has, expired ones not counted. */
  add(user: string, sid: string, ttlMs: number): Promise<number> {
    return note.run(this.client, [userSessionsKey(this.prefix, user), sid, ttlMs]);
  }

  async remove(user: string, ...sids: readonly string[]): Promise<void> {
    if (sids.length > 0) await this.client.zrem(userSessionsKey(this.prefix, user), ...sids);
  }

  /** ZRANGE: the ids, soonest to expire first; some may have been destroyed since. */
  of(user: string): Promise<string[]> {
    return this.client.zrange(userSessionsKey(this.prefix, user), '0', '-1');
  }
}
