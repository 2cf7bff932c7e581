import { argumentError } from '../options/check-arguments.js';
import { bloomFault } from './bloom-error.js';
import type { BloomFilter } from './bloom-filter.js';

/** Where a filter is: its key, and the connection and implementation, which createBloomFilter() gives. */
export interface FilterPlace {
  readonly filter: BloomFilter;
  readonly key: string;
}

/**
 * Copies a filter between implementations and servers, losslessly and with its expiry; the source stays. Takes two round trips
 * (BF.SCANDUMP or GET, with PTTL; then BF.LOADCHUNK or SET, in one atomic step), and the filter's bytes are in memory here
 * meanwhile. Gives false if there is nothing at the source, and rejects if the target exists. The copy lacks what is added to
 * the source meanwhile: stop the writers, or merge() afterwards. To move a filter on its own server, copy it to another key and
 * RENAME that.
 */
export async function copyFilter(from: FilterPlace, to: FilterPlace): Promise<boolean> {
  for (const side of [from, to])
    if (typeof side?.filter?.dump !== 'function')
      throw argumentError('copyFilter', 'two places, each with a filter and a key', side);
  const dump = await from.filter.dump(from.key);
  if (!dump) return false;
  if (!(await to.filter.load(to.key, dump))) throw bloomFault('item exists');
  return true;
}
