import { LEASE_MS } from './lease.js';

/** The time between the beginnings of two heartbeats: a quarter of LEASE_MS, so that leases last although Redis is far away. */
export const HEARTBEAT_MS = 500;

/** Runs `beat` at intervals, one call at a time, and knows whether a call has succeeded lately. */
export class Heartbeat {
  /** When a heartbeat last succeeded, by performance.now(). */
  #succeededMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** The heartbeat that is under way, or the last one. */
  #beating: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(
    readonly beat: () => Promise<void>,
    readonly onFault: (error: unknown) => void,
    /** Is called when a heartbeat succeeds, the first one or after none has succeeded for as long as a lease lasts. */
    readonly onRecovered: () => void,
  ) {}

  /** Has a heartbeat succeeded within the time of a lease, so that the leases are held? */
  get isRecent(): boolean {
    return performance.now() - this.#succeededMs < LEASE_MS;
  }

  /** Begins the heartbeats. Resolves when the first one has succeeded; rejects if it fails, and then there are no others. */
  async start(): Promise<void> {
    const first = this.#attempt();
    this.#beating = first.catch(() => {});
    await first;
    this.#schedule(HEARTBEAT_MS);
  }

  /** Runs a heartbeat as soon as the one under way has ended; the next follows HEARTBEAT_MS after it began. Never rejects. */
  beatNow(): Promise<void> {
    clearTimeout(this.#timer);
    this.#beating = this.#beating.then(async () => {
      const beganMs = performance.now();
      await this.#attempt().catch(this.onFault);
      this.#schedule(Math.max(0, HEARTBEAT_MS - (performance.now() - beganMs)));
    });
    return this.#beating;
  }

  /** Ends the heartbeats. Resolves when the last one has ended. */
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
