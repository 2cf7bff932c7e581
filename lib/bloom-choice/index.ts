// What `intelligent-session/bloom` exports.
export { type ErrorCode, IntelligentSessionError, OptionError } from '../errors/errors.js';
export type { BloomDump, BloomFilter, BloomInfo, BloomItem, BloomOptions, BloomShape } from '../bloom/bloom-filter.js';
export { type BloomChoice, chooseBloomFilter as createBloomFilter } from './choose-bloom-filter.js';
export { copyFilter, type FilterPlace } from '../bloom/copy-filter.js';
