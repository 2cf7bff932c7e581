import type { EventEmitter } from 'node:events';
import type { WorkerTask } from './worker-task.js';

export interface SourceEvents {
  /** Messages have come, in their order. */
  messages: [tasks: readonly WorkerTask[]];
  /** The source listens: at start, and each time that it listens again. */
  ready: [];
  fault: [error: Error];
  /** A message was not taken, since it is beyond the sizes and forms of WIRE.md. */
  refused: [error: Error];
  /** By pub/sub: the source is subscribed again, and has heard nothing for so many ms. */
  'subscription-lost': [ms: number];
  /** By streams: so many messages were claimed, which were delivered before and never finished. */
  claimed: [messages: number];
}

/** Where a worker's messages come from: one implementation for each transport. */
export interface Source extends EventEmitter<SourceEvents> {
  /** Does it hear what is sent? Known from what its connections did last: asking costs no command. */
  readonly listening: boolean;
  /** Of how many partitions Redis has answered with an error lately; 0 by pub/sub. */
  readonly failingPartitions: number;
  /** Resolves when the source listens. */
  start(): Promise<void>;
  /** To be called for each message that was finished, or dropped. */
  finished(task: WorkerTask): void;
  /** Takes no more messages. Resolves when those that were taken have been emitted. */
  stop(): Promise<void>;
  /** Gives back its partitions, also where messages are unfinished, and closes its connections. */
  close(): Promise<void>;
  /** Closes its connections without waiting for Redis, also while close() waits. */
  abandon(): void;
}
