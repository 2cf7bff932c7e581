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
/** How long a lease's key stays: a worker that was not heard of for less may only have been busy, and counts as there. */
const KEY_MS = 10_000;

/** Takes, renews and releases leases of partitions. Only the worker that holds a partition's lease reads the partition. */
export class Leases {
  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly workerId: string,
  ) {}

  /** Takes or renews a lease. Gives clockOffsetMs() of its server, or undefined where another worker has it. One script. */
  async renew(partition: number): Promise<number | undefined> {
    const time = await this.#run(partition, 'take');
    return time === null ? undefined : clockOffsetMs(time);
  }

  /** Gives a lease back: to be taken by other workers, if there are any. */
  async release(partition: number, hasOthers: boolean): Promise<void> {
    await this.#run(partition, hasOthers ? 'pass' : 'leave');
  }

  #run(partition: number, action: 'take' | 'pass' | 'leave'): Promise<RedisTime | null> {
    return script.run(this.client, [leaseKey(this.namespace, partition), this.workerId, action, LEASE_MS, KEY_MS]);
  }
}

/** By how many ms the event loop's clock is ahead of Redis' clock, at most: the reply's way is counted in. */
export const clockOffsetMs = ([seconds, microseconds]: RedisTime): number =>
  loopNowMs() - Number(seconds) * 1000 - Math.floor(Number(microseconds) / 1000);
