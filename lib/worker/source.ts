import type { EventEmitter } from 'node:events';
import type { WorkerTask } from './worker-task.js';

export interface SourceEvents {
  /** in their order, some at a time */
  messages: [messages: readonly WorkerTask[]];
  ready: [];
  fault: [error: Error];
  /** it was deaf for so long, ms */
  gap: [ms: number];
  /** so many messages that were given out before and not finished */
  'taken-over': [messages: number];
}

/** Where a worker's messages come from. */
export interface Source extends EventEmitter<SourceEvents> {
  readonly listening: boolean;
  /** Resolves when it listens. */
  start(): Promise<void>;
  /** A message is finished, or was dropped. */
  finished(message: WorkerTask): void;
  /** Takes no more messages; those that were taken have been emitted. */
  stop(): Promise<void>;
  /** Sends a message to itself: does it hear it within `timeoutMs`? */
  hearsItself(timeoutMs: number): Promise<boolean>;
  /** Closes its connections; what was taken is finished. */
  close(): Promise<void>;
}
