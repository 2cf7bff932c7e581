import { EventEmitter, once } from 'node:events';
import type { Partition } from './partition.js';

/** The most entries, and the most bytes of them, that a worker has read and not finished; all others stay in Redis. */
const MAX_UNFINISHED = 1024;
const MAX_UNFINISHED_BYTES = 64 * 1024 * 1024;

/** The partitions that belong to this worker, and how many more entries it may read from them. */
export class OwnedPartitions {
  /** By the key of the partition's stream. */
  readonly #byKey = new Map<string, Partition>();
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #maxUnfinished: number;

  constructor(maxQueue: number) {
    this.#maxUnfinished = Math.min(MAX_UNFINISHED, maxQueue);
  }

  get(key: string): Partition | undefined {
    return this.#byKey.get(key);
  }

  add(partition: Partition): void {
    this.#byKey.set(partition.key, partition);
  }

  delete(partition: Partition): void {
    partition.lose();
    this.#byKey.delete(partition.key);
  }

  [Symbol.iterator](): IterableIterator<Partition> {
    return this.#byKey.values();
  }

  /** How many more entries may be read. */
  room(): number {
    let [entries, bytes] = [0, 0];
    for (const partition of this) {
      entries += partition.unfinished;
      bytes += partition.unfinishedBytes();
    }
    return bytes < MAX_UNFINISHED_BYTES ? this.#maxUnfinished - entries : 0;
  }

  /** Wakes all who wait in nextChange(): there may be more room, or another partition to read. */
  changed(): void {
    this.#changes.emit('change');
  }

  /** Resolves at the next changed(). */
  async nextChange(): Promise<void> {
    await once(this.#changes, 'change');
  }
}
