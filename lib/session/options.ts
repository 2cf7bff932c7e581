import type { SessionData } from 'express-session';
import * as v from 'valibot';
import { checkOptions } from '../options/check-options.js';
import { functionOf, integer, itemSecrets, list, objectWith } from '../options/checks.js';
import { elsewhereOfStore } from '../options/misplaced-options.js';
import { about } from '../options/option-facts.js';
import { OptionError } from '../errors/errors.js';
import type { RedisOption } from '../redis/client.js';
import { MAX_TTL_SECONDS } from '../redis/expiry.js';
import { SESSION_PREFIX } from '../redis/keys.js';
import { requireOneServer } from '../redis/open-target.js';
import { maxWaitMs, redisEntries, resolveRedis } from '../redis/redis-option.js';
import { wrapApplicationFunctions } from './application-functions.js';
import type { EncryptionOptions } from './encryption.js';
import { mergeGrowing, type MergeSessions } from './merge-growing.js';

/** Turns sessions into texts and back, with connect-redis' interface: the object JSON is one. */
export interface Serializer {
  parse(text: string): SessionData | Promise<SessionData>;
  stringify(session: SessionData): string;
}

type Ttl = number | ((session: SessionData) => number);
type User = (session: SessionData) => string | number | null | undefined;

/** The comments are those of the schema: `npm run docs:figures` writes them. */
export interface RedisSessionStoreOptions {
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
  /** Stands before each session's key. @default 'sess:' */
  readonly prefix?: string | undefined;
  /**
   * How long a session is kept whose cookie has no expiry. A function of the session decides for all of them: 0 or less
   * ends the session, and what is no finite number counts as 86400, with one event `fault`. Unit: seconds.
   * @default 86400
   */
  readonly ttl?: Ttl | undefined;
  /** How long a new session that holds nothing is kept, until its cookie comes back. Unit: seconds. @default 600 */
  readonly newSessionTtl?: number | undefined;
  /**
   * How long after it was made a session ends at the latest. No save, touch or cookie lengthens that. Needs
   * `disableTTL: false`. Unit: seconds.
   * @default none
   */
  readonly maxLifetime?: number | undefined;
  /** An object with `parse()` and `stringify()`, between sessions and texts. @default JSON */
  readonly serializer?: Serializer | undefined;
  /** How many keys one SCAN asks for. @default 100 */
  readonly scanCount?: number | undefined;
  /** Sessions never expire. @default false */
  readonly disableTTL?: boolean | undefined;
  /** Reading a session does not renew its expiry. @default false */
  readonly disableTouch?: boolean | undefined;
  /**
   * A process renews a session's expiry at most once in this time. It is at most a quarter of the ttl. Needs
   * `disableTouch: false` and `disableTTL: false`. Unit: seconds.
   * @default 1 % of the session's ttl, at most 300
   */
  readonly touchAfter?: number | undefined;
  /**
   * What happens when another request has changed the session since this one read it. `'merge'` puts this request's
   * changes (its top-level keys) over what is stored, with `'overwrite'` the last save wins, and `'reject'` is an error
   * with status 409: a page sees it if it awaits `req.session.save()`, because at its end express-session has sent the
   * answer already.
   * @default 'merge'
   */
  readonly saveMode?: 'merge' | 'overwrite' | 'reject' | undefined;
  /**
   * A function that merges a session which two requests have changed. It gets the session as this request has read it,
   * as it would save it, and as it stands in Redis, each without the cookie, and what it returns is saved.
   * `mergeGrowing('cart')` makes one. Without it the top-level keys are merged. Needs `saveMode: 'merge'`.
   * @default none
   */
  readonly merge?: MergeSessions | undefined;
  /**
   * How long a request may wait for Redis: for the first connection, to read its session, and as long again to save it.
   * Time in which this process could not read does not count. A Redis that gives no sign of life for some 2 s is away:
   * then nobody waits until it is back. A client's own `commandTimeout` comes before it. Unit: ms.
   * @default 3000
   */
  readonly maxWaitMs?: number | undefined;
  /**
   * What happens while Redis is away. `'pass'` serves without a session (`req.session` is undefined), `'error'` calls
   * `next(error)` with status 503: `passOnStoreError: true` and `false` of express-rate-limit.
   * @default 'pass'
   */
  readonly whenAway?: 'pass' | 'error' | undefined;
  /**
   * Serves sessions from this process, kept right by CLIENT TRACKING. An empty object has all its defaults. It is for
   * one Redis, or one that Sentinels name, and not for a Cluster.
   * @default none
   */
  readonly nearCache?:
    | { readonly max?: number | undefined; readonly maxBytes?: number | undefined; readonly ttl?: number | undefined }
    | undefined;
  /**
   * A function of the session that gives its user, as a text or a number. It makes `sessionsOf()` and `destroyAllOf()`
   * possible. A promise, NaN, a list or a plain object is nobody, with one event `fault`.
   * @default none
   */
  readonly user?: User | undefined;
  /**
   * Names users in the keys that list their sessions by an HMAC with this secret, of 16 characters at least; without
   * one by a hash. Of a list, the first secret names, and sessions that were noted under the others are found.
   * @default none
   */
  readonly itemSecret?: string | readonly string[] | undefined;
  /** How many sessions a user may have; those that were idle longest are ended. Needs `user`. @default none */
  readonly maxSessionsPerUser?: number | undefined;
  /**
   * Emits `expired` where Redis' `notify-keyspace-events` has `Ex`, best effort, over one more connection. What is
   * known under the session's id goes at once then; what a visitor began under an earlier id (`rotateEvery`,
   * `regenerate()`), and a user's, ends by its own expiry. It is for one Redis, or one that Sentinels name, and not for
   * a Cluster.
   * @default false
   */
  readonly expiredEvents?: boolean | undefined;
  /** Encrypts what is stored, with AES-256-GCM. @default none */
  readonly encryption?: EncryptionOptions | undefined;
}

