import * as v from 'valibot';
import type { BloomChoice } from '../bloom-choice/choose-bloom-filter.js';
import { shapeEntries } from '../bloom/bloom-options.js';
import { checkOptions, func, namespace, refuseWithout, transport, whole } from '../options/check-options.js';
import { elsewhereOfWorker } from '../options/misplaced-options.js';
import { OptionError } from '../errors/errors.js';
import type { NamedCombo } from '../intelligence/command/descriptor.js';
import { builtIn } from '../intelligence/commands.js';
import type { Command } from '../intelligence/own-command.js';
import { MOST_ACTIVITY_DAYS } from '../intelligence/shape.js';
import { checkCommand, DEFAULT_MESSAGE_AGE_SECONDS, DEFAULT_PARTITIONS } from '../transport/protocol.js';
import { checkRedis, defaultRedis, namespaceOf, type RedisOption } from '../redis/connect.js';
import { shardGlob } from '../transport/pubsub/shard.js';

/** Payloads of what waits, in all. */
export const MAX_QUEUE_BYTES = 64 * 1024 * 1024;

export interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

export interface WorkerOptions {
  /** Where Redis is. @default REDIS_URL, or redis://127.0.0.1:6379 */
  readonly redis?: RedisOption | undefined;
  /** Stands before every channel and key, after the client's `keyPrefix`; together the same on both sides. @default '' */
  readonly namespace?: string | undefined;
  /**
   * How messages come: 'pubsub' (at most once; workers share sessions by glob), or 'stream' (kept till they are worked on;
   * workers share by themselves). The same on both sides. @default 'pubsub'
   */
  readonly transport?: 'pubsub' | 'stream' | undefined;
  /** Which sessions are this worker's: a Redis glob on the encoded id, at most 256 characters. @default '*' */
  readonly sessionGlob?: string | undefined;
  /** The same for the i-th of n workers: '1/4'. It writes the glob. @default all sessions */
  readonly shard?: string | undefined;
  /** Streams that the transport 'stream' spreads over, 1 to 256; the same on both sides. @default 16 */
  readonly partitions?: number | undefined;
  /**
   * Seconds that a message of the transport 'stream' may have waited: an older one is dropped and counted; the same on both
   * sides. @default 86400
   */
  readonly maxMessageAgeSeconds?: number | undefined;
  /** Messages heard and not yet worked on; what comes over it is dropped, see docs/transports.md. @default 20000 */
  readonly maxQueue?: number | undefined;
  /** An own command that takes longer is counted (`timeout`), answered with an error, and its place is free; ms. @default 30000 */
  readonly commandTimeoutMs?: number | undefined;
  /** The application's own commands, by name. */
  readonly commands?: Readonly<Record<string, Command>> | undefined;
  /** Combos that `combo('name')` can ask for. */
  readonly combos?: readonly NamedCombo[] | undefined;
  /** RedisBloom, plain Redis, or what the server has. @default 'auto' */
  readonly bloom?: BloomChoice | undefined;
  /** Bloom filters' error rate. @default 0.01 */
  readonly errorRate?: number | undefined;
  /** Bloom filters' first capacity. @default 100 */
  readonly capacity?: number | undefined;
  /** Bloom filters' expansion. @default 2 */
  readonly expansion?: number | undefined;
  /**
   * Keys pages and notification ids before they go into filters and page counts, each by its session (HMAC-SHA256), 16
   * characters at least: who reads Redis can't ask them about a known page. What intelligentSession() has keyed by the same
   * option stays as it is; with it messages don't say them either. Another secret forgets what was seen. @default none
   */
  readonly itemSecret?: string | undefined;
  /** Days of activity kept. @default 7 */
  readonly activityDays?: number | undefined;
  /** How long a session's intelligence is kept where the request does not say. @default 86400 */
  readonly ttlSeconds?: number | undefined;
  /** Where to say things. @default the debug namespace intelligent-session:worker */
  readonly log?: Logger | undefined;
}

/** Of whoever carries out commands, a worker or the application itself. */
export const executorEntries = {
  maxQueue: v.optional(whole(1, 10_000_000), 20_000),
  commandTimeoutMs: v.optional(whole(1, 3_600_000), 30_000),
  commands: v.optional(v.record(v.string(), func<Command>()), {}),
  bloom: v.optional(v.picklist(['auto', 'module', 'fallback']), 'auto'),
  errorRate: shapeEntries.errorRate,
  capacity: shapeEntries.capacity,
  expansion: shapeEntries.expansion,
  activityDays: v.optional(whole(1, MOST_ACTIVITY_DAYS), 7),
};

export const schema = v.strictObject({
  ...executorEntries,
  redis: v.optional(v.any(), defaultRedis),
  namespace: v.optional(namespace, ''),
  transport: v.optional(transport, 'pubsub'),
  sessionGlob: v.optional(v.pipe(v.string(), v.regex(/^[^:\s]{1,256}$/, 'a glob of 1 to 256 characters, no ":"'))),
  shard: v.optional(v.string()),
  partitions: v.optional(whole(1, 256), DEFAULT_PARTITIONS),
  maxMessageAgeSeconds: v.optional(whole(1, 2 ** 31), DEFAULT_MESSAGE_AGE_SECONDS),
  combos: v.optional(v.array(v.strictObject({ name: v.string(), pages: v.array(v.string()) })), []),
  itemSecret: v.optional(v.pipe(v.string(), v.minLength(16))),
  ttlSeconds: v.optional(whole(1, 2 ** 31), 86_400),
  log: v.optional(
    v.custom<Logger>(
      (value) =>
        typeof (value as Logger | null)?.info === 'function' && typeof (value as Logger | null)?.warn === 'function',
      'an object with info() and warn()',
    ),
  ),
});

const OF = 'createWorker()';

/** Commands by name; an OptionError for a name that no message can carry, or that is taken. */
export function ownCommands(commands: Readonly<Record<string, Command>>, caller: string): ReadonlyMap<string, Command> {
  for (const name of Object.keys(commands)) {
    checkCommand(name);
    if (builtIn.has(name)) throw new OptionError(`${caller}: the command "${name}" is built in`);
  }
  return new Map(Object.entries(commands));
}

export function resolveWorkerOptions(options: WorkerOptions) {
  const { sessionGlob, shard, ...resolved } = checkOptions(schema, options, OF, elsewhereOfWorker);
  const ofStream = ['partitions', 'maxMessageAgeSeconds'];
  refuseWithout(OF, options, resolved.transport === 'stream', "transport: 'stream'", ofStream);
  checkRedis(resolved.redis, OF);
  const commands = ownCommands(resolved.commands, OF);
  if (sessionGlob !== undefined && shard !== undefined)
    throw new OptionError('createWorker(): "sessionGlob" and "shard" both say which sessions: give one of them');
  if (resolved.transport === 'stream' && (sessionGlob ?? shard) !== undefined)
    throw new OptionError('createWorker(): workers of a stream share by themselves: no "sessionGlob", no "shard"');
  return {
    ...resolved,
    namespace: namespaceOf(resolved.redis, resolved.namespace),
    sessionGlob: sessionGlob ?? (shard === undefined ? '*' : shardGlob(shard)),
    commands,
    maxQueueBytes: MAX_QUEUE_BYTES,
  };
}
