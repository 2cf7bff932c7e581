import { leaseKey, streamKey } from '../redis/keys.js';
import { channelOf, partitionOf } from './protocol.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';

/** What became of a message: on its way, as far as is known; or nobody listens; or the stream is full. */
export type Posted = 'sent' | 'no-worker' | 'shed';

export interface Letter {
  readonly sid: string;
  /** `<command>:<sid>:<rid>`, as protocol.ts makes it */
  readonly request: string;
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
abstract class Gathering implements Outbox {
  #waiting: Letter[] = [];

  post(letter: Letter): void {
    if (this.#waiting.length === 0) setImmediate(() => this.#sendAll());
    this.#waiting.push(letter);
  }

  #sendAll(): void {
    const letters = this.#waiting;
    this.#waiting = [];
    for (const some of this.inCalls(letters)) void this.#send(some);
  }

  async #send(letters: readonly Letter[]): Promise<void> {
    let posted: readonly Posted[] | undefined;
    let fault: unknown;
    try {
      posted = await this.send(letters);
    } catch (error) {
      fault = error;
    }
    for (const [i, { settle }] of letters.entries()) settle(posted?.[i] ?? 'sent', fault);
  }

  /** What goes together: AT_ONCE at the most, and where payloads are long, fewer. */
  protected *inCalls(letters: readonly Letter[]): Generator<readonly Letter[]> {
    let [from, length] = [0, 0];
    for (const [i, { payload }] of letters.entries()) {
      if (i > from && (i - from >= AT_ONCE || length + payload.length > LENGTH_AT_ONCE)) {
        yield letters.slice(from, i);
        [from, length] = [i, 0];
      }
      length += payload.length;
    }
    if (from < letters.length) yield letters.slice(from);
  }

  protected abstract send(letters: readonly Letter[]): Promise<Posted[]>;
  abstract routeOf(sid: string): string;
}

/** In one call at most: the next goes while Redis works on it. A PUBLISH holds Redis for some 2 µs, an XADD for some 3. */
const AT_ONCE = 64;
/** Payloads of one call, in characters: 64 of 256 kB held Redis for 25 ms. */
const LENGTH_AT_ONCE = 262_144;
const publish = new Script<number[]>(loadScript('lib/transport/pubsub/publish.lua'), 0);
const add = new Script<number[]>(loadScript('lib/transport/stream/publish.lua'));

/** By pub/sub: a PUBLISH, or one script call for those of a turn. */
export class PubSubOutbox extends Gathering {
  constructor(
    readonly target: RedisTarget,
    readonly namespace: string,
    /** Else 0 says nothing: the listener may be at another node. */
    readonly knowsListeners: boolean,
  ) {
    super();
    target.loadAtReady(publish);
  }

  /** Workers share sessions by glob, and mostly by the first character. */
  routeOf(sid: string): string {
    return sid.charAt(0);
  }

  protected async send(letters: readonly Letter[]): Promise<Posted[]> {
    const { client, database } = this.target;
    const words = letters.flatMap((letter) => [channelOf(this.namespace, letter.request, database), letter.payload]);
    const [channel = '', payload = ''] = words;
    const heard = letters.length === 1 ? [await client.publish(channel, payload)] : await publish.run(client, words);
    return heard.map((listeners) => (this.knowsListeners && listeners === 0 ? 'no-worker' : 'sent'));
  }
}

/** By streams: one script call for those of a turn, or one a partition. */
export class StreamOutbox extends Gathering {
  constructor(
    readonly target: RedisTarget,
    readonly namespace: string,
    readonly options: {
      readonly partitions: number;
      readonly maxBacklog: number;
      readonly maxBacklogBytes: number;
      readonly messageAgeMs: number;
    },
  ) {
    super();
    target.loadAtReady(add);
  }

  routeOf(sid: string): string {
    return String(partitionOf(sid, this.options.partitions));
  }

  protected override *inCalls(letters: readonly Letter[]): Generator<readonly Letter[]> {
    for (const some of this.target.inCalls(letters, ({ sid }) => this.routeOf(sid))) yield* super.inCalls(some);
  }

  protected async send(letters: readonly Letter[]): Promise<Posted[]> {
    const keys: string[] = [];
    const numbers = new Map<number, number>();
    const { maxBacklog, maxBacklogBytes, messageAgeMs } = this.options;
    const words: (string | number)[] = [maxBacklog, maxBacklogBytes, messageAgeMs];
    for (const letter of letters) {
      const { sid, payload } = letter;
      const partition = partitionOf(sid, this.options.partitions);
      let number = numbers.get(partition);
      if (number === undefined) {
        number = numbers.size + 1;
        numbers.set(partition, number);
        keys.push(streamKey(this.namespace, partition), leaseKey(this.namespace, partition));
      }
      words.push(number, letter.request, payload);
    }
    const added = await add.run(this.target.client, [...keys, ...words], keys.length);
    return added.map((how) => POSTED[how] as Posted);
  }
}

/** By stream-add.lua's reply. */
const POSTED: readonly Posted[] = ['shed', 'no-worker', 'sent'];
