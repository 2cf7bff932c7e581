import * as v from 'valibot';
import { checkOptions } from '../options/check-options.js';
import { integer, itemSecrets, namespace } from '../options/checks.js';
import { elsewhereOfNotifications } from '../options/misplaced-options.js';
import { about } from '../options/option-facts.js';
import type { RedisOption } from '../redis/client.js';
import { DEFAULT_MAX_WAIT_MS } from '../redis/connect.js';
import { redisEntries, resolveRedis } from '../redis/redis-option.js';

/**
 * The highest `maxPerGroup`, of a group's list and of a user's own: so many notifications may be visible, and as many again planned for
 * later. Planned ones that have become visible count when something is published next.
 */
export const MAX_PER_GROUP = 1_000;
const DEFAULT_PER_GROUP = 100;
const DEFAULT_BYTES = 4_096;
const MAX_BYTES = 65_536;
const DEFAULT_KEEP_DAYS = 90;
const MAX_KEEP_DAYS = 366;

/** The comments are those of the schema: `npm run docs:figures` writes them. */
export interface NotificationsOptions {
  /**
   * Where Redis is. A URL, the path of a socket, ioredis' options (Sentinel's among them), or a client of yours, an
   * ioredis Redis or Cluster or one of node-redis: connections of our own are made to the same place, and it is never
   * closed.
   * @default REDIS_URL, or redis://127.0.0.1:6379
   */
  readonly redis?: RedisOption | undefined;
  /** The same as `redis`, by connect-redis' name. Only one of the three is given. @default none */
  readonly client?: RedisOption | undefined;
  /** The same as `redis`, by the name that a URL often has. Only one of the three is given. @default none */
  readonly url?: string | undefined;
  /**
   * The namespace of the site whose visitors read the notifications. It stands before every key and channel, after a
   * client's `keyPrefix`.
   * @default ''
   */
  readonly namespace?: string | undefined;
  /**
   * The `itemSecret` of the site, by which users are named. Who publishes to `{ user }` under another one than the site
   * has, or without it, gets an error. Where the site has a list of secrets, give the same.
   * @default none
   */
  readonly itemSecret?: string | readonly string[] | undefined;
  /**
   * How many notifications a list, a group's or a user's own, has at most, 1 to 1000; the oldest go. As many again may
   * be planned for later; when they become visible, the oldest go with the next publication, and until then the list
   * may have more.
   * @default 100
   */
  readonly maxPerGroup?: number | undefined;
  /** How large a notification may be, as JSON with its id. Unit: bytes. @default 4096 */
  readonly maxBytes?: number | undefined;
  /**
   * How long a notification is kept from when it becomes visible, unless its `expires` is earlier. Unit: days.
   * @default 90
   */
  readonly keepForDays?: number | undefined;
  /**
   * How long a call may wait for Redis. With `durable`, its `timeoutMs` is added. Time in which this process could not
   * read does not count. Unit: ms.
   * @default 3000
   */
  readonly maxWaitMs?: number | undefined;
  /**
   * Waits until replicas have what was written, by WAIT on a connection of its own (in a Cluster, one to each master).
   * An empty object has all its defaults.
   * @default none
   */
  readonly durable?: { readonly replicas?: number | undefined; readonly timeoutMs?: number | undefined } | undefined;
}

export const durable = v.pipe(
  v.optional(
    v.strictObject({
      replicas: v.pipe(
        v.optional(integer(1, 16), 1),
        about('How many replicas have to have a write before its promise resolves.'),
      ),
      timeoutMs: v.pipe(
        v.optional(integer(1, 60_000), 1_000),
        about('How long the replicas may take to confirm it.', { unit: 'ms' }),
      ),
    }),
  ),
  about(
    '[Waits until replicas have what was written](notifications.md#never-lost), by WAIT on a connection of its own (in a Cluster, one to each master).',
    {
      more: 'An empty object has all its defaults.',
    },
  ),
);

export const schema = v.strictObject({
  ...redisEntries,
  namespace: v.pipe(
    v.optional(namespace, ''),
    about('The namespace of the site whose visitors read the notifications.', {
      more: "It stands before every key and channel, after a client's `keyPrefix`.",
    }),
  ),
  itemSecret: v.pipe(
    v.optional(itemSecrets),
    about('The `itemSecret` of the site, by which users are named.', {
      more: 'Who publishes to `{ user }` under another one than the site has, or without it, gets an error. Where the site has [a list of secrets](users.md#another-secret), give the same.',
    }),
  ),
  maxPerGroup: v.pipe(
    v.optional(integer(1, MAX_PER_GROUP), DEFAULT_PER_GROUP),
    about("How many notifications a list, a group's or a user's own, has at most, 1 to 1000; the oldest go.", {
      more:
        'As many again may be planned for later; when they become visible, the oldest go with the next publication, and until then ' +
        'the list may have more.',
    }),
  ),
  maxBytes: v.pipe(
    v.optional(integer(128, MAX_BYTES), DEFAULT_BYTES),
    about('How large a notification may be, as JSON with its id.', { unit: 'bytes' }),
  ),
  keepForDays: v.pipe(
    v.optional(integer(1, MAX_KEEP_DAYS), DEFAULT_KEEP_DAYS),
    about('How long a notification is kept from when it becomes visible, unless its `expires` is earlier.', {
      unit: 'days',
    }),
  ),
  maxWaitMs: v.pipe(
    v.optional(integer(1, 600_000), DEFAULT_MAX_WAIT_MS),
    about('How long a call may wait for Redis.', {
      unit: 'ms',
      more: 'With `durable`, its `timeoutMs` is added. Time in which this process could not read does not count.',
    }),
  ),
  durable,
});

const CALLER = 'createNotifications()';

export type ResolvedNotificationsOptions = ReturnType<typeof resolveNotificationsOptions>;

/** The checked options, with their defaults, and one `redis` of its three names. */
export function resolveNotificationsOptions(options: NotificationsOptions) {
  const { client, url, redis, ...rest } = checkOptions(schema, options, CALLER, elsewhereOfNotifications);
  return { ...rest, redis: resolveRedis({ client, url, redis }, CALLER) };
}
