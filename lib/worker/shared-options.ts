import * as v from 'valibot';
import { shapeEntries } from '../bloom/bloom-options.js';
import { MAX_ACTIVITY_DAYS } from '../intelligence/shape.js';
import * as check from '../options/checks.js';
import { about } from '../options/option-facts.js';
import { DEFAULT_MESSAGE_AGE_SECONDS, DEFAULT_PARTITIONS } from '../transport/protocol.js';
import { commandSchema } from './commands-option.js';

// Options that are not a worker's alone: the schema of the worker (options.ts) and that of the site (middleware/options.ts)
// take them.

/** The options of a process that carries out commands: a worker, or a site with `worker: 'embedded'`. */
export const executorEntries = {
  maxQueue: v.pipe(
    v.optional(check.integer(1, 10_000_000), 20_000),
    about('How many messages may wait to be worked on; [more are dropped](transports.md).', { flag: '<n>' }),
  ),
  commandTimeoutMs: v.pipe(
    v.optional(check.integer(1, 3_600_000), 30_000),
    about('How long a command of your own may take.', {
      unit: 'ms',
      more: 'One that takes longer is counted (`timeout`) and answered with an error, and its place is free.',
      flag: '<n>',
    }),
  ),
  commands: v.pipe(
    v.optional(v.record(v.string(), commandSchema), {}),
    about('[Commands of your own](commands.md), by name.', {
      flagText: 'The flag names an ES module whose default export they are.',
      flag: '<file>',
    }),
  ),
  bloom: v.pipe(
    v.optional(check.bloom, 'auto'),
    about(
      "[Bloom filters](bloom-filters.md) of RedisBloom (`'module'`), in plain Redis (`'fallback'`), or what the server has.",
      {
        flag: '<which>',
      },
    ),
  ),
  ...shapeEntries,
  activityDays: v.pipe(
    v.optional(check.integer(1, MAX_ACTIVITY_DAYS), 7),
    about(`How many days of [activity](activity.md) are kept, 1 to ${MAX_ACTIVITY_DAYS}.`, { unit: 'days' }),
  ),
};

/** Options that are the same for the site and its workers, since they say where messages and keys are, and for how long. */
export const sharedEntries = {
  namespace: v.pipe(
    v.optional(check.namespace, ''),
    about("Stands before every channel and key of the intelligence, after a client's `keyPrefix`.", {
      more: 'Together they are [the same for site and worker](transports.md#several-sites-on-one-redis).',
      flag: '<text>',
    }),
  ),
  transport: v.pipe(
    v.optional(check.transport, 'pubsub'),
    about(
      'How messages travel, [by pub/sub or by streams](transports.md#pubsub-or-streams), the same for site and worker.',
      {
        more:
          "`'pubsub'` is at most once, and workers share sessions by glob; of `'stream'`, messages are kept till they are worked on, and " +
          'workers share by themselves.',
        flag: '<how>',
      },
    ),
  ),
  partitions: v.pipe(
    v.optional(check.integer(1, 256), DEFAULT_PARTITIONS),
    about('How many streams there are, 1 to 256, the same for site and worker.', {
      flag: '<n>',
      needs: { transport: 'stream' },
    }),
  ),
  maxMessageAgeSeconds: v.pipe(
    v.optional(check.integer(1, 2 ** 31), DEFAULT_MESSAGE_AGE_SECONDS),
    about('A message of a stream that has waited longer is dropped, the same for site and worker.', {
      unit: 'seconds',
      flag: '<n>',
      needs: { transport: 'stream' },
    }),
  ),
};

/**
 * The payloads that wait in a process' queue of messages have at most so many bytes, however many messages `maxQueue` allows; so
 * have those of the application's commands that wait for a place, in a queue of their own.
 */
export const MAX_QUEUE_BYTES = 64 * 1024 * 1024;
