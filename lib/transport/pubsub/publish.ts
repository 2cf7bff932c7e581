import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import type { RedisTarget } from '../../redis/target.js';
import { channelOf } from '../protocol.js';
import { BatchingPublisher, type OutgoingMessage, type PublishResult } from '../publisher.js';

const script = new Script<number[]>(loadScript('lib/transport/pubsub/publish.lua'), 0);

/** Publishes messages by pub/sub: a single message by PUBLISH, several of one turn of the event loop by one script. */
export class PubSubPublisher extends BatchingPublisher {
  constructor(
    readonly target: RedisTarget,
    readonly namespace: string,
    /** Does the reply of PUBLISH count all subscribers? In a Cluster it counts those of one node: of 0 nothing follows. */
    readonly knowsListeners: boolean,
  ) {
    super();
    target.loadAtReady(script);
  }

  /** The first character of the id, by which workers mostly share the sessions (shard.ts). */
  routeOf(sid: string): string {
    return sid.charAt(0);
  }

  protected async send(messages: readonly OutgoingMessage[]): Promise<PublishResult[]> {
    const { client, database } = this.target;
    const args = messages.flatMap(({ request, payload }) => [channelOf(this.namespace, request, database), payload]);
    const [channel = '', payload = ''] = args;
    const heard = messages.length === 1 ? [await client.publish(channel, payload)] : await script.run(client, args);
    return heard.map((listeners) => (this.knowsListeners && listeners === 0 ? 'no-worker' : 'sent'));
  }
}
