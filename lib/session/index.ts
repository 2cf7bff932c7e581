// What `intelligent-session/store` exports: the store alone, for express-session as it stands.
export { type ErrorCode, IntelligentSessionError, OptionError } from '../errors/errors.js';
export type { RedisOption } from '../redis/connect.js';
export { mergeGrowing, type MergeSessions, type SessionContents } from './merge-growing.js';
export type { RedisSessionStoreOptions, Serializer } from './options.js';
export { RedisSessionStore } from './redis-session-store.js';
