import * as v from 'valibot';
import { OptionError } from '../errors/errors.js';
import { integer } from '../options/checks.js';
import { about } from '../options/option-facts.js';
import type { RedisOption } from './client.js';
import { DEFAULT_MAX_WAIT_MS } from './connect.js';
import { checkRedis } from './open-target.js';

// One option under three names, `redis` (ours), `client` (connect-redis') and `url`, wherever Redis is asked for.

// The schema takes any value: resolveRedis() checks it, and says more of a wrong one than a schema can.
const place = v.optional(v.custom<RedisOption>(() => true));

export const redisEntries = {
  redis: v.pipe(
    place,
    about('Where Redis is.', {
      more:
        "A URL, the path of a socket, ioredis' options (Sentinel's among them), or a [client of yours](transports.md#a-client-of-yours), " +
        'an ioredis Redis or Cluster or one of node-redis: connections of our own are made to the same place, and it is never closed.',
      defaultText: '`REDIS_URL`, or `redis://127.0.0.1:6379`',
      flag: '<url>',
    }),
  ),
  client: v.pipe(
    place,
    about("The same as `redis`, by connect-redis' name.", { more: 'Only one of the three is given.' }),
  ),
  url: v.pipe(
    v.optional(v.string()),
    about('The same as `redis`, by the name that a URL often has.', {
      more: 'Only one of the three is given.',
      flag: '<url>',
    }),
  ),
};

/** How long a request waits for Redis: an option of the middleware, and of a store without it. */
export const maxWaitMs = v.pipe(
  v.optional(integer(1, 600_000), DEFAULT_MAX_WAIT_MS),
  about(
    '[How long a request may wait for Redis](degraded-mode.md#when-redis-is-slow-or-away): for the first connection, to read its ' +
      'session, and as long again to save it.',
    {
      unit: 'ms',
      more:
        'Time in which this process could not read does not count. A Redis that gives no sign of life for some 2 s is away: then nobody ' +
        "waits until it is back. A client's own `commandTimeout` comes before it.",
    },
  ),
);

type Given = { readonly [Name in 'redis' | 'client' | 'url']?: unknown };

/** The option's name that was used, and the place, not checked yet. Throws an OptionError where several names were used. */
export function givenRedis({ redis, client, url }: Given, caller: string): [name: string, place: unknown] {
  const [first, second] = Object.entries({ redis, client, url }).filter(([, value]) => value !== undefined);
  if (second) throw new OptionError(`${caller}: options "redis", "client" and "url" are one: give one of them`);
  return first ?? ['redis', process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'];
}

/** Where Redis is. Throws an OptionError where the option names no possible place. */
export function resolveRedis(given: Given, caller: string): RedisOption {
  const [name, redis] = givenRedis(given, caller);
  checkRedis(redis, caller, name);
  return redis;
}
