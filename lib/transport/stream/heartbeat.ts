import { LEASE_MS } from './lease.js';

/** From the beginning of one heartbeat to that of the next: a lease is renewed in time also where Redis is far away. */
const HEARTBEAT_MS = 500;

/** Runs `beat` at intervals, one at a time, and knows whether one has succeeded lately. */
export class Heartbeat {
  #succeededMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** The one that is under way. */
  #beating: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(
    readonly beat: () => Promise<void>,
    readonly onFault: (error: unknown) => void,
    /** One has succeeded, after none had for a while. */
    readonly onRecovered: () => void,
  ) {}

  /** Has one succeeded lately, so that the leases are held? */
  get isRecent(): boolean {
    return performance.now() - this.#succeededMs < LEASE_MS;
  }

  /** Resolves when the first one has succeeded, and rejects where it fails: there are no others then. */
  async start(): Promise<void> {
    const first = this.#attempt();
    this.#beating = first.catch(() => {});
    await first;
    this.#schedule(HEARTBEAT_MS);
  }

  /** Runs one as soon as the one under way has ended, and goes on from there. Never rejects. */
  beatNow(): Promise<void> {
    clearTimeout(this.#timer);
    this.#beating = this.#beating.then(async () => {
      const beganMs = performance.now();
      await this.#attempt().catch(this.onFault);
      this.#schedule(Math.max(0, HEARTBEAT_MS - (performance.now() - beganMs)));
    });
    return this.#beating;
  }

  /** Resolves when the last one has ended. */
  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    return this.#beating;
  }

  async #attempt(): Promise<void> {
    await this.beat();
    const hasRecovered = !this.isRecent;
    this.#succeededMs = performance.now();
    if (hasRecovered) this.onRecovered();
  }

  #schedule(afterMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.beatNow(), afterMs);
  }
}
