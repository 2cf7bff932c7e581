import * as v from 'valibot';
import type { BloomChoice } from '../bloom-choice/choose-bloom-filter.js';
import { checkOptions } from '../options/check-options.js';
import * as check from '../options/checks.js';
import { elsewhereOfWorker } from '../options/misplaced-options.js';
import { about } from '../options/option-facts.js';
import { OptionError } from '../errors/errors.js';
import type { NamedCombo } from '../intelligence/command/descriptor.js';
import type { Command, CommandWithKeys } from '../intelligence/own-command.js';
import type { RedisOption } from '../redis/client.js';
import { namespaceOf } from '../redis/connect.js';
import { redisEntries, resolveRedis } from '../redis/redis-option.js';
import { shardGlob } from '../transport/pubsub/shard.js';
import { resolveCommands } from './commands-option.js';
import { executorEntries, MAX_QUEUE_BYTES, sharedEntries } from './shared-options.js';

export interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

/** `npm run docs:figures` writes the comments: they are the texts of the schema below. */
export interface WorkerOptions {
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
   * Stands before every channel and key of the intelligence, after a client's `keyPrefix`. Together they are the same
   * for site and worker.
   * @default ''
   */
  readonly namespace?: string | undefined;
  /**
   * How messages travel, by pub/sub or by streams, the same for site and worker. `'pubsub'` is at most once, and
   * workers share sessions by glob; of `'stream'`, messages are kept till they are worked on, and workers share by
   * themselves.
   * @default 'pubsub'
   */
  readonly transport?: 'pubsub' | 'stream' | undefined;
  /**
   * Which sessions are this worker's, by a glob on the encoded id, at most 256 characters. Needs `transport: 'pubsub'`.
   * @default all
   */
  readonly sessionGlob?: string | undefined;
  /** The same for one of several workers, as 1/4. Needs `transport: 'pubsub'`. @default all */
  readonly shard?: string | undefined;
  /** How many streams there are, 1 to 256, the same for site and worker. Needs `transport: 'stream'`. @default 16 */
  readonly partitions?: number | undefined;
  /**
   * A message of a stream that has waited longer is dropped, the same for site and worker. Needs `transport: 'stream'`.
   * Unit: seconds.
   * @default 86400
   */
  readonly maxMessageAgeSeconds?: number | undefined;
  /** How many messages may wait to be worked on; more are dropped. @default 20000 */
  readonly maxQueue?: number | undefined;
  /**
   * How long a command of your own may take. One that takes longer is counted (`timeout`) and answered with an error,
   * and its place is free. Unit: ms.
   * @default 30000
   */
  readonly commandTimeoutMs?: number | undefined;
  /** Commands of your own, by name. @default {} */
  readonly commands?: Readonly<Record<string, Command | CommandWithKeys>> | undefined;
  /** Combos that can be asked for by name. @default [] */
  readonly combos?: readonly NamedCombo[] | undefined;
  /**
   * Bloom filters of RedisBloom (`'module'`), in plain Redis (`'fallback'`), or what the server has.
   * @default 'auto'
   */
  readonly bloom?: BloomChoice | undefined;
  /** Rate of false positives of a whole Bloom filter, over 0 and under 1. @default 0.01 */
  readonly errorRate?: number | undefined;
  /** Items in the first layer of a Bloom filter, 1 to 2^30. @default 100 */
  readonly capacity?: number | undefined;
  /** Entries of each further layer, as a multiple of the one before, 1 to 32768. @default 2 */
  readonly expansion?: number | undefined;
  /**
   * Keys pages and notification ids where the site has not done it, 16 characters at least. Each is keyed by its
   * visitor (HMAC-SHA256 and AES-256) before it goes into filters and page counts: who reads Redis can't ask about a
   * known page (SECURITY.md). What the site has keyed by the same option stays as it is. To change it, give a list of
   * the new secret and the former one (another secret).
   * @default none
   */
  readonly itemSecret?: string | readonly string[] | undefined;
  /** How many days of activity are kept, 1 to 366. Unit: days. @default 7 */
  readonly activityDays?: number | undefined;
  /** How long a session's intelligence is kept where a message does not say. Unit: seconds. @default 86400 */
  readonly ttlSeconds?: number | undefined;
  /**
   * An object with `info()` and `warn()`, which is told what the worker does. Without it, `DEBUG` shows that.
   * @default none
   */
  readonly log?: Logger | undefined;
}

