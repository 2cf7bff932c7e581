import type { Redis } from 'ioredis';
import { leaseKey, streamKey } from '../keys.js';
import { channelOf, partitionOf, requestOf } from '../protocol.js';
import { isCluster, type RedisClient } from '../redis/connect.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';

/** What became of a message: on its way, as far as is known; or nobody listens; or the stream is full. */
export type Posted = 'sent' | 'no-worker' | 'shed';

export interface Letter {
  readonly command: string;
  readonly sid: string;
  readonly rid: string;
  readonly payload: string;
  readonly settle: (posted: Posted, error?: unknown) => void;
}

/** Which way messages leave. Those of a session arrive in the order in which they were posted. */
export interface Outbox {
  post(letter: Letter): void;
  /** What may fail together: the sessions of one worker, as far as can be told from here. */
  routeOf(sid: string): string;
}

/** Gathers what a turn of the event loop posts, and sends it in few calls. */
class Gathered<T> {
  #waiting: T[] = [];

  constructor(readonly send: (all: T[]) => void) {}

  add(one: T): void {
    if (this.#waiting.length === 0)
      setImmediate(() => {
        const all = this.#waiting;
        this.#waiting = [];
        this.send(all);
      });
    this.#waiting.push(one);
  }
}

/** In one call at most: the next goes while Redis works on it. A PUBLISH holds Redis for some 2 µs, an XADD for some 3. */
const AT_ONCE = 64;
const publish = new Script<number[]>(loadScript('../scripts/publish.lua', import.meta.url), 0);
const add = new Script<number[]>(loadScript('../scripts/stream-add.lua', import.meta.url));

function* inCalls<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < all.length; i += AT_ONCE) yield all.slice(i, i + AT_ONCE);
}

/** By pub/sub: a PUBLISH, or one script call for those of a turn. */
export class PubSubOutbox implements Outbox {
  readonly #gathered = new Gathered<Letter>((all) => {
    for (const some of inCalls(all)) void this.#publish(some);
  });

  constructor(
    readonly client: Redis,
    readonly namespace: string,
    /** In a Cluster 0 says nothing: the listener may be at another node. */
    readonly knowsListeners: boolean,
  ) {}

  post(letter: Letter): void {
    this.#gathered.add(letter);
  }

  /** Workers share sessions by glob, and mostly by the first character. */
  routeOf(sid: string): string {
    return sid.charAt(0);
  }

  async #publish(letters: readonly Letter[]): Promise<void> {
    try {
      const words: string[] = [];
      for (const { command, sid, rid, payload } of letters)
        words.push(channelOf(this.namespace, command, sid, rid), payload);
      const [channel = '', payload = ''] = words;
      const heard =
        letters.length === 1 ? [await this.client.publish(channel, payload)] : await publish.run(this.client, words);
      for (const [i, { settle }] of letters.entries())
        settle(this.knowsListeners && heard[i] === 0 ? 'no-worker' : 'sent');
    } catch (error) {
      for (const { settle } of letters) settle('sent', error);
    }
  }
}

/** By streams: one script call for those of a turn; in a Cluster, one a partition. */
export class StreamOutbox implements Outbox {
  readonly #gathered = new Gathered<Letter>((all) => {
    if (!isCluster(this.client)) for (const some of inCalls(all)) void this.#add(some);
    else for (const some of this.#byPartition(all)) for (const few of inCalls(some)) void this.#add(few);
  });

  constructor(
    readonly client: RedisClient,
    readonly namespace: string,
    readonly options: { readonly partitions: number; readonly maxBacklog: number },
  ) {}

  post(letter: Letter): void {
    this.#gathered.add(letter);
  }

  routeOf(sid: string): string {
    return String(partitionOf(sid, this.options.partitions));
  }

  #byPartition(letters: readonly Letter[]): Iterable<Letter[]> {
    const all = new Map<string, Letter[]>();
    for (const letter of letters) {
      const route = this.routeOf(letter.sid);
      const same = all.get(route);
      if (same) same.push(letter);
      else all.set(route, [letter]);
    }
    return all.values();
  }

  async #add(letters: readonly Letter[]): Promise<void> {
    const keys: string[] = [];
    const numbers = new Map<number, number>();
    const words: (string | number)[] = [this.options.maxBacklog];
    for (const { command, sid, rid, payload } of letters) {
      const partition = partitionOf(sid, this.options.partitions);
      let number = numbers.get(partition);
      if (number === undefined) {
        number = numbers.size + 1;
        numbers.set(partition, number);
        keys.push(streamKey(this.namespace, partition), leaseKey(this.namespace, partition));
      }
      words.push(number, requestOf(command, sid, rid), payload);
    }
    try {
      const added = await add.run(this.client, [...keys, ...words], keys.length);
      for (const [i, { settle }] of letters.entries()) settle(POSTED[added[i] as number] as Posted);
    } catch (error) {
      for (const { settle } of letters) settle('sent', error);
    }
  }
}

/** By stream-add.lua's reply. */
const POSTED: readonly Posted[] = ['shed', 'no-worker', 'sent'];