export const schema = v.strictObject({
  ...redisEntries,
  prefix: v.pipe(v.optional(v.string(), SESSION_PREFIX), about("Stands before each session's key.")),
  ttl: v.pipe(
    v.optional(
      v.custom<Ttl>(
        (value) => typeof value === 'function' || (Number.isSafeInteger(value) && (value as number) >= 1),
        'a whole number of seconds from 1, or a function',
      ),
      86_400,
    ),
    about('How long a session is kept whose cookie has no expiry.', {
      unit: 'seconds',
      more:
        'A function of the session decides for all of them: 0 or less ends the session, and what is no finite number counts as 86400, ' +
        'with one event `fault`.',
    }),
  ),
  newSessionTtl: v.pipe(
    v.optional(integer(1), 600),
    about('How long a new session that holds nothing is kept, until its cookie comes back.', { unit: 'seconds' }),
  ),
  maxLifetime: v.pipe(
    v.optional(integer(1, MAX_TTL_SECONDS)),
    about('How long after it was made a session [ends at the latest](sessions.md#how-long-a-session-lives).', {
      unit: 'seconds',
      more: 'No save, touch or cookie lengthens that.',
      needs: { disableTTL: false },
    }),
  ),
  serializer: v.pipe(
    v.optional(objectWith<Serializer>('parse', 'stringify'), () => JSON as Serializer),
    about('An object with `parse()` and `stringify()`, between sessions and texts.', { defaultText: '`JSON`' }),
  ),
  scanCount: v.pipe(v.optional(integer(1, 100_000), 100), about('How many keys one SCAN asks for.')),
  disableTTL: v.pipe(v.optional(v.boolean(), false), about('Sessions never expire.')),
  disableTouch: v.pipe(v.optional(v.boolean(), false), about('Reading a session does not renew its expiry.')),
  touchAfter: v.pipe(
    v.optional(integer(0)),
    about("A process renews a session's expiry at most once in this time.", {
      unit: 'seconds',
      more: 'It is at most a quarter of the ttl.',
      defaultText: "1 % of the session's ttl, at most 300",
      needs: { disableTouch: false, disableTTL: false },
    }),
  ),
  saveMode: v.pipe(
    v.optional(v.picklist(['merge', 'overwrite', 'reject']), 'merge'),
    about(
      'What happens when [another request has changed the session](sessions.md#two-requests-at-once) since this one read it.',
      {
        more:
          "`'merge'` puts this request's changes (its top-level keys) over what is stored, with `'overwrite'` the last save wins, and " +
          "`'reject'` is an error with status 409: a page sees it if it awaits `req.session.save()`, because at its end express-session " +
          'has sent the answer already.',
      },
    ),
  ),
  merge: v.pipe(
    v.optional(functionOf<MergeSessions>()),
    about(
      'A function that [merges a session](sessions.md#lists-and-counters-that-several-requests-change) which two requests have changed.',
      {
        more:
          'It gets the session as this request has read it, as it would save it, and as it stands in Redis, each without the cookie, ' +
          "and what it returns is saved. `mergeGrowing('cart')` makes one. Without it the top-level keys are merged.",
        needs: { saveMode: 'merge' },
      },
    ),
  ),
  maxWaitMs,
  whenAway: v.pipe(
    v.optional(v.picklist(['pass', 'error']), 'pass'),
    about('What happens [while Redis is away](degraded-mode.md#when-redis-is-slow-or-away).', {
      more:
        "`'pass'` serves without a session (`req.session` is undefined), `'error'` calls `next(error)` with status 503: " +
        '`passOnStoreError: true` and `false` of express-rate-limit.',
    }),
  ),
  nearCache: v.pipe(
    v.optional(
      v.strictObject({
        max: v.pipe(v.optional(integer(1, 10_000_000), 10_000), about('How many sessions this process keeps at most.')),
        maxBytes: v.pipe(
          v.optional(integer(1), 64 * 1024 * 1024),
          about('What they take at most, two bytes for each character.', { unit: 'bytes' }),
        ),
        ttl: v.pipe(v.optional(integer(1, 86_400), 60), about('How long one is kept.', { unit: 'seconds' })),
      }),
    ),
    about('[Serves sessions from this process](sessions.md#the-near-cache), kept right by CLIENT TRACKING.', {
      more: 'An empty object has all its defaults. It is for one Redis, or one that Sentinels name, and not for a Cluster.',
    }),
  ),
  user: v.pipe(
    v.optional(functionOf<User>()),
    about('A function of the session that gives its [user](sessions.md#users), as a text or a number.', {
      more:
        'It makes `sessionsOf()` and `destroyAllOf()` possible. A promise, NaN, a list or a plain object is nobody, with one event ' +
        '`fault`.',
    }),
  ),
  itemSecret: v.pipe(
    v.optional(itemSecrets),
    about(
      'Names users in the keys that list their sessions by an HMAC with this secret, of 16 characters at least; without one by a hash.',
      { more: 'Of a list, the first secret names, and sessions that were noted under the others are found.' },
    ),
  ),
  maxSessionsPerUser: v.pipe(
    v.optional(integer(1)),
    about('How many sessions a user may have; those that were idle longest are ended.', { more: 'Needs `user`.' }),
  ),
  expiredEvents: v.pipe(
    v.optional(v.boolean(), false),
    about("Emits `expired` where Redis' `notify-keyspace-events` has `Ex`, best effort, over one more connection.", {
      more:
        "What is known under the session's id goes at once then; what a visitor began under an earlier id (`rotateEvery`, " +
        "`regenerate()`), and a user's, ends by its own expiry. It is for one Redis, or one that Sentinels name, and not for a Cluster.",
    }),
  ),
  encryption: v.pipe(
    v.optional(
      v.strictObject({
        secrets: v.pipe(
          list(v.pipe(v.string(), v.minLength(16)), 1),
          about('Secrets of 16 characters each at least: the first encrypts, and all decrypt.'),
        ),
        acceptPlain: v.pipe(
          v.optional(v.boolean(), false),
          about('Sessions that were stored before encryption was switched on are read, too.'),
        ),
      }),
    ),
    about('[Encrypts what is stored](sessions.md#encryption), with AES-256-GCM.'),
  ),
});

