import { leaseKey, streamKey } from '../../redis/keys.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import type { RedisTarget } from '../../redis/target.js';
import { partitionOf } from '../protocol.js';
import { BatchingPublisher, type OutgoingMessage, type PublishResult } from '../publisher.js';

const script = new Script<(number | Error)[]>(loadScript('lib/transport/stream/publish.lua'));
/** The result for each number that the script replies, from 0. */
const RESULTS: readonly PublishResult[] = ['shed', 'no-worker', 'sent', 'passing'];

export interface StreamPublisherOptions {
  readonly partitions: number;
  /** The most messages that a partition's stream holds. */
  readonly maxBacklog: number;
  /** The most bytes that a partition's stream takes in Redis. */
  readonly maxBacklogBytes: number;
  /** How long a stream lives to which nobody adds, and which no worker reads. */
  readonly messageAgeMs: number;
}

/** Publishes messages to streams: those of one turn of the event loop in few calls of a script, in a Cluster each partition's by its own. */
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
    for (const ofCall of this.target.inCalls(messages, ({ sid }) => this.routeOf(sid))) yield* super.batches(ofCall);
  }

  protected async send(messages: readonly OutgoingMessage[]): Promise<(PublishResult | Error)[]> {
    const { partitions, maxBacklog, maxBacklogBytes, messageAgeMs } = this.options;
    const keys: string[] = [];
    const args: (string | number)[] = [maxBacklog, maxBacklogBytes, messageAgeMs];
    /** By partition: the place of its two keys among the script's keys, from 1, by which the script's arguments name it. */
    const places = new Map<number, number>();
    for (const { sid, request, payload } of messages) {
      const partition = partitionOf(sid, partitions);
      let place = places.get(partition);
      if (place === undefined) {
        place = places.size + 1;
        places.set(partition, place);
        keys.push(streamKey(this.namespace, partition), leaseKey(this.namespace, partition));
      }
      args.push(place, request, payload);
    }
    const replies = await script.run(this.target.client, [...keys, ...args], keys.length);
    return replies.map((reply) => (reply instanceof Error ? reply : (RESULTS[reply] as PublishResult)));
  }
}
