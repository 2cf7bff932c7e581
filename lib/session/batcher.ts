import type { Redis } from 'ioredis';
import type { RedisClient } from '../redis/client.js';
import { flushWrites } from '../redis/cork-writes.js';
import { reconnect } from '../redis/end-connection.js';
import { loadScript } from '../redis/load-script.js';
import { tellsOfReplica } from '../redis/roles.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';

type Reply = string | number | null;

const saveScript = new Script<(Reply | Error)[]>(loadScript('lib/session/save.lua'));

/**
 * The most keys in one call: so few that no other client waits long for its end, since a save takes Redis some 4 µs, and a read
 * less. A full call is sent at once, and Redis works on it while the next one is filled.
 */
const MAX_KEYS = { get: 64, save: 32 };

interface Batch {
  readonly kind: 'get' | 'save';
  readonly keys: string[];
  /** of saves only: the expected value, the new value and the ttl in ms, for each key */
  readonly args: (string | number)[];
  readonly callers: { resolve: (reply: never) => void; reject: (error: unknown) => void }[];
}

/**
 * Sends reads and saves of sessions in batches: the reads of one turn of the event loop as one MGET, the saves as one call of
 * save.lua, in the order in which they were asked for. A single read is a GET. In a Cluster each read and save is sent by itself.
 */
export class Batcher {
  #batch: Batch | undefined;
  /** The batch's reads by key: where several requests of one turn read the same session, it is read once. */
  readonly #reads = new Map<string, Promise<string | null>>();

  constructor(readonly target: RedisTarget) {
    target.loadAtReady(saveScript);
  }

  /** The value of a key. Where the key holds no string, a batch (MGET) gives null, and a read by itself (GET) fails. */
  get(key: string): Promise<string | null> {
    if (!this.target.sharesCalls) return this.target.client.get(key);
    let read = this.#reads.get(key);
    if (!read) {
      read = this.#add('get', key);
      this.#reads.set(key, read);
    }
    return read;
  }

  /** Saves if Redis holds `expected`. Resolves with save.lua's reply: 1 saved, 0 the session is gone, else what Redis holds. */
  async save(key: string, expected: string, value: string, ttlMs: number): Promise<number | string> {
    if (this.target.sharesCalls) return this.#add('save', key, expected, value, ttlMs);
    const [reply] = await saveScript.run(this.target.client, [key, expected, value, ttlMs]);
    if (reply instanceof Error) throw reply;
    return reply as number | string;
  }

  /** Sends the batch, and returns the client for a command that has to come after the batch. */
  flush(): RedisClient {
    const batch = this.#batch;
    this.#batch = undefined;
    this.#reads.clear();
    if (batch) void this.#send(batch);
    return this.target.client;
  }

  /** Sends the batch, and writes to the socket at once what else waits for the end of this turn of the event loop. */
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
    const redis = this.target.client as Redis; // a Cluster does not share calls, and so has no batches
    try {
      const replies =
        kind === 'save' ? await saveScript.run(redis, [...keys, ...args], keys.length) : await read(redis, keys);
      for (const [i, { resolve, reject }] of callers.entries()) {
        const reply = replies[i];
        // a master that became a replica: ioredis reconnects upon a command's error, but sees none within a script's reply
        if (reply instanceof Error && tellsOfReplica(reply.message)) reconnect(redis);
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
