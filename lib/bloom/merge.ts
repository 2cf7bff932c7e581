import { checkList } from '../options/check-arguments.js';
import { bloomFault } from './bloom-error.js';
import type { BloomDump, BloomFilter } from './bloom-filter.js';
import { unite } from './union.js';

const TRIES = 10;

/** BloomFilter.merge, on both implementations: dump all, unite here, load if nothing has changed meanwhile. */
export async function merge(filter: BloomFilter, target: string, sources: readonly string[]): Promise<void> {
  checkList('merge', sources);
  const keys = [...new Set([target, ...sources])];
  for (let tried = 0; tried < TRIES; tried++) {
    const dumps = await Promise.all(keys.map((key) => filter.dump(key)));
    const there = dumps.filter((dump): dump is BloomDump => dump !== undefined);
    if (there.length === 0 || (there.length === 1 && dumps[0])) return;
    const ttlMs = dumps[0] ? dumps[0].ttlMs : longest(there);
    const dump = { bytes: unite(there.map(({ bytes }) => bytes)), ttlMs };
    if (await filter.load(target, dump, new Map(keys.map((key, i) => [key, dumps[i]])))) return;
  }
  throw bloomFault('BUSY');
}

const longest = (dumps: readonly BloomDump[]): number | undefined =>
  dumps.some(({ ttlMs }) => ttlMs === undefined) ? undefined : Math.max(...dumps.map(({ ttlMs }) => ttlMs as number));
