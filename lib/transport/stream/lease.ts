import type { RedisClient } from '../../redis/connect.js';
import { leaseKey } from '../../redis/keys.js';
import { loadScript } from '../../redis/load-script.js';
import { loopNowMs } from '../../redis/loop-clock.js';
import { Script } from '../../redis/run-script.js';

/** As the command TIME tells it. */
export type RedisTime = readonly [seconds: string, microseconds: string];

const script = new Script<RedisTime | null>(loadScript('lib/transport/stream/lease.lua'));

/** Once its worker has not renewed a lease for so long, another worker takes the partition. */
export const LEASE_MS = 2_000;

/** The leases of partitions: who holds one is the only worker that reads there. */
export class Leases {
  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly workerId: string,
  ) {}

  /** Takes or renews a lease. Gives clockOffsetMs() of its Redis, or undefined where another worker holds the lease. One script. */
  async renew(partition: number): Promise<number | undefined> {
    const time = await this.#run(partition, LEASE_MS);
    return time === null ? undefined : clockOffsetMs(time);
  }

  async release(partition: number): Promise<void> {
    await this.#run(partition, 0);
  }

  #run(partition: number, durationMs: number): Promise<RedisTime | null> {
    return script.run(this.client, [leaseKey(this.namespace, partition), this.workerId, durationMs]);
  }
}

/** By how much the loop's clock is ahead of Redis' at most: the answer has been on its way. */
export const clockOffsetMs = ([seconds, microseconds]: RedisTime): number =>
  loopNowMs() - Number(seconds) * 1000 - Math.floor(Number(microseconds) / 1000);
