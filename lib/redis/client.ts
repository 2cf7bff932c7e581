import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { NodeRedisClient } from './caller-options.js';

/**
 * Where Redis is: a URL, a socket's path, ioredis' options (Sentinel's among them), or a client of the application's, by which
 * connections of our own are made to the same place; it is never closed.
 */
export type RedisOption = string | RedisOptions | Redis | Cluster | NodeRedisClient;

/** A client of our own, which is ioredis': of one of node-redis only the address is used. */
export type RedisClient = Redis | Cluster;
