import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { NodeRedisClient } from './caller-options.js';

/** A URL, ioredis' options (Sentinel's among them), or a client, which is duplicated and never closed. */
export type RedisOption = string | RedisOptions | Redis | Cluster | NodeRedisClient;

/** A client that commands can be sent with. */
export type RedisClient = Redis | Cluster;
