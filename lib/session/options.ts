import type { SessionData } from 'express-session';
import * as v from 'valibot';
import { checkOptions, func, refuseWithout, whole } from '../options/check-options.js';
import { elsewhereOfStore } from '../options/misplaced-options.js';
import { OptionError } from '../errors/errors.js';
import { checkRedis, DEFAULT_MAX_WAIT_MS, defaultRedis, type RedisOption } from '../redis/connect.js';
import { SESSION_PREFIX } from '../redis/keys.js';
import { requireOneServer } from '../redis/open-target.js';
import { wrapApplicationFunctions } from './application-functions.js';
import type { EncryptionOptions } from './encryption.js';

/** As connect-redis' users know it; JSON is one. */
export interface Serializer {
  parse(text: string): SessionData | Promise<SessionData>;
  stringify(session: SessionData): string;
}

export interface RedisSessionStoreOptions {
  /** An ioredis Redis or Cluster, or a node-redis client: a connection of our own is made to the same place. */
  readonly client?: RedisOption | undefined;
  /** Instead of `client`: where Redis is. @default REDIS_URL, or redis://127.0.0.1:6379 */
  readonly url?: string | undefined;
  /** Instead of `client`: a URL, ioredis' options, or a client. */
  readonly redis?: RedisOption | undefined;
  /** Stands before each session's key. @default 'sess:' */
  readonly prefix?: string | undefined;
  /**
   * Seconds to keep a session whose cookie has no expiry; a function of the session rules them all: 0 or less ends the session,
   * what is no finite number counts as 86400, with one event `fault`. @default 86400
   */
  readonly ttl?: number | ((session: SessionData) => number) | undefined;
  /** Seconds to keep a new session that holds nothing, until its cookie comes back. @default 600 */
  readonly newSessionTtl?: number | undefined;
  /** @default JSON */
  readonly serializer?: Serializer | undefined;
  /** Keys asked for in one SCAN. @default 100 */
  readonly scanCount?: number | undefined;
  /** Sessions never expire. @default false */
  readonly disableTTL?: boolean | undefined;
  /** A read does not renew the expiry. @default false */
  readonly disableTouch?: boolean | undefined;
  /**
   * Seconds in which this process renews a session's expiry at most once; at most a quarter of its ttl.
   * @default a hundredth of its ttl, at most 300
   */
  readonly touchAfter?: number | undefined;
  /**
   * When a session was changed by another request since this one read it: `merge` puts this request's changes (its
   * top-level keys) over it, `overwrite` forgets the other's, `reject` is an error with status 409: a page sees it if it
   * awaits `req.session.save()`, at its end express-session has sent the answer already. @default 'merge'
   */
  readonly saveMode?: 'merge' | 'overwrite' | 'reject' | undefined;
  /**
   * How long a request may wait for Redis, ms: for the first connection, and for the answer to a command. Time in which this
   * process could not read does not count. A Redis that gives no sign of life for some 2 s is away: then nobody waits until
   * it is back. A client's own `commandTimeout` comes before it. @default 3000
   */
  readonly maxWaitMs?: number | undefined;
  /** While Redis is away: `pass` serves without a session, `error` calls next(error) with status 503. @default 'pass' */
  readonly whenAway?: 'pass' | 'error' | undefined;
  /**
   * Serves sessions from this process, kept right by CLIENT TRACKING. `max` sessions (10000), `maxBytes` in
   * all (64 MB; two for each character), `ttl` seconds (60). @default none
   */
  readonly nearCache?:
    | { readonly max?: number | undefined; readonly maxBytes?: number | undefined; readonly ttl?: number | undefined }
    | undefined;
  /**
   * Whose session is it? Makes sessionsOf() and destroyAllOf() possible. A promise, NaN, a list or a plain object is nobody, with one
   * event `fault`. @default none
   */
  readonly user?: ((session: SessionData) => string | number | null | undefined) | undefined;
  /** Sessions that a user may have; those that this limit ends were idle longest. Needs `user`. @default no limit */
  readonly maxSessionsPerUser?: number | undefined;
  /** Emits `expired`, where the server's notify-keyspace-events has `Ex`. One more connection. @default false */
  readonly expiredEvents?: boolean | undefined;
  /** Encrypts what is stored: AES-256-GCM. @default none */
  readonly encryption?: EncryptionOptions | undefined;
}

export const schema = v.strictObject({
  client: v.optional(v.any()),
  url: v.optional(v.string()),
  redis: v.optional(v.any()),
  prefix: v.optional(v.string(), SESSION_PREFIX),
  ttl: v.optional(
    v.custom<number | ((session: SessionData) => number)>(
      (value) => typeof value === 'function' || (Number.isSafeInteger(value) && (value as number) >= 1),
      'a whole number of seconds from 1, or a function',
    ),
    86_400,
  ),
  newSessionTtl: v.optional(whole(1), 600),
  serializer: v.optional(
    v.custom<Serializer>(
      (value) =>
        typeof (value as Serializer)?.parse === 'function' && typeof (value as Serializer).stringify === 'function',
      'an object with parse() and stringify()',
    ),
    () => JSON as Serializer,
  ),
  scanCount: v.optional(whole(1, 100_000), 100),
  disableTTL: v.optional(v.boolean(), false),
  disableTouch: v.optional(v.boolean(), false),
  touchAfter: v.optional(whole(0)),
  saveMode: v.optional(v.picklist(['merge', 'overwrite', 'reject']), 'merge'),
  maxWaitMs: v.optional(whole(1, 600_000), DEFAULT_MAX_WAIT_MS),
  whenAway: v.optional(v.picklist(['pass', 'error']), 'pass'),
  nearCache: v.optional(
    v.strictObject({
      max: v.optional(whole(1, 10_000_000), 10_000),
      maxBytes: v.optional(whole(1), 64 * 1024 * 1024),
      ttl: v.optional(whole(1, 86_400), 60),
    }),
  ),
  user: v.optional(func<(session: SessionData) => string | number | null | undefined>()),
  maxSessionsPerUser: v.optional(whole(1)),
  expiredEvents: v.optional(v.boolean(), false),
  encryption: v.optional(
    v.strictObject({
      secrets: v.pipe(v.array(v.pipe(v.string(), v.minLength(16))), v.minLength(1)),
      acceptPlain: v.optional(v.boolean(), false),
    }),
  ),
});

export function resolveStoreOptions(options: RedisSessionStoreOptions) {
  const of = 'RedisSessionStore';
  const { client, url, redis, ...rest } = checkOptions(schema, options, of, elsewhereOfStore);
  const given = [client, url, redis].filter((one) => one !== undefined);
  if (given.length > 1) throw new OptionError(`${of}: options "client", "url" and "redis" are one: give one of them`);
  if (rest.maxSessionsPerUser !== undefined && !rest.user)
    throw new OptionError(`${of}: option "maxSessionsPerUser" needs option "user"`);
  for (const option of ['nearCache', 'expiredEvents'] as const)
    if (rest[option])
      requireOneServer(given[0], `${of}: option "${option}" is for one Redis (or Sentinel), not for a Cluster`);
  refuseWithout(of, options, !rest.disableTouch && !rest.disableTTL, 'disableTouch: false and disableTTL: false', [
    'touchAfter',
  ]);
  const place: unknown = given.length > 0 ? given[0] : defaultRedis();
  checkRedis(place, of, client !== undefined ? 'client' : url !== undefined ? 'url' : 'redis');
  return { ...wrapApplicationFunctions(rest), redis: place };
}
