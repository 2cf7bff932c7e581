// What `intelligent-session` exports.
export {
  type IntelligentSession,
  intelligentSession as default,
  intelligentSession,
} from '../middleware/intelligent-session.js';
export { type AskOptions, type AskResult, UnansweredError, type UnansweredReason } from '../middleware/ask-result.js';
export type { Consent } from '../middleware/consent.js';
export type { IntelligentSessionOptions } from '../middleware/intelligent-session-options.js';
export type { PageNameOptions } from '../middleware/page-name.js';
export { type IntelligentRequest, RequestIntelligence } from '../middleware/request-intelligence.js';
export type { Track } from '../middleware/tracking.js';
export type { VisitorIntelligence } from '../middleware/visitor-intelligence.js';
export type { Bots } from '../middleware/visitor-policy.js';
export type { Who } from '../middleware/visitors.js';
export type { BloomDump, BloomFilter, BloomInfo, BloomItem, BloomOptions, BloomShape } from './bloom/bloom-filter.js';
export type { BloomChoice } from './bloom-choice/choose-bloom-filter.js';
export { copyFilter, type FilterPlace } from './bloom/copy-filter.js';
export { type ErrorCode, IntelligentSessionError, OptionError } from './errors/errors.js';
export type { Combo } from './intelligence/command/descriptor.js';
export type { PageviewReport } from './intelligence/commands/pageview/index.js';
export type { Command, CommandRequest, CommandWithKeys } from './intelligence/own-command.js';
export type { OwnKey, OwnKeyMerge } from './intelligence/declared-keys.js';
export { createBloomFilter, createWorker } from './lazy.js';
export type { RedisOption } from './redis/connect.js';
export type { Answer, DegradedReason, Executor, ExecutorEvents } from './serving/executor.js';
export { mergeGrowing, type MergeSessions, type SessionContents } from './session/merge-growing.js';
export type { RedisSessionStoreOptions, Serializer } from './session/options.js';
export { RedisSessionStore } from './session/redis-session-store.js';
export type { WorkerOptions } from './worker/options.js';
export type { Worker } from './worker/worker.js';
