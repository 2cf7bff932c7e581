// What the main entry loads when it is first called, so that a site with neither does not wait for it: see `LAZY` in build.ts.
import { chooseBloomFilter } from './bloom-choice/choose-bloom-filter.js';
import { createWorker as create } from './worker/worker.js';

export const createBloomFilter: typeof chooseBloomFilter = (...options) => chooseBloomFilter(...options);

export const createWorker: typeof create = (options) => create(options);
