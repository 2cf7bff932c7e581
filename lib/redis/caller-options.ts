import type { Redis, RedisOptions } from 'ioredis';
import { OptionError } from '../errors/errors.js';

/** A client or Cluster of node-redis (5 and later). Only its address and credentials are read; it is not used itself. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly options?: unknown;
}

/** Options of a caller's client that our connections must not have, and what they have instead. */
export const overriddenOptions = {
  // a replica lags behind, and refuses writes
  role: 'master',
  readOnly: false,
  monitor: false,
  // this package reads replies in ioredis' older form
  replyMapping: 'legacy',
  // a caller's script may have the name of a command
  scripts: undefined,
  // ioredis would prepare these for HIMPORT, which this package never sends
  himportFieldsets: undefined,
  // ioredis would record a stack trace for every command
  showFriendlyErrorStack: false,
  // ioredis' own watch over failovers ends a client for good that is just asking Sentinels; sentinel-watch.ts has ours
  failoverDetector: false,
  // a strategy that gives up would end the connection for good
  sentinelRetryStrategy: (times: number) => Math.min(times * 10, 250),
} as const satisfies RedisOptions;

// Clients are recognized by their properties: a caller's ioredis may be another copy or version than ours.
export const isClient = (redis: object): redis is Redis =>
  'status' in redis && typeof (redis as Redis).duplicate === 'function' && typeof (redis as Redis).options === 'object';
export const isNodeRedis = (redis: object): redis is NodeRedisClient => 'isOpen' in redis;

/** Is it the path of a Unix socket, in ioredis' form or as unix://? */
export const isPath = (text: string): boolean => /^(unix:\/\/)?\//.test(text);

export const ACCEPTED_FORMS =
  "a URL as redis://127.0.0.1:6379 (rediss:// with TLS), a socket's path, ioredis' options ({ host, port }), or a client of " +
  'ioredis or node-redis';

/** Parses a URL. The OptionError does not repeat it, as Node's own error would: a URL may hold a password. */
export function checkedUrl(text: string, option = 'option "redis"'): URL {
  if (!/^rediss?:\/\//.test(text))
    throw new OptionError(
      `${option} should be ${ACCEPTED_FORMS}; got ${text === '' ? 'an empty text' : 'a text that is none'}`,
    );
  const url = parsedUrl(text, option);
  for (const [name, value] of timeoutsIn(url))
    if (!/^[1-9]\d{0,8}$/.test(value))
      throw new OptionError(`${option}: "${name}" in the URL should be a number of milliseconds, 1 to 999999999`);
  return url;
}

function parsedUrl(text: string, option: string): URL {
  try {
    const url = new URL(text);
    for (const encoded of [url.username, url.password]) decodeURIComponent(encoded); // throws at a lone %
    // A / # or ? in a password ends the host part there: the user's name or a part of the password would be looked up, and logged, as a host.
    if (!/^\/?\d*$/.test(url.pathname) || /@/.test(url.hash + url.search)) throw new TypeError('another form');
    return url;
  } catch {
    throw new OptionError(
      `${option} can't be read as a URL of the form redis://user:password@host:port/database: a password with other characters than letters and digits goes through ` +
        `encodeURIComponent(), or into ioredis' option "password"`,
    );
  }
}

const timeoutsIn = (url: URL): [name: string, value: string][] =>
  [...url.searchParams].filter(([name]) => name.endsWith('Timeout'));

/**
 * What ioredis is given for a URL: the URL without the options in `ours`, since ioredis would prefer those of its query, and without time-outs,
 * which become numbers among the options: ioredis would keep them as texts, and Node's timers throw at a text. As with an object of
 * options, ours win. Other options stay in the query. A text that is no URL is for ioredis to read (a port, host:port).
 */
export function withoutQuery<Ours extends RedisOptions>(text: string, ours: Ours): [url: string, options: Ours] {
  if (!text.includes('?') || !URL.canParse(text)) return [text, ours];
  const url = new URL(text);
  const timeouts = timeoutsIn(url).map(([name, value]) => [name, Number(value)] as const);
  for (const name of [...Object.keys(ours), ...timeouts.map(([name]) => name)]) url.searchParams.delete(name);
  return [url.href, { ...Object.fromEntries(timeouts), ...ours }];
}

/** The time-outs that are texts, as numbers: ioredis keeps them so where a client was made with a URL that has them. */
export const numericTimeouts = (options: object): RedisOptions =>
  Object.fromEntries(
    Object.entries(options)
      .filter(([name, value]) => name.endsWith('Timeout') && typeof value === 'string')
      .map(([name, value]) => [name, Number(value) || undefined]),
  );

/** The options that a client was made with, and its present database, which `select()` may have changed. */
export function optionsOfClient(client: Redis): RedisOptions {
  const { condition, prevCondition } = client as unknown as Record<string, { select?: number } | null | undefined>;
  // ioredis' private state; while a client reconnects, `prevCondition` says which database it will return to
  return {
    ...client.options,
    ...numericTimeouts(client.options),
    db: (prevCondition ?? condition)?.select ?? client.options.db ?? 0,
  };
}

/** What is read of a node-redis client's options. */
export interface NodeRedisOptions {
  readonly url?: string;
  readonly socket?: {
    host?: string;
    port?: number;
    path?: string;
    tls?: boolean;
    family?: number;
    connectTimeout?: number;
  };
  readonly commandOptions?: { readonly timeout?: number };
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
  readonly name?: string;
  readonly credentialsProvider?: unknown;
}

const NODE_REDIS_OPTION = 'option "redis" (a client of node-redis) ';

export function optionsOfNodeRedis(client: NodeRedisClient): RedisOptions {
  const { options } = client;
  if (!options) {
    if ('getMasterNode' in client)
      throw new OptionError(
        `${NODE_REDIS_OPTION}is a Sentinel's, which does not say where it goes: give { sentinels: [{ host, port }], name } instead`,
      );
    throw new OptionError(
      `${NODE_REDIS_OPTION}should be made by createClient() or createCluster(); of a pool, give the URL that it was made with`,
    );
  }
  return fromNodeRedisOptions(options as NodeRedisOptions);
}

export function fromNodeRedisOptions({
  socket,
  username,
  password,
  database,
  name,
  ...more
}: NodeRedisOptions): RedisOptions {
  // node-redis makes a provider of a user or a password, too; without a password there is nothing that ioredis could send
  if (more.credentialsProvider && password === undefined)
    throw new OptionError(
      `${NODE_REDIS_OPTION}has a credentialsProvider, or a user without a password: give ioredis options instead`,
    );
  return {
    ...(socket?.path ? { path: socket.path } : { host: socket?.host ?? '127.0.0.1', port: socket?.port ?? 6379 }),
    ...(socket?.family !== undefined && { family: socket.family }),
    ...(socket?.tls && { tls: tlsOf(socket) }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(name !== undefined && { connectionName: name }),
    // a caller's own limits win
    ...(socket?.connectTimeout !== undefined && { connectTimeout: socket.connectTimeout }),
    ...(more.commandOptions?.timeout !== undefined && { commandTimeout: more.commandOptions.timeout }),
    db: database ?? 0,
  };
}

/** The options of a socket for TLS: all but its address, which differs from node to node in a Cluster. Node ignores what is not for TLS. */
function tlsOf(socket: object): object {
  const { host: _host, port: _port, path: _path, ...rest } = socket as Record<string, unknown>;
  return rest;
}
