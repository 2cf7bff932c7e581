import type { Entry } from './entry.js';

/** What a read aims at: as many bytes as sixteen payloads of the largest size. */
const TARGET_BYTES = 4 * 1024 * 1024;
const LARGEST_COUNT = 128;
/** What is asked for where no more than that was there. */
const IDLE_COUNT = 16;

/**
 * How many entries the next read asks for, of each stream. Redis bounds a read by its entries alone, and whoever may XADD makes
 * them as large as they like. So the count begins with one, doubles while what comes is small and more is there, and goes down
 * after a read of too many bytes.
 */
export class ReadCount {
  #next = 1;

  get next(): number {
    return this.#next;
  }

  /** Takes what a read has brought; `longest`: how many entries the stream had that gave most of them. */
  adapt(entries: readonly Entry[], longest: number): void {
    const bytes = entries.reduce((sum, [, fields]) => fields.reduce((all, { length }) => all + length, sum), 0);
    if (bytes > TARGET_BYTES) this.#next = Math.max(1, Math.floor((this.#next * TARGET_BYTES) / bytes));
    else if (longest >= this.#next) this.#next = Math.min(LARGEST_COUNT, this.#next * 2);
    else this.#next = Math.min(this.#next, IDLE_COUNT);
  }
}
