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
  /** Does it hear what is sent? Known from what its connections did last: asking costs nothing. */
  readonly listening: boolean;
  /** Resolves when it listens. */
  start(): Promise<void>;
  /** A message is finished, or was dropped. */
  finished(message: WorkerTask): void;
  /** Takes no more messages; those that were taken have been emitted. */
  stop(): Promise<void>;
  /** Closes its connections; what was taken is finished. `atOnce`: Redis is not waited for, the target's own connection has ended. */
  close(atOnce?: boolean): Promise<void>;
}
