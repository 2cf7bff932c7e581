// What `intelligent-session/worker` exports.
export { type ErrorCode, IntelligentSessionError, OptionError } from '../errors/errors.js';
export type { RedisOption } from '../redis/connect.js';
export type { NamedCombo } from '../intelligence/command/descriptor.js';
export type { Command, CommandRequest, CommandWithKeys } from '../intelligence/own-command.js';
export type { OwnKey, OwnKeyMerge } from '../intelligence/declared-keys.js';
export type { Logger, WorkerOptions } from './options.js';
export { createWorker, Worker } from './worker.js';
