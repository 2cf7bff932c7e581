import type { Redis } from 'ioredis';
import type { RedisClient } from '../redis/client.js';
import { flushWrites } from '../redis/cork-writes.js';
import { loadScript } from '../redis/load-script.js';
import { tellsOfReplica } from '../redis/roles.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';

type Reply = string | number | null;

const saveScript = new Script<(Reply | Error)[]>(loadScript('lib/session/save.lua'));

/**
 * Keys in one call at most. Redis works on a full one while the next is filled; a save takes some 4 µs of Redis, a read less,
 * so that nobody waits long behind a call.
 */
const MAX_KEYS = { get: 64, save: 32 };

interface Batch {
  readonly kind: 'get' | 'save';
  readonly keys: string[];
  readonly args: (string | number)[];
  readonly callers: { resolve: (reply: never) => void; reject: (error: unknown) => void }[];
}

/**
 * Reads and saves of sessions. Those that are asked for in one turn of the event loop go as one MGET, or as one call of
 * save.lua, in the order in which they were asked for; a read that is alone is a GET. In a Cluster each goes by itself.
 */
export class Batcher {
  #batch: Batch | undefined;
  /** The batch's reads by key: a session that several requests of a turn read is read once. */
  readonly #reads = new Map<string, Promise<string | null>>();

  constructor(readonly target: RedisTarget) {
    target.loadAtReady(saveScript);
  }

  /** The value of a key. In a batch, a key of another type reads as null; alone, it is an error. */
  get(key: string): Promise<string | null> {
    if (!this.target.sharesCalls) return this.target.client.get(key);
    let read = this.#reads.get(key);
    if (!read) {
      read = this.#add('get', key);
      this.#reads.set(key, read);
    }
    return read;
  }

  /** Saves where `expected` stands: 1 if it was saved, 0 if the session is gone, else the value that stands there. */
  async save(key: string, expected: string, value: string, ttlMs: number): Promise<number | string> {
    if (this.target.sharesCalls) return this.#add('save', key, expected, value, ttlMs);
    const [reply] = await saveScript.run(this.target.client, [key, expected, value, ttlMs]);
    if (reply instanceof Error) throw reply;
    return reply as number | string;
  }

  /** Sends the batch, and returns the client for a command that has to come after it. */
  flush(): RedisClient {
    const batch = this.#batch;
    this.#batch = undefined;
    this.#reads.clear();
    if (batch) void this.#send(batch);
    return this.target.client;
  }

  /** Sends the batch, and writes all that was sent in this turn of the event loop to the socket, without waiting for its end. */
  flushWrites(): void {
    this.flush();
    flushWrites(this.target);
  }

  #add<T extends Reply>(kind: Batch['kind'], key: string, ...args: (string | number)[]): Promise<T> {
    if (this.#batch && (this.#batch.kind !== kind || this.#batch.keys.length >= MAX_KEYS[kind])) this.flush();
    const batch = (this.#batch ??= this.#begin(kind));
    batch.keys.push(key);
    batch.args.push(...args);
    return new Promise((resolve, reject) => batch.callers.push({ resolve, reject }));
  }

  #begin(kind: Batch['kind']): Batch {
    const batch: Batch = { kind, keys: [], args: [], callers: [] };
    setImmediate(() => {
      if (this.#batch === batch) this.flushWrites();
    });
    return batch;
  }

  async #send({ kind, keys, args, callers }: Batch): Promise<void> {
    const redis = this.target.client as Redis;
    try {
      const replies =
        kind === 'save' ? await saveScript.run(redis, [...keys, ...args], keys.length) : await read(redis, keys);
      for (const [i, { resolve, reject }] of callers.entries()) {
        const reply = replies[i];
        // ioredis looks for a change of role in the errors of commands only, and not in a script's reply
        if (reply instanceof Error && tellsOfReplica(reply.message)) redis.disconnect(true);
        if (reply instanceof Error) reject(reply);
        else resolve(reply as never);
      }
    } catch (error) {
      for (const { reject } of callers) reject(error);
    }
  }
}

const read = async (redis: Redis, keys: readonly string[]): Promise<(string | null)[]> =>
  keys.length === 1 ? [await redis.get(keys[0] as string)] : redis.mget([...keys]);
