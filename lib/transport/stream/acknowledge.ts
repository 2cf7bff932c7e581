import type { RedisClient } from '../../redis/connect.js';
import { GROUP } from '../protocol.js';
import { allEnded } from './all-ended.js';
import type { Partition } from './partition.js';

/** Acknowledges the finished entries that no script has: those of one turn of the event loop by one XACK for each partition. */
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

  /** Acknowledges all finished entries. Rejects where Redis fails; the next call then tries the same entries again. */
  async flush(): Promise<void> {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    await allEnded(Array.from(this.partitions, (partition) => this.acknowledge(partition)));
  }

  /** Acknowledges the finished entries of one partition. */
  async acknowledge({ key, unacknowledged }: Partition): Promise<void> {
    if (unacknowledged.size === 0) return;
    const ids = [...unacknowledged];
    await this.client.xack(key, GROUP, ...ids);
    for (const id of ids) unacknowledged.delete(id);
  }
}
