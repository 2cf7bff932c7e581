import type { RedisClient } from '../../redis/connect.js';
import { GROUP } from '../protocol.js';
import type { Partition } from './partition.js';

/** Acknowledges the finished entries that no script has acknowledged: those of a turn of the event loop in one XACK a partition. */
export class Acknowledger {
  #scheduled: NodeJS.Immediate | undefined;

  constructor(
    readonly client: RedisClient,
    readonly partitions: Iterable<Partition>,
    readonly onFault: (error: unknown) => void,
  ) {}

  schedule(): void {
    this.#scheduled ??= setImmediate(() => void this.flush().catch(this.onFault));
  }

  /** Rejects where Redis fails: the entries are acknowledged the next time. */
  async flush(): Promise<void> {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    await Promise.all(Array.from(this.partitions, (partition) => this.#acknowledge(partition)));
  }

  async #acknowledge({ key, unacknowledged }: Partition): Promise<void> {
    if (unacknowledged.size === 0) return;
    const ids = [...unacknowledged];
    await this.client.xack(key, GROUP, ...ids);
    for (const id of ids) unacknowledged.delete(id);
  }
}
