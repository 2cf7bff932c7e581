import type { RedisClient } from './client.js';

/** Where the time is wanted this long after TIME was sent, TIME is sent again. */
const ASK_AGAIN_MS = 10_000;
/** How long an older answer is kept if a newer one, read late, gives an earlier time. No longer, since clocks are put back. */
const KEPT_MS = 60_000;
/** The most that this machine's clock gains on Redis' clock, as a share of the time passed. */
const MAX_DRIFT = 0.001;

interface TimeAnswer {
  /** Ms since 1970, by Redis' clock. */
  readonly serverMs: number;
  /** When the answer was read, by performance.now(). */
  readonly atMs: number;
}

const serverMsAtLeast = ({ serverMs, atMs }: TimeAnswer, nowMs: number): number =>
  serverMs + (nowMs - atMs) * (1 - MAX_DRIFT);

/**
 * Says what Redis' clock shows at least: what TIME gave, and the time since its answer came. So a moment of this process can
 * be compared with one that Redis has noted, and never seems later than it was.
 */
export class ServerClock {
  #answer: TimeAnswer | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly client: RedisClient,
    /** Is TIME sent at all? Not to a Cluster, which has as many clocks as nodes: `atLeastMs` stays undefined. */
    readonly isAsked: boolean,
  ) {
    client.on('ready', () => void this.ask());
    // The next connection may be to another server.
    client.on('close', () => {
      this.#answer = undefined;
      this.#askedMs = Number.NEGATIVE_INFINITY;
    });
  }

  /** Ms since 1970, with fractions; undefined where no answer is known. May send TIME, without waiting. */
  get atLeastMs(): number | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#askedMs >= ASK_AGAIN_MS) void this.ask();
    return this.#answer && serverMsAtLeast(this.#answer, nowMs);
  }

  #take(answer: TimeAnswer): void {
    const before = this.#answer;
    const isBeforeBetter =
      before && answer.atMs - before.atMs < KEPT_MS && serverMsAtLeast(before, answer.atMs) > answer.serverMs;
    if (!isBeforeBetter) this.#answer = answer;
  }

  /** Sends TIME and gives its answer, ms since 1970. Never rejects: where the command fails, the answer is undefined. */
  async ask(): Promise<number | undefined> {
    if (!this.isAsked || this.client.status !== 'ready') return undefined;
    this.#askedMs = performance.now();
    try {
      const [seconds, microseconds] = await this.client.time();
      const answer = { serverMs: Number(seconds) * 1000 + Number(microseconds) / 1000, atMs: performance.now() };
      if (this.client.status === 'ready') this.#take(answer);
      return answer.serverMs;
    } catch (error) {
      // An account without this right will not get it before the next connection. After another error (BUSY while a script runs) it is asked
      // again; what was answered before still holds.
      if (/^NOPERM/.test((error as Error).message)) this.#askedMs = Number.POSITIVE_INFINITY;
      return undefined;
    }
  }
}