/** A combo in the option `combos`, and in the file that `--combos` names. */
export const namedCombo = v.strictObject({
  name: v.pipe(v.string(), about("The combo's name.")),
  pages: v.pipe(check.list(v.string()), about('Its pages.')),
});

export const schema = v.strictObject({
  ...redisEntries,
  ...sharedEntries,
  sessionGlob: v.pipe(
    v.optional(v.pipe(v.string(), v.regex(/^[^:\s]{1,256}$/, 'a glob of 1 to 256 characters, no ":"'))),
    about("Which sessions are this worker's, by a glob on the encoded id, at most 256 characters.", {
      needs: { transport: 'pubsub' },
      defaultText: 'all',
      flag: '<glob>',
    }),
  ),
  shard: v.pipe(
    v.optional(v.string()),
    about('The same for [one of several workers](transports.md#share-the-visitors-among-workers), as 1/4.', {
      needs: { transport: 'pubsub' },
      defaultText: 'all',
      flag: '<i/n>',
    }),
  ),
  ...executorEntries,
  combos: v.pipe(
    v.optional(check.list(namedCombo), []),
    about('[Combos that can be asked for by name](combos.md).', {
      flagText: 'The flag names a JSON file.',
      flag: '<file>',
    }),
  ),
  itemSecret: v.pipe(
    v.optional(check.itemSecrets),
    about('Keys pages and notification ids where the site has not done it, 16 characters at least.', {
      more:
        "Each is keyed by its visitor (HMAC-SHA256 and AES-256) before it goes into filters and page counts: who reads Redis can't ask about a known " +
        'page ([SECURITY.md](../SECURITY.md#what-redis-owner-learns)). What the site has keyed by the same option stays as it is. To ' +
        'change it, give a list of the new secret and the former one ([another secret](users.md#another-secret)).',
      flagText: '`INTELLIGENT_SESSION_ITEM_SECRET` in the environment is better than the flag.',
      flag: '<text>',
      environment: 'INTELLIGENT_SESSION_ITEM_SECRET',
    }),
  ),
  ttlSeconds: v.pipe(
    v.optional(check.integer(1, 2 ** 31), 86_400),
    about("How long a session's intelligence is kept where a message does not say.", { unit: 'seconds' }),
  ),
  log: v.pipe(
    v.optional(check.objectWith<Logger>('info', 'warn')),
    about('An object with `info()` and `warn()`, which is told what the worker does.', {
      more: 'Without it, [`DEBUG`](metrics.md#logs) shows that.',
    }),
  ),
});

const CALLER = 'createWorker()';

/** Checks the options and adds defaults. The error for an option that belongs elsewhere says where (`elsewhereOfWorker`). */
export function resolveWorkerOptions(options: WorkerOptions) {
  const checked = checkOptions(schema, options, CALLER, elsewhereOfWorker);
  const { sessionGlob, shard, redis: _redis, client: _client, url: _url, ...resolved } = checked;
  const redis = resolveRedis(checked, CALLER);
  const commands = resolveCommands(resolved.commands, CALLER);
  if (sessionGlob !== undefined && shard !== undefined)
    throw new OptionError('createWorker(): "sessionGlob" and "shard" both say which sessions: give one of them');
  return {
    ...resolved,
    redis,
    namespace: namespaceOf(redis, resolved.namespace),
    sessionGlob: sessionGlob ?? (shard === undefined ? '*' : shardGlob(shard)),
    commands,
    maxQueueBytes: MAX_QUEUE_BYTES,
  };
}