const CALLER = 'RedisSessionStore';

/** The checked options, with defaults. Durations get names with a unit: the options themselves keep connect-redis' names. */
export function resolveStoreOptions(options: RedisSessionStoreOptions) {
  const { client, url, redis, ...rest } = checkOptions(schema, options, CALLER, elsewhereOfStore);
  const place = resolveRedis({ client, url, redis }, CALLER);
  if (rest.maxSessionsPerUser !== undefined && !rest.user)
    throw new OptionError(`${CALLER}: option "maxSessionsPerUser" needs option "user"`);
  if ((rest.merge as unknown) === mergeGrowing)
    throw new OptionError(`${CALLER}: option "merge" should be what mergeGrowing() gives: mergeGrowing('cart')`);
  for (const option of ['nearCache', 'expiredEvents'] as const)
    if (rest[option])
      requireOneServer(place, `${CALLER}: option "${option}" is for one Redis (or Sentinel), not for a Cluster`);
  const { ttl, newSessionTtl, maxLifetime, touchAfter, nearCache, ...others } = wrapApplicationFunctions(rest);
  return {
    ...others,
    redis: place,
    ttlSeconds: ttl,
    newSessionTtlSeconds: newSessionTtl,
    maxLifetimeSeconds: maxLifetime,
    touchAfterSeconds: touchAfter,
    nearCache: nearCache && { max: nearCache.max, maxBytes: nearCache.maxBytes, ttlSeconds: nearCache.ttl },
  };
}
