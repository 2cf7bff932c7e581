import { leaseKey, streamKey } from '../../redis/keys.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import type { RedisTarget } from '../../redis/target.js';
import { partitionOf } from '../protocol.js';
import { BatchingPublisher, type OutgoingMessage, type PublishResult } from '../publisher.js';

const script = new Script<number[]>(loadScript('lib/transport/stream/publish.lua'));
/** By the script's reply. */
const RESULTS: readonly PublishResult[] = ['shed', 'no-worker', 'sent'];

export interface StreamPublisherOptions {
  readonly partitions: number;
  /** Messages that a partition holds at most. */
  readonly maxBacklog: number;
  /** Bytes that a partition takes in Redis at most. */
  readonly maxBacklogBytes: number;
  /** A stream is gone so long after the last message was added to it. */
  readonly messageAgeMs: number;
}

/** Publishes by streams: the messages of one turn of the event loop by one script, or in a Cluster by one for each partition. */
export class StreamPublisher extends BatchingPublisher {
  constructor(
    readonly target: RedisTarget,
    readonly namespace: string,
    readonly options: StreamPublisherOptions,
  ) {
    super();
    target.loadAtReady(script);
  }

  routeOf(sid: string): string {
    return String(partitionOf(sid, this.options.partitions));
  }

  protected override *batches(messages: readonly OutgoingMessage[]): Generator<readonly OutgoingMessage[]> {
    for (const some of this.target.inCalls(messages, ({ sid }) => this.routeOf(sid))) yield* super.batches(some);
  }

  protected async send(messages: readonly OutgoingMessage[]): Promise<PublishResult[]> {
    const { partitions, maxBacklog, maxBacklogBytes, messageAgeMs } = this.options;
    const keys: string[] = [];
    const args: (string | number)[] = [maxBacklog, maxBacklogBytes, messageAgeMs];
    /** What the script calls each partition: its place among the keys. */
    const numbers = new Map<number, number>();
    for (const { sid, request, payload } of messages) {
      const partition = partitionOf(sid, partitions);
      let number = numbers.get(partition);
      if (number === undefined) {
        number = numbers.size + 1;
        numbers.set(partition, number);
        keys.push(streamKey(this.namespace, partition), leaseKey(this.namespace, partition));
      }
      args.push(number, request, payload);
    }
    const replies = await script.run(this.target.client, [...keys, ...args], keys.length);
    return replies.map((reply) => RESULTS[reply] as PublishResult);
  }
}
