import type { EventEmitter } from 'node:events';
import type { WorkerTask } from './worker-task.js';

export interface SourceEvents {
  /** Messages in their order, some at a time. */
  messages: [tasks: readonly WorkerTask[]];
  /** It listens: at start, and each time it listens again. */
  ready: [];
  fault: [error: Error];
  /** It is subscribed again, after so long without a subscription, ms. */
  'subscription-lost': [ms: number];
  /** It has taken over so many messages that were given out before and not finished. */
  claimed: [messages: number];
}

/** Where a worker's messages come from: one implementation for each transport. */
export interface Source extends EventEmitter<SourceEvents> {
  /** Does it hear what is sent? This is known from what its connections did last: asking costs nothing. */
  readonly listening: boolean;
  /** Of how many partitions Redis answered with an error lately; none by pub/sub. */
  readonly failingPartitions: number;
  /** Resolves when it listens. */
  start(): Promise<void>;
  /** To be told of each message that was finished, or dropped. */
  finished(task: WorkerTask): void;
  /** Takes no more messages. Resolves when those that were taken have been emitted. */
  stop(): Promise<void>;
  /** Gives back what it reads, and closes its connections, once what was taken is finished. */
  close(): Promise<void>;
  /** Closes its connections without waiting for Redis, also while close() waits. */
  abandon(): void;
}
