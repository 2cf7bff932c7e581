import { argumentError } from '../options/check-arguments.js';
import { bloomFault } from './bloom-error.js';
import type { BloomFilter } from './bloom-filter.js';

/** A filter by its key, on a connection and in an implementation: `filter` comes from createBloomFilter(). */
export interface FilterPlace {
  readonly filter: BloomFilter;
  readonly key: string;
}

/**
 * Copies a filter, between implementations and servers, losslessly and with its expiry; the source stays. Two round trips
 * (BF.SCANDUMP or GET, with PTTL; BF.LOADCHUNK or SET, in one atomic step), the filter's bytes in memory here.
 * false if there is nothing at the source; rejects if the target exists. What is added to the source meanwhile is not in
 * the copy: stop the writers, or merge() afterwards. To move one on its own server: copy to another key, then RENAME.
 */
export async function copyFilter(from: FilterPlace, to: FilterPlace): Promise<boolean> {
  for (const place of [from, to])
    if (typeof place?.filter?.dump !== 'function')
      throw argumentError('copyFilter', 'two places, each with a filter and a key', place);
  const dump = await from.filter.dump(from.key);
  if (!dump) return false;
  if (!(await to.filter.load(to.key, dump))) throw bloomFault('item exists');
  return true;
}
