import type { Entry } from './entry.js';

/** How many bytes (counted as characters) a read should bring at most: as many as sixteen payloads of the largest size. */
const TARGET_BYTES = 4 * 1024 * 1024;
const LARGEST_COUNT = 128;
/** The highest count after a read that found fewer entries than it asked for. */
const IDLE_COUNT = 16;

/**
 * Chooses how many entries of each stream the next read asks for. Redis bounds a read by the number of entries only, and whoever may
 * XADD can make entries of any size. So the count begins with one, doubles while reads bring as many entries as they ask for,
 * and goes down after a read of too many bytes.
 */
export class ReadCount {
  #next = 1;

  get next(): number {
    return this.#next;
  }

  /** Adapts the count to the entries of a read; `longest` is the largest number of entries that it brought of one stream. */
  adapt(entries: readonly Entry[], longest: number): void {
    const bytes = entries.reduce((sum, [, fields]) => fields.reduce((all, { length }) => all + length, sum), 0);
    if (bytes > TARGET_BYTES) this.#next = Math.max(1, Math.floor((this.#next * TARGET_BYTES) / bytes));
    else if (longest >= this.#next) this.#next = Math.min(LARGEST_COUNT, this.#next * 2);
    else this.#next = Math.min(this.#next, IDLE_COUNT);
  }
}
