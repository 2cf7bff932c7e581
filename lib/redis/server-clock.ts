import type { RedisClient } from './client.js';

/** It is asked again after this, where somebody wants to know. */
const ASK_AGAIN_MS = 10_000;
/** An answer that came sooner says more than a later one that was read late. It counts for so long, since clocks are put back. */
const KEPT_MS = 60_000;
/** A clock of this machine gains less than this on Redis' own. */
const MOST_DRIFT = 0.001;

/** What TIME gave, and when its answer was read, by performance.now(). */
interface Shown {
  readonly serverMs: number;
  readonly atMs: number;
}

const shownAt = ({ serverMs, atMs }: Shown, nowMs: number): number => serverMs + (nowMs - atMs) * (1 - MOST_DRIFT);

/**
 * Says what Redis' clock has shown at this moment at least: what TIME gave, and the time since its answer came. So a moment here can be
 * compared with one that Redis has noted, and is never taken for a later one than it was.
 */
export class ServerClock {
  #shown: Shown | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly client: RedisClient,
    /** Is it asked? Else nothing is known. A Cluster has as many clocks as nodes. */
    readonly isAsked: boolean,
  ) {
    client.on('ready', () => void this.ask());
    // The next connection may be to another server.
    client.on('close', () => {
      this.#shown = undefined;
      this.#askedMs = Number.NEGATIVE_INFINITY;
    });
  }

  /** Ms since 1970, with fractions. Undefined: no answer has come yet. TIME at the first connection and every ten seconds, which nobody waits for. */
  get atLeastMs(): number | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#askedMs >= ASK_AGAIN_MS) void this.ask();
    return this.#shown && shownAt(this.#shown, nowMs);
  }

  #take(shown: Shown): void {
    const before = this.#shown;
    const isBetter = before && shown.atMs - before.atMs < KEPT_MS && shownAt(before, shown.atMs) > shown.serverMs;
    if (!isBetter) this.#shown = shown;
  }

  /** TIME, ms since 1970. Never rejects: where it is refused, nothing is known of this clock, and the answer is undefined. */
  async ask(): Promise<number | undefined> {
    if (!this.isAsked || this.client.status !== 'ready') return undefined;
    this.#askedMs = performance.now();
    try {
      const [seconds, microseconds] = await this.client.time();
      const shown = { serverMs: Number(seconds) * 1000 + Number(microseconds) / 1000, atMs: performance.now() };
      if (this.client.status === 'ready') this.#take(shown);
      return shown.serverMs;
    } catch (error) {
      this.#shown = undefined;
      // An account without this right has it not in a minute either.
      if ((error as Error).name === 'ReplyError') this.#askedMs = Number.POSITIVE_INFINITY;
      return undefined;
    }
  }
}
