/**
 * What a worker does with a partition that is its own:
 * - `claiming`: before it reads anything new, it claims what was read and not finished, by another worker or by itself over a
 *   connection that was lost;
 * - `reading`: it reads what is new;
 * - `leaving`: another worker is to have the partition. It reads no more, and gives it back when all that was read is finished;
 * - `lost`: the partition is its own no longer.
 */
export type PartitionState = 'claiming' | 'reading' | 'leaving' | 'lost';

/** A partition that is this worker's. */
export class Partition {
  #state: PartitionState = 'claiming';
  /** The entries that were read and are not finished, with the bytes of each. */
  readonly #unfinished = new Map<string, number>();
  /** The finished entries that are still on the group's list of pending ones, as far as is known. */
  readonly unacknowledged = new Set<string>();
  /** How many entries are finished and not trimmed yet. */
  untrimmed = 0;

  constructor(
    readonly number: number,
    /** The stream's key. */
    readonly key: string,
    /** By how much the loop's clock is ahead of the clock of the Redis that gives the entries their ids: at most, never less. */
    public clockOffsetMs: number,
  ) {}

  get state(): PartitionState {
    return this.#state;
  }

  get unfinished(): number {
    return this.#unfinished.size;
  }

  unfinishedBytes(): number {
    let bytes = 0;
    for (const size of this.#unfinished.values()) bytes += size;
    return bytes;
  }

  /** All that was pending has been claimed. */
  claimed(): void {
    if (this.#state === 'claiming') this.#state = 'reading';
  }

  /** A read failed, and its reply may have given out entries. */
  claimAgain(): void {
    if (this.#state === 'reading') this.#state = 'claiming';
  }

  leave(): void {
    if (this.#state !== 'lost') this.#state = 'leaving';
  }

  /** It is not to be left after all. */
  stay(): void {
    if (this.#state === 'leaving') this.#state = 'claiming';
  }

  lose(): void {
    this.#state = 'lost';
  }

  begin(id: string, bytes: number): void {
    this.#unfinished.set(id, bytes);
  }

  /** false where the entry is none of its own, since the stream was made anew meanwhile. */
  finish(id: string, isAcknowledged: boolean): boolean {
    if (!this.#unfinished.delete(id)) return false;
    this.untrimmed++;
    if (!isAcknowledged) this.unacknowledged.add(id);
    return true;
  }

  /** Was the entry read here already? A finished one is not to be worked on again, much later than its session's last messages. */
  has(id: string): boolean {
    return this.#unfinished.has(id) || this.unacknowledged.has(id);
  }

  /** Its stream was made anew: what was read of the old one is on no list any longer, so that no script works on it. */
  forgetEntries(): void {
    this.#unfinished.clear();
    this.unacknowledged.clear();
    this.untrimmed = 0;
  }
}
