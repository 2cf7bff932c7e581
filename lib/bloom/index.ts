// What `intelligent-session/bloom` exports.
export { type ErrorCode, IntelligentSessionError, OptionError } from '../errors/errors.js';
export type { BloomDump, BloomFilter, BloomInfo, BloomItem, BloomOptions, BloomShape } from './bloom-filter.js';
export { type BloomChoice, chooseBloomFilter as createBloomFilter } from '../bloom-choice/choose-bloom-filter.js';
export { copyFilter, type FilterPlace } from './copy-filter.js';
