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
  /** How messages travel; the workers need the same. @default 'pubsub' */
  readonly transport?: 'pubsub' | 'stream' | undefined;
  /** How many streams the transport `stream` has; the workers need the same. @default 16 */
  readonly partitions?: number | undefined;
  /** Messages that each stream holds at most; more are refused. @default 16384 */
  readonly maxBacklog?: number | undefined;
  /** Bytes that each stream takes in Redis at most; more are refused. @default 16777216 */
  readonly maxBacklogBytes?: number | undefined;
  /** How long a message of a stream may wait; the workers need the same. @default 86400 */
  readonly maxMessageAgeSeconds?: number | undefined;
  /** How answers come: by one list for the process, or, as in the white paper, by a list for each request. @default 'inbox' */
  readonly replies?: 'inbox' | 'list' | undefined;
  /** How many blocking connections `replies: 'list'` has at most. @default 16 */
  readonly replyConnections?: number | undefined;
  /** How long the first connection is waited for, and a message that nobody waits for is held without one, ms. @default 3000 */
  readonly maxWaitMs?: number | undefined;
  /** With this, pages and notification ids are keyed before they are sent; 16 characters at least. @default none */
  readonly itemSecret?: ItemSecretOption | undefined;
  /** Does the application name users? Their data are kept apart from those of sessions. @default false */
  readonly hasUsers?: boolean;
  /** Does the console say that Redis is away, where nobody listens to `away`? Not where a store on it says so. @default true */
  readonly tellsAway?: boolean;
}

export const DEFAULT_BACKLOG = 16_384;
export const DEFAULT_BACKLOG_BYTES = 16 * 1024 * 1024;
export const DEFAULT_REPLY_CONNECTIONS = 16;

/** Throws an OptionError where answers can't come in this way: lists of each request need one Redis. */
export function checkReplies(redis: RedisOption, replies: RemoteExecutorOptions['replies']): void {
  if (replies === 'list')
    requireOneServer(redis, 'option "replies": lists of each request need one Redis; on a Cluster there is the inbox');
}

/** The publisher of the transport that is chosen. `knowsListeners`: does PUBLISH count all subscribers, wherever they are? */
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
