import type { SessionOptions, Store } from 'express-session';
import * as v from 'valibot';
import { checkOptions, kindOf, namespace, refuseWithout, transport, whole } from '../lib/options/check-options.js';
import { elsewhereInStore, elsewhereOfMiddleware } from '../lib/options/misplaced-options.js';
import { OptionError } from '../lib/errors/errors.js';
import type { Combo } from '../lib/intelligence/command/descriptor.js';
import { DEFAULT_MESSAGE_AGE_SECONDS, DEFAULT_PARTITIONS } from '../lib/transport/protocol.js';
import { checkRedis, DEFAULT_MAX_WAIT_MS, defaultRedis, namespaceOf, type RedisOption } from '../lib/redis/connect.js';
import {
  checkReplies,
  DEFAULT_BACKLOG,
  DEFAULT_BACKLOG_BYTES,
  DEFAULT_REPLY_CONNECTIONS,
  type RemoteExecutorOptions,
} from '../lib/serving/remote-executor-options.js';
import type { RedisSessionStoreOptions } from '../lib/session/options.js';
import { executorEntries, MAX_QUEUE_BYTES, ownCommands, type WorkerOptions } from '../lib/worker/options.js';
import { checkSecret } from './check-secret.js';
import type { PageNameOptions } from './page-name.js';
import type { Track } from './tracking.js';
import { type Bots, declaredBots } from './visitor-policy.js';

type StoreOptions = Omit<RedisSessionStoreOptions, 'redis' | 'client' | 'url'>;

export interface IntelligentSessionOptions {
  /** URL, ioredis options or an ioredis client (duplicated, never closed). @default REDIS_URL, or redis://127.0.0.1:6379 */
  readonly redis?: RedisOption | undefined;
  /**
   * Signs the cookie; several: the first signs, all are accepted. In production each has 8 characters at least and is no sample
   * of a tutorial; fewer than 32 bytes are a warning. @default SESSION_SECRET; required in production
   */
  readonly secret?: string | string[] | undefined;
  /** Stands before every channel and key of the intelligence, after the client's `keyPrefix`. @default '' */
  readonly namespace?: string | undefined;
  /** express-session's other options: name, cookie, proxy, rolling, unset, genid… @default {} */
  readonly session?: Omit<SessionOptions, 'secret' | 'store'> | undefined;
  /** A store of your own, or options for ours. @default {} */
  readonly store?: Store | StoreOptions | undefined;
  /** Which requests count as page views by themselves, and under which name. @default true: GET pages, not assets */
  readonly track?: Track | undefined;
  /** What belongs to a page's name: parameters of the query, and (`strict`) the slash at its end. @default { strict: false, query: [] } */
  readonly pages?: PageNameOptions | undefined;
  /** Which requests are a bot's: not tracked, and no session stored that holds nothing. @default isbot, by the user agent */
  readonly bots?: Bots | undefined;
  /** How long a request waits for a worker's answer, on top of the way to Redis and back, ms. @default 100 */
  readonly timeout?: number | undefined;
  /**
   * How long a request may wait for Redis, ms: for the first connection, and for the answer to a command of the store.
   * @default 3000
   */
  readonly maxWaitMs?: number | undefined;
  /** How requests travel; the same for the worker. @default 'pubsub' */
  readonly transport?: RemoteExecutorOptions['transport'];
  /** Streams of the transport 'stream'; the same for the worker. @default 16 */
  readonly partitions?: number | undefined;
  /** Messages that each of them holds at most; more are refused. @default 16384 */
  readonly maxBacklog?: number | undefined;
  /** Bytes that each of them takes in Redis at most; more are refused. @default 16777216 */
  readonly maxBacklogBytes?: number | undefined;
  /** Seconds for which one of them may wait; the same for the worker. @default 86400 */
  readonly maxMessageAgeSeconds?: number | undefined;
  /** How answers come: one list a process, or the white paper's, one a request. @default 'inbox' */
  readonly replies?: RemoteExecutorOptions['replies'];
  /** Blocking connections of `replies: 'list'`. @default 16 */
  readonly replyConnections?: number | undefined;
  /**
   * Who carries out the commands: workers in processes of their own ('external'), or this process itself ('embedded': scripts
   * over one more connection, no messages; external workers may serve the same namespace at the same time). @default 'external'
   */
  readonly worker?: 'external' | 'embedded' | undefined;
  /** With 'embedded', as the worker has it: RedisBloom, plain Redis, or what the server has. @default 'auto' */
  readonly bloom?: WorkerOptions['bloom'];
  /** With 'embedded': Bloom filters' error rate. @default 0.01 */
  readonly errorRate?: number | undefined;
  /** With 'embedded': Bloom filters' first capacity. @default 100 */
  readonly capacity?: number | undefined;
  /** With 'embedded': Bloom filters' expansion. @default 2 */
  readonly expansion?: number | undefined;
  /** With 'embedded': days of activity kept. @default 7 */
  readonly activityDays?: number | undefined;
  /** With 'embedded': the application's own commands, by name. They run on this process' event loop. @default {} */
  readonly commands?: WorkerOptions['commands'];
  /** With 'embedded': an own command that takes longer is an error, ms. @default 30000 */
  readonly commandTimeoutMs?: number | undefined;
  /** With 'embedded': messages that wait for Redis; what comes over it is dropped. @default 20000 */
  readonly maxQueue?: number | undefined;
  /**
   * Keys pages and notification ids, each by its session (HMAC-SHA256, some 2 µs each), before they are sent, 16 characters at
   * least: neither messages nor answers nor what is kept says them. A worker that has named combos needs the same one. Another
   * secret forgets what was seen. @default none
   */
  readonly itemSecret?: string | undefined;
  /** Rules for suggestions. @default [] */
  readonly combos?: readonly Combo[] | undefined;
}

