/**
 * What a worker does with a partition that belongs to it:
 * - `claiming`: before the worker reads new entries, it claims the pending ones that it does not have, and nobody has finished: they
 *   were delivered to another worker, or to this one over a connection that was lost;
 * - `reading`: the worker reads new entries;
 * - `leaving`: another worker is to have the partition, or this one stops. It begins no further read, and gives the partition
 *   back when all entries that it has read are finished;
 * - `lost`: the partition belongs to this worker no longer.
 */
export type PartitionState = 'claiming' | 'reading' | 'leaving' | 'lost';

/** A partition that belongs to this worker, with the entries that it has read. */
export class Partition {
  #state: PartitionState = 'claiming';
  #claimedUpTo: string | undefined;
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

  /** The last pending entry that was claimed, and after which the next claim begins; undefined where it begins with the first. */
  get claimedUpTo(): string | undefined {
    return this.#claimedUpTo;
  }

  /** Notes that pending entries were claimed, up to this one; undefined: all of them. */
  claimedTo(id: string | undefined): void {
    this.#claimedUpTo = id;
    if (id === undefined && this.#state === 'claiming') this.#state = 'reading';
  }

  /** To be called where entries may be pending that this worker does not have. */
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

  /** The entries that this worker has read: it must not work on them again, maybe long after later messages of the session. */
  known(): ReadonlySet<string> {
    return new Set([...this.#unfinished.keys(), ...this.unacknowledged]);
  }

  /** To be called when the stream was made anew. Its old entries are not pending there, so scripts refuse to work on them. */
  forgetEntries(): void {
    this.#claimedUpTo = undefined;
    this.#unfinished.clear();
    this.unacknowledged.clear();
    this.untrimmed = 0;
  }
}
