import type { RedisClient } from '../../redis/connect.js';
import { leaseKey } from '../../redis/keys.js';
import { loadScript } from '../../redis/load-script.js';
import { loopNowMs } from '../../redis/loop-clock.js';
import { Script } from '../../redis/run-script.js';

/** A time as the command TIME replies it. */
export type RedisTime = readonly [seconds: string, microseconds: string];

const script = new Script<RedisTime | null>(loadScript('lib/transport/stream/lease.lua'));

/** How long a lease lasts: if its worker does not renew it for this long, another worker may take the partition. */
export const LEASE_MS = 2_000;

/** Takes, renews and releases leases of partitions. Only the worker that holds a partition's lease reads the partition. */
export class Leases {
  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly workerId: string,
  ) {}

  /** Takes or renews a lease. Gives clockOffsetMs() of its server, or undefined where another worker has it. One script. */
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

/** By how many ms the event loop's clock is ahead of Redis' clock, at most: the reply's way is counted in. */
export const clockOffsetMs = ([seconds, microseconds]: RedisTime): number =>
  loopNowMs() - Number(seconds) * 1000 - Math.floor(Number(microseconds) / 1000);
