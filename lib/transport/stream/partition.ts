/**
 * What a worker does with a partition that belongs to it:
 * - `claiming`: before the worker reads new entries, it claims the pending ones, which nobody has finished: they were
 *   delivered to another worker, or to this one over a connection that was lost;
 * - `reading`: the worker reads new entries;
 * - `leaving`: another worker is to have the partition, or this one stops. It begins no further read, and gives the partition
 *   back when all entries that it has read are finished;
 * - `lost`: the partition belongs to this worker no longer.
 */
export type PartitionState = 'claiming' | 'reading' | 'leaving' | 'lost';

/** A partition that belongs to this worker, with the entries that it has read. */
export class Partition {
  #state: PartitionState = 'claiming';
  /** The entries that were read and are not finished: by id, the length of the payload, which stands for its bytes. */
  readonly #unfinished = new Map<string, number>();
  /** The finished entries that this worker has not acknowledged yet: the group still has them as pending. */
  readonly unacknowledged = new Set<string>();
  /** How many entries are finished, and not yet trimmed from the stream. */
  untrimmed = 0;

  constructor(
    readonly number: number,
    /** The stream's key. */
    readonly key: string,
    /** By how many ms, at most, the event loop's clock is ahead of the clock of the Redis that gives the entries their ids. */
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

  /** To be called when all pending entries have been claimed. */
  claimed(): void {
    if (this.#state === 'claiming') this.#state = 'reading';
  }

  /** To be called when a read has failed: Redis may have delivered entries in a reply that was lost. */
  claimAgain(): void {
    if (this.#state === 'reading') this.#state = 'claiming';
  }

  leave(): void {
    if (this.#state !== 'lost') this.#state = 'leaving';
  }

  /** Cancels leave(): the partition is in this worker's share again. */
  stay(): void {
    if (this.#state === 'leaving') this.#state = 'claiming';
  }

  lose(): void {
    this.#state = 'lost';
  }

  /** Notes that an entry was read. */
  begin(id: string, bytes: number): void {
    this.#unfinished.set(id, bytes);
  }

  /** Notes that an entry is finished. False where the entry is not known here, since the stream was made anew meanwhile. */
  finish(id: string, isAcknowledged: boolean): boolean {
    if (!this.#unfinished.delete(id)) return false;
    this.untrimmed++;
    if (!isAcknowledged) this.unacknowledged.add(id);
    return true;
  }

  /** Has this worker read the entry already? Then it must not work on it again, maybe long after later messages of the session. */
  has(id: string): boolean {
    return this.#unfinished.has(id) || this.unacknowledged.has(id);
  }

  /** To be called when the stream was made anew. Its old entries are not pending there, so scripts refuse to work on them. */
  forgetEntries(): void {
    this.#unfinished.clear();
    this.unacknowledged.clear();
    this.untrimmed = 0;
  }
}
