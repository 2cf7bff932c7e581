import type { SessionOptions, Store } from 'express-session';
import type { Combo } from '../lib/intelligence/command/descriptor.js';
import type { RedisOption } from '../lib/redis/client.js';
import type { RemoteExecutorOptions } from '../lib/serving/remote-executor-options.js';
import type { RedisSessionStoreOptions } from '../lib/session/options.js';
import type { WorkerOptions } from '../lib/worker/options.js';
import type { Consent } from './consent.js';
import type { SiteNotifications } from './notification-groups.js';
import type { PageNameOptions } from './page-name.js';
import type { UserOption } from './subjects.js';
import type { Track } from './tracking.js';
import type { Bots } from './visitor-policy.js';

/** The options of a store that the middleware makes, which has the middleware's Redis, `user` and `itemSecret`. */
export type StoreOptions = Omit<RedisSessionStoreOptions, 'redis' | 'client' | 'url' | 'user' | 'itemSecret'>;

/**
 * The options of intelligentSession(). The comments are those of their schema (options.ts): `npm run docs:figures` writes them.
 */
export interface IntelligentSessionOptions {
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
   * Signs the cookie: a text, or several, of which the first signs and all are accepted. In production it is an error
   * at start where it is missing, where one of them has fewer than 8 characters or 4 different ones, or is a sample of
   * a tutorial (`keyboard cat`, `secret`). Fewer than 32 bytes are a warning, once for each process.
   * @default SESSION_SECRET
   */
  readonly secret?: string | string[] | undefined;
  /**
   * Stands before every channel and key of the intelligence, after a client's `keyPrefix`. Together they are the same
   * for site and worker.
   * @default ''
   */
  readonly namespace?: string | undefined;
  /**
   * express-session's other options. They are `cookie`, `genid`, `name` (or `key`), `proxy`, `resave`, `rolling`,
   * `saveUninitialized` and `unset`; `resave` is false and `saveUninitialized` is true unless you say otherwise.
   * @default {}
   */
  readonly session?: Omit<SessionOptions, 'secret' | 'store'> | undefined;
  /** Options of `RedisSessionStore`, or a store of your own. @default {} */
  readonly store?: Store | StoreOptions | undefined;
  /**
   * Which requests count by themselves, and under which name. `true`, `false`, `'route'`, or a function of the request
   * that gives true, false or the page's name.
   * @default true
   */
  readonly track?: Track | undefined;
  /** What belongs to a page's name besides its path. @default {} */
  readonly pages?: PageNameOptions | undefined;
  /**
   * Which requests are a bot's: a function of the request, or `false` for none. They are not tracked, and a session of
   * theirs that holds nothing is not stored.
   * @default isbot, by the user agent
   */
  readonly bots?: Bots | undefined;
  /**
   * Who consents to being tracked: a function of the request, which is not asked for bots. True or false decides;
   * undefined means no if the browser sends `Sec-GPC: 1`, and else yes. It is called before the session is read.
   * Without consent nothing is sent, but for what a user who is logged in does with notifications, and a session that
   * holds nothing is not stored.
   * @default by Sec-GPC
   */
  readonly consent?: Consent | undefined;
  /**
   * Published notifications: which groups a visitor is in. With it this process has two connections more, one of them
   * for what is told of changes; with `durable` a third.
   * @default none
   */
  readonly notifications?: SiteNotifications | undefined;
  /**
   * Who is the user of a session: a function of the session, whose answer is a text or a number, or `'identify'`, where
   * `req.intelligence.identify()` says it. What is known of a visitor is then carried to the user at a login and is
   * there on each of the user’s devices, and who comes after a logout finds nothing of it. `sessionsOf()` and
   * `destroyAllOf()` of the store need the function.
   * @default none
   */
  readonly user?: UserOption | undefined;
  /** How long what is known of a user is kept, from the last use on. Needs `user`. Unit: days. @default 90 */
  readonly keepUsersForDays?: number | undefined;
  /**
   * How often a session's id is renewed by itself. It needs a store that is made here (`store` has options, or is left
   * out), and all processes that share the sessions have to have it. Unit: seconds.
   * @default none
   */
  readonly rotateEvery?: number | undefined;
  /**
   * How long the old id still leads to the session once a request has come with the new one. Give it more than a page
   * takes to answer, and at most `rotateEvery`, which it needs. Unit: seconds.
   * @default 10
   */
  readonly rotateGrace?: number | undefined;
  /**
   * How long a request waits for an answer, on top of the way to Redis and back, which is measured. Unit: ms.
   * @default 100
   */
  readonly timeout?: number | undefined;
  /**
   * How long a request may wait for Redis: for the first connection, to read its session, and as long again to save it.
   * Time in which this process could not read does not count. A Redis that gives no sign of life for some 2 s is away:
   * then nobody waits until it is back. A client's own `commandTimeout` comes before it. Unit: ms.
   * @default 3000
   */
  readonly maxWaitMs?: number | undefined;
  /**
   * How messages travel, by pub/sub or by streams, the same for site and worker. `'pubsub'` is at most once, and
   * workers share sessions by glob; of `'stream'`, messages are kept till they are worked on, and workers share by
   * themselves. Needs `worker: 'external'`.
   * @default 'pubsub'
   */
  readonly transport?: RemoteExecutorOptions['transport'];
  /**
   * How many streams there are, 1 to 256, the same for site and worker. Needs `worker: 'external'` and `transport:
   * 'stream'`.
   * @default 16
   */
  readonly partitions?: number | undefined;
  /**
   * How many messages each stream holds at most; more are refused. Needs `worker: 'external'` and `transport:
   * 'stream'`.
   * @default 16384
   */
  readonly maxBacklog?: number | undefined;
  /**
   * What each stream takes at most, by MEMORY USAGE; more messages are refused. Needs `worker: 'external'` and
   * `transport: 'stream'`. Unit: bytes.
   * @default 16777216
   */
  readonly maxBacklogBytes?: number | undefined;
  /**
   * A message of a stream that has waited longer is dropped, the same for site and worker. Needs `worker: 'external'`
   * and `transport: 'stream'`. Unit: seconds.
   * @default 86400
   */
  readonly maxMessageAgeSeconds?: number | undefined;
  /**
   * How answers come: one list a process, or, with `'list'`, one a request. Needs `worker: 'external'`.
   * @default 'inbox'
   */
  readonly replies?: RemoteExecutorOptions['replies'];
  /**
   * How many connections wait for answers, each for one list at a time. Needs `worker: 'external'` and `replies:
   * 'list'`.
   * @default 16
   */
  readonly replyConnections?: number | undefined;
  /**
   * Who carries out commands: workers in processes of their own, or, with `'embedded'`, this process itself. Embedded,
   * there are no messages: scripts run over one connection beside the store's. External workers may serve the same
   * namespace at the same time.
   * @default 'external'
   */
  readonly worker?: 'external' | 'embedded' | undefined;
  /**
   * Bloom filters of RedisBloom (`'module'`), in plain Redis (`'fallback'`), or what the server has. Needs `worker:
   * 'embedded'`.
   * @default 'auto'
   */
  readonly bloom?: WorkerOptions['bloom'];
  /** Rate of false positives of a whole Bloom filter, over 0 and under 1. Needs `worker: 'embedded'`. @default 0.01 */
  readonly errorRate?: number | undefined;
  /** Items in the first layer of a Bloom filter, 1 to 2^30. Needs `worker: 'embedded'`. @default 100 */
  readonly capacity?: number | undefined;
  /**
   * Entries of each further layer, as a multiple of the one before, 1 to 32768. Needs `worker: 'embedded'`.
   * @default 2
   */
  readonly expansion?: number | undefined;
  /** How many days of activity are kept, 1 to 366. Needs `worker: 'embedded'`. Unit: days. @default 7 */
  readonly activityDays?: number | undefined;
  /** Commands of your own, by name. Needs `worker: 'embedded'`. @default {} */
  readonly commands?: WorkerOptions['commands'];
  /**
   * How long a command of your own may take. One that takes longer is counted (`timeout`) and answered with an error,
   * and its place is free. Needs `worker: 'embedded'`. Unit: ms.
   * @default 30000
   */
  readonly commandTimeoutMs?: number | undefined;
  /** How many messages may wait to be worked on; more are dropped. Needs `worker: 'embedded'`. @default 20000 */
  readonly maxQueue?: number | undefined;
  /**
   * A secret of 16 characters at least: pages and notification ids are replaced by codes before they are sent. Each
   * visitor has codes of their own (HMAC-SHA256 and AES-256): neither messages nor answers nor what is kept says the
   * pages (SECURITY.md). Users, and the groups of which somebody has read, are named by an HMAC. To change it, give a
   * list of the new secret and the former one: what was seen is found (another secret).
   * @default none
   */
  readonly itemSecret?: string | readonly string[] | undefined;
  /** Rules for suggestions, a list. @default [] */
  readonly combos?: readonly Combo[] | undefined;
}
