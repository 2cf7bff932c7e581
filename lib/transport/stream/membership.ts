import type { RedisClient } from '../../redis/connect.js';
import { workersKey } from '../../redis/keys.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { HEARTBEAT_MS } from './heartbeat.js';
import { LEASE_MS } from './lease.js';

const script = new Script<string[]>(loadScript('lib/transport/stream/membership.lua'));

/**
 * Keeps the list of live workers. A worker renews its place in the list at every heartbeat, and counts as gone when it has not done
 * so for as long as a lease lasts. Each worker computes its share of the partitions from this list alone, without a coordinator.
 */
export class Membership {
  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly workerId: string,
  ) {}

  /** Renews this worker's place, and returns the ids of all live workers, ascending. One script. */
  join(): Promise<readonly string[]> {
    return this.#announce(1);
  }

  /** Removes this worker, and returns the ids of the other live workers, ascending. One script. */
  leave(): Promise<readonly string[]> {
    return this.#announce(0);
  }

  /** Is the partition in this worker's share? Worker number `i` of `n`, from 0, has each partition `p` with `p mod n = i`. */
  isShare(partition: number, members: readonly string[]): boolean {
    return partition % members.length === members.indexOf(this.workerId);
  }

  async #announce(isThere: 0 | 1): Promise<readonly string[]> {
    const args = [workersKey(this.namespace), this.workerId, LEASE_MS, isThere, HEARTBEAT_MS];
    const members = await script.run(this.client, args);
    return members.toSorted();
  }
}
