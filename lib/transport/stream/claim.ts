import type { RedisClient } from '../../redis/connect.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { GROUP } from '../protocol.js';
import type { Entry } from './entry.js';
import { clockOffsetMs, type RedisTime } from './lease.js';
import type { Partition } from './partition.js';

const script = new Script<[last: string, entries: Entry[], givenUp: number, time: RedisTime]>(
  loadScript('lib/transport/stream/claim.lua'),
);

/** An entry that was delivered this often and never finished is given up: it may be what makes workers crash. */
export const MAX_DELIVERIES = 10;

export interface Claimed {
  /** The last entry that was looked at; undefined where there are no more. */
  readonly last: string | undefined;
  /** All entries that the script has claimed. */
  readonly read: readonly Entry[];
  /** Those of them that this worker does not already have. */
  readonly entries: readonly Entry[];
  /** How many were given up. */
  readonly givenUp: number;
}

/** Claims a partition's pending entries (read by some worker, never finished) in their order: at most `count` after the entry `after`. One script. */
export async function claim(
  client: RedisClient,
  partition: Partition,
  workerId: string,
  after: string | undefined,
  count: number,
): Promise<Claimed> {
  const args = [partition.key, GROUP, workerId, after ?? '-', count, MAX_DELIVERIES];
  const [last, entries, givenUp, time] = await script.run(client, args);
  // After a failover the time comes from another server's clock than when the lease was taken.
  partition.clockOffsetMs = clockOffsetMs(time);
  return {
    last: last === '' ? undefined : last,
    read: entries,
    entries: entries.filter(([id]) => !partition.has(id)),
    givenUp,
  };
}
