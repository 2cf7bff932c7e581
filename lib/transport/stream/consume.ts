import { EventEmitter } from 'node:events';
import { IntelligentSessionError, redisFault } from '../../errors/errors.js';
import type { RedisTarget } from '../../redis/target.js';
import type { Source, SourceEvents } from '../source.js';
import type { SourceMetrics } from '../source-metrics.js';
import type { MessageContext, WorkerTask } from '../worker-task.js';
import { Acknowledger } from './acknowledge.js';
import { Assignment, type AssignmentOptions } from './assignment.js';
import { MAX_DELIVERIES } from './claim.js';
import { taskOf } from './entry.js';
import { Heartbeat } from './heartbeat.js';
import { OwnedPartitions } from './owned-partitions.js';
import type { Partition } from './partition.js';
import { type Delivered, Reader } from './reader.js';

export interface StreamSourceOptions extends AssignmentOptions {
  /** How many messages the worker's queue holds: no more are read than that. */
  readonly maxQueue: number;
}

/**
 * Receives messages by Redis Streams. Messages are delivered at least once; built-in commands take effect once. Each partition
 * belongs to one worker at a time, so that the messages of a session keep their order. Workers share the partitions evenly without
 * a coordinator, and take over those of a worker that is gone. https://redis.io/docs/latest/develop/data-types/streams/
 */
export class StreamSource extends EventEmitter<SourceEvents> implements Source {
  readonly #partitions: OwnedPartitions;
  readonly #acknowledger: Acknowledger;
  readonly #assignment: Assignment;
  readonly #heartbeat: Heartbeat;
  /** One reader, or in a Cluster one for each partition. */
  readonly #readers = new Set<Reader>();
  #isClosed = false;
  #isAbandoned = false;

  constructor(
    readonly target: RedisTarget,
    readonly options: StreamSourceOptions,
    readonly metrics: SourceMetrics,
    readonly context: MessageContext,
  ) {
    super();
    const onFault = (error: unknown) => this.#fault(error);
    this.#partitions = new OwnedPartitions(options.maxQueue);
    this.#acknowledger = new Acknowledger(target.client, this.#partitions, onFault);
    this.#assignment = new Assignment(target.client, options, metrics, this.#partitions, this.#acknowledger, {
      owned: (partition) => this.#startReading(partition),
      lost: (partition) => this.#stopReading(partition),
      readToEnd: ({ key }) => this.#readsToEnd([...this.#readers].filter(({ partitions }) => partitions.has(key))),
      fault: onFault,
    });
    const onRecovered = () => {
      if (!this.#assignment.isStopping) this.emit('ready');
    };
    this.#heartbeat = new Heartbeat(() => this.#assignment.beat(), onFault, onRecovered);
    if (target.sharesCalls) this.#addReader();
  }

  /** Were the leases renewed lately, and did the last reads succeed? (On a dead connection they fail: liveness.ts ends it.) */
  get listening(): boolean {
    const { isStopping } = this.#assignment;
    return !isStopping && this.#heartbeat.isRecent && ![...this.#readers].some(({ isDeaf }) => isDeaf);
  }

  get failingPartitions(): number {
    return this.#assignment.failing.size;
  }

  start(): Promise<void> {
    return this.#heartbeat.start();
  }

  /** Stops reading. Each partition is given back when all its entries that were read are finished. */
  async stop(): Promise<void> {
    this.#assignment.stop();
    await this.#readsToEnd(this.#readers);
    await this.#heartbeat.beatNow();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#assignment.stop();
    // The readers stop first: a heartbeat may wait for a read.
    for (const reader of this.#readers) reader.stop();
    await this.#heartbeat.close();
    if (!this.#isAbandoned && this.target.client.status === 'ready')
      await this.#assignment.releaseAll().catch((error) => this.#fault(error));
    for (const reader of this.#readers) reader.close();
  }

  abandon(): void {
    this.#isAbandoned = true;
    for (const reader of this.#readers) reader.close();
  }

  finished({ entry, acknowledged }: WorkerTask): void {
    const partition = entry && this.#partitions.get(entry.stream);
    if (partition) this.#finish(partition, entry.id, acknowledged);
  }

  #finish(partition: Partition, id: string, isAcknowledged: boolean): void {
    if (!partition.finish(id, isAcknowledged)) return;
    if (!isAcknowledged) this.#acknowledger.schedule();
    this.#partitions.changed();
  }

  /** Makes tasks of the entries. One of a wrong form is refused, and counts as finished. */
  #take(delivered: Delivered): void {
    const tasks: WorkerTask[] = [];
    for (const [partition, entries] of delivered)
      for (const entry of entries) {
        const [id, [, , , payload]] = entry;
        partition.begin(id, payload?.length ?? 0);
        try {
          tasks.push(taskOf(entry, partition, this.context));
        } catch (error) {
          this.emit('refused', error as Error);
          this.#finish(partition, id, false);
        }
      }
    if (tasks.length > 0) this.emit('messages', tasks);
  }

  #startReading(partition: Partition): void {
    const { key } = partition;
    const [reader] = this.target.sharesCalls ? this.#readers : [this.#addReader(key)];
    reader?.partitions.set(key, partition);
  }

  #stopReading(partition: Partition): void {
    for (const reader of this.#readers) {
      if (!reader.partitions.delete(partition.key) || this.target.sharesCalls) continue;
      this.#readers.delete(reader);
      reader.close();
    }
  }

  /** `key`, in a Cluster: the stream of the reader's partition, to whose node it connects. */
  #addReader(key?: string): Reader {
    const client = this.target.connect('blocking', key === undefined ? undefined : () => key);
    const reader = new Reader(client, this.target.client, this.options.id, this.#partitions, {
      entries: (delivered) => this.#take(delivered),
      claimed: (entries) => {
        this.metrics.claimedMessages.inc(entries);
        this.emit('claimed', entries);
      },
      givenUp: (entries) => {
        this.metrics.lostMessages.inc(entries);
        this.#fault(givenUp(entries));
      },
      unreadable: (partition) => this.#assignment.forgetUnreadable(partition),
      fault: (error) => this.#fault(error),
    });
    this.#readers.add(reader);
    return reader;
  }

  async #readsToEnd(readers: Iterable<Reader>): Promise<void> {
    await Promise.all(Array.from(readers, (reader) => reader.idle()));
  }

  #fault(error: unknown): void {
    // After abandon(), heartbeats and acknowledgements fail because the worker has ended its connection: that is no fault.
    if (!this.#isAbandoned) this.emit('fault', redisFault(error));
  }
}

const givenUp = (entries: number): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_MESSAGE',
    `${entries} messages were given out ${MAX_DELIVERIES} times and never finished: given up`,
  );
