import { type Cluster, Redis, type RedisOptions } from 'ioredis';
import { IntelligentSessionError, OptionError } from '../errors.js';
import { type Role, roleOptions } from './roles.js';

/** A URL, ioredis' options (Sentinel's among them), or a client, which is duplicated and never closed. */
export type RedisOption = string | RedisOptions | Redis;

/** What commands can be sent to. */
export type RedisClient = Redis | Cluster;

export const defaultRedis = (): string => process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';

/** One connection in one role; the caller owns it and closes it. */
export function connect(redis: RedisOption, role: Role): Redis {
  const settings = roleOptions[role];
  const client = open(redis, settings);
  // The owner hears of faults through what it asked; without a listener ioredis would print each of them.
  client.on('error', () => {});
  return client;
}

function open(redis: RedisOption, settings: RedisOptions): Redis {
  if (typeof redis === 'string') {
    if (!/^rediss?:\/\//.test(redis))
      throw new OptionError('option "redis" should be a URL that starts with redis:// or rediss://');
    return new Redis(redis, { ...settings, replyMapping: 'legacy' });
  }
  if ('duplicate' in redis) return redis.duplicate(settings);
  return new Redis({ ...redis, ...settings, replyMapping: 'legacy' });
}

/** host:port, for messages: never a password. */
export function addressOf(client: Redis): string {
  const { host, port, path, sentinels, name } = client.options;
  if (sentinels?.length) return `sentinel ${name}`;
  return path ?? `${host ?? '127.0.0.1'}:${port ?? 6379}`;
}

/** Resolves when commands can be sent; rejects with the last fault after `timeoutMs`. */
export function whenReady(client: Redis, timeoutMs: number): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    let last = 'no answer';
    const settle = (act: () => void) => {
      clearTimeout(timer);
      client.off('ready', onReady).off('error', onError).off('end', onEnd);
      act();
    };
    const fail = () =>
      settle(() =>
        reject(
          new IntelligentSessionError(
            'ERR_INTELLIGENT_SESSION_NOT_READY',
            `Redis at ${addressOf(client)} is not answering: ${last}`,
          ),
        ),
      );
    const onReady = () => settle(resolve);
    const onEnd = fail;
    const onError = (error: Error) => {
      last = error.message || (error as NodeJS.ErrnoException).code || last;
    };
    const timer = setTimeout(fail, timeoutMs);
    client.on('ready', onReady).on('error', onError).on('end', onEnd);
  });
}
