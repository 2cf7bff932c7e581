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

/** An entry that was delivered so many times and never finished is given up: it may be what makes workers crash. */
export const MAX_DELIVERIES = 10;

export interface Claimed {
  /** The id of the last entry that was looked at; undefined where there are no more. */
  readonly last: string | undefined;
  /** All entries that the script has given. */
  readonly all: readonly Entry[];
  /** Of these, the entries that this worker has not read before: it is to work on them. */
  readonly unread: readonly Entry[];
  /** How many were given up. */
  readonly givenUp: number;
}

/**
 * Claims a partition's pending entries (delivered, not finished) in order: at most `count` after those that were claimed
 * before. One script.
 */
export async function claim(
  client: RedisClient,
  partition: Partition,
  workerId: string,
  count: number,
): Promise<Claimed> {
  const args = [partition.key, GROUP, workerId, partition.claimedUpTo ?? '-', count, MAX_DELIVERIES];
  // What is finished while the reply is on its way was pending when the script ran.
  const known = partition.known();
  const [last, entries, givenUp, time] = await script.run(client, args);
  // A failover since the lease was taken may have brought another server with another clock.
  partition.clockOffsetMs = clockOffsetMs(time);
  return {
    last: last === '' ? undefined : last,
    all: entries,
    unread: entries.filter(([id]) => !known.has(id)),
    givenUp,
  };
}
