import { checkList } from '../options/check-arguments.js';
import { bloomFault } from './bloom-error.js';
import type { BloomDump, BloomFilter } from './bloom-filter.js';
import { unionOf } from './union.js';

/** How often a merge is tried where a filter is written meanwhile. Each time all filters are read again, so this is bounded. */
const MAX_TRIES = 10;

/** BloomFilter.merge of both implementations: dumps all, makes the union here, and loads it if no filter has changed meanwhile. */
export async function merge(filter: BloomFilter, target: string, sources: readonly string[]): Promise<void> {
  checkList('merge', sources);
  const keys = [...new Set([target, ...sources])];
  for (let tried = 0; tried < MAX_TRIES; tried++) {
    const dumps = await Promise.all(keys.map((key) => filter.dump(key)));
    const existing = dumps.filter((dump): dump is BloomDump => dump !== undefined);
    if (existing.length === 0 || (existing.length === 1 && dumps[0])) return; // there is no source to add
    const ttlMs = dumps[0] ? dumps[0].ttlMs : longestTtl(existing);
    const dump = { bytes: unionOf(existing.map(({ bytes }) => bytes)), ttlMs };
    if (await filter.load(target, dump, new Map(keys.map((key, i) => [key, dumps[i]])))) return;
  }
  throw bloomFault('BUSY');
}

const longestTtl = (dumps: readonly BloomDump[]): number | undefined =>
  dumps.some(({ ttlMs }) => ttlMs === undefined) ? undefined : Math.max(...dumps.map(({ ttlMs }) => ttlMs as number));
