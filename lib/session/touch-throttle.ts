import { LRUCache } from 'lru-cache';

const REMEMBERED = 50_000;

/** What this process does for a session at most once in a while, unless its mark (how long it lives) has become another. */
export class Throttle {
  readonly #done = new LRUCache<string, number>({ max: REMEMBERED, ttl: 1 });

  isDue(sid: string, mark: number): boolean {
    return this.#done.get(sid) !== mark;
  }

  done(sid: string, mark: number, afterMs: number): void {
    if (afterMs >= 1) this.#done.set(sid, mark, { ttl: Math.floor(afterMs) });
  }

  forget(sid: string): void {
    this.#done.delete(sid);
  }
}
