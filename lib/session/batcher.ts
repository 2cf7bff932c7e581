import type { Redis } from 'ioredis';
import { flushWrites } from '../redis/cork-writes.js';
import { loadScript } from '../redis/load-script.js';
import { tellsOfReplica } from '../redis/roles.js';
import { Script } from '../redis/run-script.js';
import type { RedisClient } from '../redis/client.js';
import type { RedisTarget } from '../redis/target.js';

type Reply = string | number | null;

const save = new Script<(Reply | Error)[]>(loadScript('lib/session/save.lua'));

/** In one call at most: the next goes while Redis works on it. A save holds Redis for some 4 µs, a read for less. */
const AT_ONCE = { get: 64, save: 32 };

interface Batch {
  readonly kind: 'get' | 'save';
  readonly keys: string[];
  readonly args: (string | number)[];
  readonly waiting: { resolve: (reply: never) => void; reject: (error: unknown) => void }[];
}

/**
 * Reads and saves of sessions. What a turn of the event loop asks goes as one MGET, or one call of save.lua, in the order
 * in which it was asked; a read that is alone is a GET. Where sessions share no call, each goes by itself.
 */
export class Batches {
  #batch: Batch | undefined;
  /** of the batch, by key: what a turn's requests read of one session is read once */
  readonly #reads = new Map<string, Promise<string | null>>();

  constructor(readonly target: RedisTarget) {
    target.loadAtReady(save);
  }

  /** Among others, a key of another type reads as null; alone, it is an error. */
  get(key: string): Promise<string | null> {
    if (!this.target.sharesCalls) return this.target.client.get(key);
    let read = this.#reads.get(key);
    if (!read) {
      read = this.#add('get', key);
      this.#reads.set(key, read);
    }
    return read;
  }

  /** 1 if it was saved, 0 if the session is gone, else the value that stands there. */
  async save(key: string, read: string, value: string, ttlMs: number): Promise<number | string> {
    if (this.target.sharesCalls) return this.#add('save', key, read, value, ttlMs);
    const [reply] = await save.run(this.target.client, [key, read, value, ttlMs]);
    if (reply instanceof Error) throw reply;
    return reply as number | string;
  }

  /** The client, for a command that comes after all that was asked so far. */
  get inOrder(): RedisClient {
    this.#flush();
    return this.target.client;
  }

  /** Writes all that was asked so far, before anything else is written: the turn's end is too late for it, or is here. */
  flushWrites(): void {
    this.#flush();
    flushWrites(this.target);
  }

  #add<T extends Reply>(kind: Batch['kind'], key: string, ...args: (string | number)[]): Promise<T> {
    if (this.#batch && (this.#batch.kind !== kind || this.#batch.keys.length >= AT_ONCE[kind])) this.#flush();
    if (!this.#batch) {
      this.#batch = { kind, keys: [], args: [], waiting: [] };
      const batch = this.#batch;
      setImmediate(() => {
        if (this.#batch === batch) this.flushWrites();
      });
    }
    const { keys, args: all, waiting } = this.#batch;
    keys.push(key);
    all.push(...args);
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  }

  #flush(): void {
    const batch = this.#batch;
    if (!batch) return;
    this.#batch = undefined;
    this.#reads.clear();
    const { waiting } = batch;
    this.#send(batch).then(
      (replies) => {
        for (const [i, { resolve, reject }] of waiting.entries()) {
          const reply = replies[i];
          // ioredis looks for a change of role in errors of its own only
          if (reply instanceof Error && tellsOfReplica(reply.message)) (this.target.client as Redis).disconnect(true);
          if (reply instanceof Error) reject(reply);
          else resolve(reply as never);
        }
      },
      (error) => {
        for (const { reject } of waiting) reject(error);
      },
    );
  }

  async #send({ kind, keys, args }: Batch): Promise<(Reply | Error)[]> {
    const redis = this.target.client as Redis;
    if (kind === 'save') return save.run(redis, [...keys, ...args], keys.length);
    return keys.length === 1 ? [await redis.get(keys[0] as string)] : redis.mget(keys);
  }
}
