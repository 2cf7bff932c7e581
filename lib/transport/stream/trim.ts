import type { RedisClient } from '../../redis/connect.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { GROUP } from '../protocol.js';
import type { Partition } from './partition.js';

const script = new Script<[removed: number, left: number, remade: 0 | 1]>(loadScript('lib/transport/stream/trim.lua'));

export interface Trimmed {
  /** The messages of the partition that nobody has finished. */
  readonly lag: number;
  /** How many were lost, where the stream took no more messages and was made anew. */
  readonly lost: number | undefined;
}

/**
 * Removes what every consumer group has read and finished, and this group's consumers that are gone. Keeps the stream for
 * `maxAgeMs` from now on. One script.
 */
export async function trim(
  client: RedisClient,
  partition: Partition,
  members: readonly string[],
  maxAgeMs: number,
): Promise<Trimmed> {
  const [removed, left, remade] = await script.run(client, [partition.key, GROUP, maxAgeMs, ...members]);
  if (remade === 1) {
    const lost = Math.max(0, left - partition.untrimmed);
    partition.forgetEntries();
    return { lag: 0, lost };
  }
  partition.untrimmed = Math.max(0, partition.untrimmed - removed);
  return { lag: Math.max(0, left - partition.untrimmed), lost: undefined };
}
