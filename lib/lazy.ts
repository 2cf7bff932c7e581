// Each function loads its module at its first call, so that a site that calls neither starts sooner: see `LAZY` in build.ts.
import { chooseBloomFilter } from './bloom-choice/choose-bloom-filter.js';
import { createWorker as create } from './worker/worker.js';

export const createBloomFilter: typeof chooseBloomFilter = (...options) => chooseBloomFilter(...options);

export const createWorker: typeof create = (options) => create(options);
