import type { Redis, RedisOptions } from 'ioredis';
import { OptionError } from '../errors/errors.js';

/** What is looked at of a node-redis client or Cluster (5 and later): where it goes, and as whom. It is not used itself. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly options?: unknown;
}

/** What a caller's client may have set for itself, and a connection of ours must not have: ARCHITECTURE.md, "Connections". */
export const notTakenOver = {
  // a replica lags behind, and refuses what is written
  role: 'master',
  readOnly: false,
  monitor: false,
  // replies in the form that is read here
  replyMapping: 'legacy',
  // a script may have the name of a command
  scripts: undefined,
  himportFieldsets: undefined,
  // a stack for every command
  showFriendlyErrorStack: false,
  // one that gives up would end the connection for good
  sentinelRetryStrategy: (times: number) => Math.min(times * 10, 250),
} as const satisfies RedisOptions;

// By their looks: a caller's ioredis may be another copy, or another version, of ours.
export const isClient = (redis: object): redis is Redis =>
  'status' in redis && typeof (redis as Redis).duplicate === 'function' && typeof (redis as Redis).options === 'object';
export const isNodeRedis = (redis: object): redis is NodeRedisClient => 'isOpen' in redis;

/** A socket in the file system: ioredis' form, or unix://. */
export const isPath = (text: string): boolean => /^(unix:\/\/)?\//.test(text);

export const KINDS =
  "a URL as redis://127.0.0.1:6379 (rediss:// with TLS), a socket's path, ioredis' options ({ host, port }), or a client of " +
  'ioredis or node-redis';

/** A URL as it stands, or an OptionError without it: Node's error would carry the password into logs. */
export function checkedUrl(text: string, option = 'option "redis"'): URL {
  if (!/^rediss?:\/\//.test(text))
    throw new OptionError(`${option} should be ${KINDS}; got ${text === '' ? 'an empty text' : 'a text that is none'}`);
  try {
    const url = new URL(text);
    decodeURIComponent(url.username + url.password);
    // a password with / or # or ? in it ends the host there: its beginning would be looked up, and told, as a host or a port
    if (!/^\/?\d*$/.test(url.pathname) || /@/.test(url.hash + [...url.searchParams.keys()].join('')))
      throw new TypeError('another form');
    return url;
  } catch {
    throw new OptionError(
      `${option} can't be read as a URL of the form redis://user:password@host:port/database: a password with other characters than letters and digits goes through ` +
        `encodeURIComponent(), or into ioredis' option "password"`,
    );
  }
}

/** A URL without the options of ours in its query, which ioredis would let win; how long to wait is the caller's to say. */
export function ofUrlWithout(url: string, ours: RedisOptions): string {
  if (!url.includes('?') || !URL.canParse(url)) return url;
  const parsed = new URL(url);
  for (const name of Object.keys(ours)) if (!name.endsWith('Timeout')) parsed.searchParams.delete(name);
  return parsed.href;
}

/** The options that a client was made with, and the database that it is in by now: `select()` may have changed it. */
export function ofClient(client: Redis): RedisOptions {
  const { condition, prevCondition } = client as unknown as Record<string, { select?: number } | null | undefined>;
  // while it connects anew, the one before says where it goes back to
  return { ...client.options, db: (prevCondition ?? condition)?.select ?? client.options.db ?? 0 };
}

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

const OF_NODE_REDIS = 'option "client": of node-redis, ';

export function ofNodeRedis(client: NodeRedisClient): RedisOptions {
  const { options } = client;
  if (!options) {
    if ('getMasterNode' in client)
      throw new OptionError(
        `${OF_NODE_REDIS}a Sentinel's client does not say where it goes: give { sentinels: [{ host, port }], name } instead`,
      );
    throw new OptionError(
      `${OF_NODE_REDIS}a client made by createClient() or createCluster(); of a pool, the URL that it was made with`,
    );
  }
  return ofNodeRedisOptions(options as NodeRedisOptions);
}

export function ofNodeRedisOptions({
  socket,
  username,
  password,
  database,
  name,
  ...more
}: NodeRedisOptions): RedisOptions {
  if (more.credentialsProvider && password === undefined)
    throw new OptionError(`${OF_NODE_REDIS}no client with a credentialsProvider; give ioredis options instead`);
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

/** What a socket's options say besides where it goes, which each node says for itself. */
function tlsOf(socket: object): object {
  const { host: _host, port: _port, path: _path, ...rest } = socket as Record<string, unknown>;
  return rest;
}
