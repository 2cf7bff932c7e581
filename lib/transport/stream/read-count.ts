/** So many bytes a read aims at: as many as sixteen payloads of the largest size. */
const AIM_BYTES = 4 * 1024 * 1024;
const AT_ONCE = 128;
/** What is read where nothing has gathered. */
const CALM = 16;

/**
 * How many entries the next read takes of each stream. Redis bounds a read by entries alone, and whoever may XADD makes them as
 * large as they like: it begins with one, takes more while what comes is small and more is there, and fewer when it was large.
 */
export class ReadCount {
  #count = 1;

  get next(): number {
    return this.#count;
  }

  /** So many bytes came, and of the fullest stream so many entries. */
  came(bytes: number, entries: number): void {
    if (bytes > AIM_BYTES) this.#count = Math.max(1, Math.floor((this.#count * AIM_BYTES) / bytes));
    else if (entries >= this.#count) this.#count = Math.min(AT_ONCE, this.#count * 2);
    else this.#count = Math.min(this.#count, CALM);
  }
}

export const bytesOf = (entries: readonly (readonly [id: string, fields: readonly string[]])[]): number =>
  entries.reduce((all, [, fields]) => fields.reduce((sum, { length }) => sum + length, all), 0);
