import { LRUCache } from 'lru-cache';

/** How many sessions are remembered. A session that is forgotten is touched once too often, which costs a PEXPIRE. */
const REMEMBERED = 50_000;

/** Lets this process touch a session once in a while only, unless the session's lifetime has changed since. */
export class TouchThrottle {
  /** Session id to its lifetime in seconds when it was touched. Each entry has a `ttl` of its own: this one is never used. */
  readonly #touched = new LRUCache<string, number>({ max: REMEMBERED, ttl: 1 });

  isDue(sid: string, lifetimeSeconds: number): boolean {
    return this.#touched.get(sid) !== lifetimeSeconds;
  }

  /** The session has been touched, and is due again in `pauseMs`. */
  touched(sid: string, lifetimeSeconds: number, pauseMs: number): void {
    if (pauseMs >= 1) this.#touched.set(sid, lifetimeSeconds, { ttl: Math.floor(pauseMs) });
  }

  /** The session is due at its next touch. */
  forget(sid: string): void {
    this.#touched.delete(sid);
  }
}
