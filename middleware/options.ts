import type { SessionOptions, Store } from 'express-session';
import * as v from 'valibot';
import { checkOptions, func, namespace, whole } from '../lib/check-options.js';
import { OptionError } from '../lib/errors.js';
import { defaultRedis, type RedisOption } from '../lib/redis/connect.js';
import type { RedisSessionStoreOptions } from '../lib/session/options.js';
import type { WorkerOptions } from '../lib/worker/options.js';
import type { Track } from './tracking.js';

/** Pages that together suggest something (white paper: TV and wall mount suggest the cable). */
export interface Combo {
  readonly name: string;
  readonly pages: readonly string[];
  readonly suggest?: unknown;
}

export interface IntelligentSessionOptions {
  /** URL, ioredis options or an ioredis client (duplicated, never closed). @default REDIS_URL, or redis://127.0.0.1:6379 */
  readonly redis?: RedisOption;
  /** Signs the cookie; several: the first signs, all are accepted. @default SESSION_SECRET; required in production */
  readonly secret?: string | string[];
  /** Stands before every channel and key of the intelligence. @default '' */
  readonly namespace?: string;
  /** express-session's other options: name, cookie, proxy, rolling, unset, genid… @default {} */
  readonly session?: Omit<SessionOptions, 'secret' | 'store'>;
  /** A store of your own, or options for ours. @default {} */
  readonly store?: Store | Omit<RedisSessionStoreOptions, 'redis' | 'client' | 'url'>;
  /** Which requests count as page views. @default true: GET pages, not assets */
  readonly track?: Track;
  /** How long a request waits for an answer, ms. @default 100 */
  readonly timeout?: number;
  /** How requests travel. @default 'pubsub' */
  readonly transport?: 'pubsub';
  /** 'embedded' runs the worker in this process. @default 'external' */
  readonly worker?: 'external' | 'embedded';
  /** The embedded worker's Bloom filters. @default 'auto' */
  readonly bloom?: WorkerOptions['bloom'];
  /** Rules for suggestions. @default [] */
  readonly combos?: readonly Combo[];
}

const schema = v.strictObject({
  redis: v.optional(v.any(), defaultRedis),
  secret: v.optional(v.union([v.pipe(v.string(), v.minLength(1)), v.array(v.pipe(v.string(), v.minLength(1)))])),
  namespace: v.optional(namespace, ''),
  session: v.optional(v.looseObject({}), {}),
  store: v.optional(v.any(), {}),
  track: v.optional(v.union([v.boolean(), func<Extract<Track, (...args: never[]) => unknown>>()]), true),
  timeout: v.optional(whole(1, 60_000), 100),
  transport: v.optional(v.picklist(['pubsub']), 'pubsub'),
  worker: v.optional(v.picklist(['external', 'embedded']), 'external'),
  bloom: v.optional(v.picklist(['auto', 'module', 'fallback']), 'auto'),
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

export function resolveOptions(options: IntelligentSessionOptions) {
  const resolved = checkOptions(schema, options, 'intelligentSession()');
  const secret = resolved.secret ?? process.env.SESSION_SECRET;
  const none = !secret || secret.length === 0;
  if (none && process.env.NODE_ENV === 'production')
    throw new OptionError(
      'intelligentSession(): set option "secret" or SESSION_SECRET, a long random text that stays the same',
      'ERR_INTELLIGENT_SESSION_SECRET',
    );
  return { ...resolved, secret: none ? undefined : secret };
}
