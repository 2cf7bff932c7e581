import type { ItemSecretOption } from '../options/item-secrets.js';
import type { RedisOption } from '../redis/connect.js';
import { requireOneServer } from '../redis/open-target.js';
import type { RedisTarget } from '../redis/target.js';
import { DEFAULT_PARTITIONS, messageAgeMsOf } from '../transport/protocol.js';
import type { Publisher } from '../transport/publisher.js';
import { PubSubPublisher } from '../transport/pubsub/publish.js';
import { StreamPublisher } from '../transport/stream/publish.js';

export interface RemoteExecutorOptions {
  /** Stands before every channel and key, after the client's `keyPrefix`. @default '' */
  readonly namespace?: string | undefined;
  /** How messages travel, the same for the workers. @default 'pubsub' */
  readonly transport?: 'pubsub' | 'stream' | undefined;
  /** Streams of the transport `stream`, as many as the workers have. @default 16 */
  readonly partitions?: number | undefined;
  /** Messages that each stream holds at most; more are refused. @default 16384 */
  readonly maxBacklog?: number | undefined;
  /** Bytes that each stream takes in Redis at most; more are refused. @default 16777216 */
  readonly maxBacklogBytes?: number | undefined;
  /** How long a message of a stream may wait, the same for the workers. @default 86400 */
  readonly maxMessageAgeSeconds?: number | undefined;
  /** How answers come: by one list for the process, or as in the white paper by one for each request. @default 'inbox' */
  readonly replies?: 'inbox' | 'list' | undefined;
  /** Blocking connections of `replies: 'list'`. @default 16 */
  readonly replyConnections?: number | undefined;
  /** How long the first connection is waited for, and how long a message that nobody waits for is kept, ms. @default 3000 */
  readonly maxWaitMs?: number | undefined;
  /** With this, pages and notification ids are keyed before they are sent; 16 characters at least. @default none */
  readonly itemSecret?: ItemSecretOption | undefined;
  /** Has the application users, whose data are kept by themselves? @default false */
  readonly hasUsers?: boolean;
  /** Does a line on the console say that Redis is away, where nobody listens? Not where a store on the same Redis says it. @default true */
  readonly tellsAway?: boolean;
}

export const DEFAULT_BACKLOG = 16_384;
export const DEFAULT_BACKLOG_BYTES = 16 * 1024 * 1024;
export const DEFAULT_REPLY_CONNECTIONS = 16;

/** Throws an OptionError where answers can't come that way. */
export function checkReplies(redis: RedisOption, replies: RemoteExecutorOptions['replies']): void {
  if (replies === 'list')
    requireOneServer(redis, 'option "replies": lists of each request need one Redis; on a Cluster there is the inbox');
}

/** Which way messages leave. `knowsListeners`: does the server know whether a worker listens, wherever it is connected? */
export function publisherOf(
  target: RedisTarget,
  namespace: string,
  knowsListeners: boolean,
  options: RemoteExecutorOptions,
): Publisher {
  const { transport, partitions = DEFAULT_PARTITIONS } = options;
  if (transport !== 'stream') return new PubSubPublisher(target, namespace, knowsListeners);
  const { maxBacklog = DEFAULT_BACKLOG, maxBacklogBytes = DEFAULT_BACKLOG_BYTES } = options;
  const messageAgeMs = messageAgeMsOf(options);
  return new StreamPublisher(target, namespace, { partitions, maxBacklog, maxBacklogBytes, messageAgeMs });
}