const any = v.optional(v.any());
/** express-session's; what they may be, it checks itself. */
const sessionSchema = {
  ...{ cookie: any, genid: any, name: any, key: any, proxy: any },
  ...{ resave: any, rolling: any, saveUninitialized: any, unset: any },
};

export const schema = v.strictObject({
  redis: v.optional(v.any(), defaultRedis),
  secret: v.optional(
    v.custom<string | string[]>(
      (value) => [value].flat().length > 0 && [value].flat().every((one) => typeof one === 'string' && one !== ''),
      'a text that is not empty, or a list of such',
    ),
  ),
  namespace: v.optional(namespace, ''),
  session: v.optional(v.strictObject(sessionSchema), {}),
  store: v.optional(
    v.custom<Store | StoreOptions>(
      (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
      "a store of express-session's kind, or an object of RedisSessionStore's options",
    ),
    {},
  ),
  track: v.optional(
    v.custom<Track>(
      (value) => typeof value === 'boolean' || typeof value === 'function' || value === 'route',
      'true, false, "route" or a function',
    ),
    true,
  ),
  pages: v.optional(
    v.strictObject({
      strict: v.optional(v.boolean(), false),
      query: v.optional(v.array(v.pipe(v.string(), v.minLength(1))), []),
    }),
    {},
  ),
  bots: v.optional(
    v.custom<Bots>((value) => value === false || typeof value === 'function', 'false or a function'),
    () => declaredBots,
  ),
  timeout: v.optional(whole(1, 60_000), 100),
  maxWaitMs: v.optional(whole(1, 600_000), DEFAULT_MAX_WAIT_MS),
  transport: v.optional(transport, 'pubsub'),
  partitions: v.optional(whole(1, 256), DEFAULT_PARTITIONS),
  maxBacklog: v.optional(whole(1), DEFAULT_BACKLOG),
  maxBacklogBytes: v.optional(whole(1), DEFAULT_BACKLOG_BYTES),
  maxMessageAgeSeconds: v.optional(whole(1, 2 ** 31), DEFAULT_MESSAGE_AGE_SECONDS),
  replies: v.optional(v.picklist(['inbox', 'list']), 'inbox'),
  replyConnections: v.optional(whole(1, 1000), DEFAULT_REPLY_CONNECTIONS),
  worker: v.optional(v.picklist(['external', 'embedded']), 'external'),
  ...executorEntries,
  itemSecret: v.optional(v.pipe(v.string(), v.minLength(16))),
  combos: v.optional(
    v.array(
      v.strictObject({
        name: v.string(),
        pages: v.pipe(v.array(v.string()), v.minLength(1)),
        suggest: v.optional(v.any()),
      }),
    ),
    [],
  ),
});

const OF = 'intelligentSession()';

/** What says how messages travel: where the application carries out commands itself, there are none. */
const OF_MESSAGES = [
  'transport',
  'partitions',
  'maxBacklog',
  'maxBacklogBytes',
  'maxMessageAgeSeconds',
  'replies',
  'replyConnections',
];

export function resolveOptions(options: IntelligentSessionOptions) {
  const { commands, commandTimeoutMs, maxQueue, bloom, errorRate, capacity, expansion, activityDays, ...resolved } =
    checkOptions(schema, options, OF, elsewhereOfMiddleware);
  const embedded = resolved.worker === 'embedded';
  refuseWithout(OF, options, embedded, "worker: 'embedded'", Object.keys(executorEntries));
  refuseWithout(OF, options, !embedded, "worker: 'external'", OF_MESSAGES);
  const ofStream = ['partitions', 'maxBacklog', 'maxBacklogBytes', 'maxMessageAgeSeconds'];
  refuseWithout(OF, options, resolved.transport === 'stream', "transport: 'stream'", ofStream);
  refuseWithout(OF, options, resolved.replies === 'list', "replies: 'list'", ['replyConnections']);
  const local = {
    ...{ commandTimeoutMs, maxQueue, bloom, errorRate, capacity, expansion, activityDays },
    commands: ownCommands(commands, OF),
    maxQueueBytes: MAX_QUEUE_BYTES,
  };
  // errors before anything is connected
  checkRedis(resolved.redis, OF);
  namespaceOf(resolved.redis, resolved.namespace);
  checkReplies(resolved.redis, resolved.replies);
  const store = storeOf(resolved.store);
  const secret = resolved.secret ?? process.env.SESSION_SECRET;
  const none = !secret || secret.length === 0;
  const production = process.env.NODE_ENV === 'production';
  if (!none && production) checkSecret(secret);
  if (none && production)
    throw new OptionError(
      'intelligentSession(): set option "secret" or SESSION_SECRET, a long random text that stays the same',
      'ERR_INTELLIGENT_SESSION_SECRET',
    );
  return { ...resolved, store, local, secret: none ? undefined : secret };
}

/** A store as express-session takes one, or options of ours. */
function storeOf(store: Store | StoreOptions): Store | StoreOptions {
  if (isStore(store)) return store;
  const { length } = Object.keys(store);
  const methods = ['get', 'set', 'destroy'].filter((name) => typeof (store as never)[name] === 'function');
  if (methods.length > 0 || (length === 0 && Object.getPrototypeOf(store) !== Object.prototype))
    throw new OptionError(
      `${OF}: option "store" is no store: express-session needs get(), set(), destroy() and the events of its class Store, ` +
        `got ${kindOf(store)} with ${methods.join(', ') || 'none of them'}`,
    );
  for (const name of Object.keys(store))
    if (Object.hasOwn(elsewhereInStore, name))
      throw new OptionError(`${OF}: option "store.${name}" ${elsewhereInStore[name]}`);
  return store;
}

/** By its looks: its express-session may be another copy. */
export const isStore = (store: object): store is Store =>
  ['get', 'set', 'destroy', 'on', 'emit', 'createSession'].every(
    (name) => typeof (store as never)[name] === 'function',
  );
