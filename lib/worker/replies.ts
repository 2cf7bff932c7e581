import type { RedisClient } from '../redis/connect.js';

/** Pushes answers that no script pushes itself: what is answered in one turn of the event loop goes to each list in one RPUSH. */
export class Replies {
  readonly #waiting = new Map<string, { readonly texts: string[]; readonly ttlMs: number }>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(
    readonly client: RedisClient,
    readonly onFault: (error: unknown) => void,
  ) {}

  push({ key, ttlMs }: { key: string; ttlMs: number }, text: string): void {
    const list = this.#waiting.get(key);
    if (list) list.texts.push(text);
    else this.#waiting.set(key, { texts: [text], ttlMs });
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    for (const [key, { texts, ttlMs }] of this.#waiting) {
      this.client.rpush(key, ...texts).catch(this.onFault);
      this.client.pexpire(key, ttlMs).catch(this.onFault);
    }
    this.#waiting.clear();
  }
}
