import type { RedisClient } from '../../redis/connect.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import { GROUP } from '../protocol.js';
import type { Partition } from './partition.js';

const script = new Script<[removed: number, left: number, remade: 0 | 1, astray: 0 | 1]>(
  loadScript('lib/transport/stream/trim.lua'),
);

export interface Trimmed {
  /** How many messages of the partition are not finished. */
  readonly lag: number;
  /** How many messages were lost with a stream that could take no more and was made anew; undefined where none was. */
  readonly lost: number | undefined;
  /** Was something given out to other workers, and not finished? */
  readonly isAstray: boolean;
}

/**
 * Removes the entries that every consumer group has read and acknowledged, and those consumers of this group that are not among
 * `members` and have nothing pending. Makes a stream anew that can take no more. Lets it expire `maxAgeMs` from now. One
 * script.
 */
export async function trim(
  client: RedisClient,
  partition: Partition,
  workerId: string,
  members: readonly string[],
  maxAgeMs: number,
): Promise<Trimmed> {
  const args = [partition.key, GROUP, maxAgeMs, workerId, ...members];
  const [removed, left, remade, astray] = await script.run(client, args);
  if (remade === 1) {
    const lost = Math.max(0, left - partition.untrimmed);
    partition.forgetEntries();
    return { lag: 0, lost, isAstray: false };
  }
  // The stream may have been deleted, or trimmed by somebody else.
  partition.untrimmed = Math.min(Math.max(0, partition.untrimmed - removed), left);
  return { lag: Math.max(0, left - partition.untrimmed), lost: undefined, isAstray: astray === 1 };
}
