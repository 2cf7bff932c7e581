import type { SessionData } from 'express-session';
import { LRUCache } from 'lru-cache';

const REMEMBERED = 50_000;

/** What this process does for a session at most once in a while, unless the cookie's maxAge has become another. */
export class Throttle {
  readonly #done = new LRUCache<string, number | 'none'>({ max: REMEMBERED, ttl: 1 });

  isDue(sid: string, session: SessionData): boolean {
    return this.#done.get(sid) !== maxAgeOf(session);
  }

  done(sid: string, session: SessionData, afterMs: number): void {
    if (afterMs >= 1) this.#done.set(sid, maxAgeOf(session), { ttl: Math.floor(afterMs) });
  }

  forget(sid: string): void {
    this.#done.delete(sid);
  }
}

/** In seconds: express-session lets it slip by a millisecond now and then. */
const maxAgeOf = ({ cookie }: SessionData): number | 'none' =>
  typeof cookie?.originalMaxAge === 'number' ? Math.round(cookie.originalMaxAge / 1000) : 'none';
