import type { RedisClient } from '../../redis/connect.js';
import { workersKey } from '../../redis/keys.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { LEASE_MS } from './lease.js';

const script = new Script<string[]>(loadScript('lib/transport/stream/membership.lua'));

/**
 * The workers that are there. Each says so at every heartbeat, and counts as gone when it has not been heard of for as long as a
 * lease lasts. Who has which partition follows from this list alone, so that nobody has to negotiate.
 */
export class Membership {
  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly workerId: string,
  ) {}

  /** Says that this worker is there, and gives the ids of all that are, ascending. One script. */
  join(): Promise<readonly string[]> {
    return this.#announce(1);
  }

  /** Says that this worker is gone, and gives the ids of the others, ascending. One script. */
  leave(): Promise<readonly string[]> {
    return this.#announce(0);
  }

  /** Is the partition this worker's share? Number `i` of `n` workers has each partition `p` with `p mod n = i`. */
  isShare(partition: number, members: readonly string[]): boolean {
    return partition % members.length === members.indexOf(this.workerId);
  }

  async #announce(isThere: 0 | 1): Promise<readonly string[]> {
    const members = await script.run(this.client, [workersKey(this.namespace), this.workerId, LEASE_MS, isThere]);
    return members.toSorted();
  }
}
