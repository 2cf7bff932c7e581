import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { NodeRedisClient } from './caller-options.js';

/**
 * Where Redis is: a URL, a socket's path, ioredis' options (Sentinel's among them), or a client of the application's, which is
 * never closed: connections of our own are made to the same place.
 */
export type RedisOption = string | RedisOptions | Redis | Cluster | NodeRedisClient;

/** A client of ioredis, as ours are: of a node-redis client only the address and the credentials are used. */
export type RedisClient = Redis | Cluster;
