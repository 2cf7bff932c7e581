// What `intelligent-session/worker` exports.
export { type ErrorCode, IntelligentSessionError, OptionError } from '../errors.js';
export type { RedisOption } from '../redis/connect.js';
export type { Command, CommandRequest } from './commands/command.js';
export type { Logger, NamedCombo, WorkerOptions } from './options.js';
export { createWorker, Worker } from './worker.js';
