import { EventEmitter, once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import debug from 'debug';
import type { Redis } from 'ioredis';
import { IntelligentSessionError, newerVersion, redisFault } from '../../errors/errors.js';
import { leaseKey, streamKey, workersKey } from '../../redis/keys.js';
import { checkPayload, GROUP, parseRequest } from '../protocol.js';
import { whenReady } from '../../redis/connect.js';
import { endConnection } from '../../redis/end-connection.js';
import { loadScript } from '../../redis/load-script.js';
import { loopNowMs } from '../../redis/loop-clock.js';
import { Script } from '../../redis/run-script.js';
import type { RedisTarget } from '../../redis/target.js';
import type { WorkerMetrics } from '../../intelligence/worker-metrics.js';
import type { Source, SourceEvents } from '../source.js';
import { type MessageContext, WorkerTask } from '../worker-task.js';
import { bytesOf, ReadCount } from './read-count.js';

const script = <Reply>(name: string) => new Script<Reply>(loadScript(`lib/transport/stream/${name}.lua`));
const lease = script<Time | null>('lease');
const workers = script<string[]>('workers');
const takeOver = script<[string, Entry[], number, Time]>('claim');
const trim = script<[removed: number, left: number, remade: 0 | 1]>('trim');

/** as Redis' TIME tells it */
type Time = readonly [seconds: string, microseconds: string];
type Entry = readonly [id: string, fields: readonly string[]];
/** An entry's first field is called so: its form, with the version. A name that entries share takes no bytes in each. */
const ENTRY_FORM = 'r1';

/** How often a worker says that it is there, renews its leases and trims. */
const BEAT_MS = 500;
/** After so long without it, others take its partitions. */
const LEASE_MS = 2_000;
const BLOCK_MS = 200;
/** Read and not finished: the streams themselves keep the rest. */
const MOST_IN_HAND = 1024;
const MOST_BYTES = 64 * 1024 * 1024;
const AFTER_FAULT_MS = 50;
/** A message that was given out so often ends its workers. */
const MOST_DELIVERIES = 10;

const say = debug('intelligent-session:stream');

/** A partition that is this worker's. */
interface Partition {
  readonly number: number;
  readonly key: string;
  /** entries that were read and are not finished, and how many bytes each has */
  readonly inHand: Map<string, number>;
  /** finished ones that are still on the group's list, as far as is known */
  readonly unacknowledged: Set<string>;
  /** finished, and not trimmed yet */
  kept: number;
  /** what was read before, here or by another worker, is to be looked through first */
  recovering: boolean;
  /** another worker is to have it */
  leaving: boolean;
  /** the loop's clock less that of the Redis by which its entries have their ids; a little more, never less */
  offsetMs: number;
}

/** A blocking connection, and the partitions that it reads: all that may share a call. */
interface Reader {
  readonly client: Redis;
  /** by stream */
  readonly partitions: Map<string, Partition>;
  readonly count: ReadCount;
  /** the read that is under way */
  turn: Promise<void>;
  /** has the last one failed? */
  failed: boolean;
}

/**
 * Messages by Redis Streams: at least once, and built-in commands once. Each partition is one worker's at a time, so the
 * messages of a session keep their order; workers share the partitions evenly by themselves, and take over those of one
 * that is gone. https://redis.io/docs/latest/develop/data-types/streams/
 */
export class StreamSource extends EventEmitter<SourceEvents> implements Source {
  readonly #readers = new Set<Reader>();
  /** by stream */
  readonly #owned = new Map<string, Partition>();
  readonly #changed = new EventEmitter();
  readonly #mostInHand: number;
  #beatMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  #stopping = false;
  #closed = false;
  /** closed without a wait for what is under way */
  #abandoned = false;
  #acknowledging: NodeJS.Immediate | undefined;

  constructor(
    readonly target: RedisTarget,
    readonly options: {
      readonly namespace: string;
      readonly id: string;
      readonly partitions: number;
      readonly maxQueue: number;
      readonly maxMessageAgeSeconds: number;
    },
    readonly metrics: WorkerMetrics,
    readonly context: MessageContext,
  ) {
    super();
    this.#mostInHand = Math.min(MOST_IN_HAND, options.maxQueue);
    this.#changed.setMaxListeners(0);
    if (target.sharesCalls) this.#addReader();
  }

  /** It held its leases a moment ago, and its last reads went well (liveness.ts ends one on a dead connection). */
  get listening(): boolean {
    return !this.#stopping && this.#holdsLeases && ![...this.#readers].some(isDeaf);
  }

  get #holdsLeases(): boolean {
    return performance.now() - this.#beatMs < LEASE_MS;
  }

  async start(): Promise<void> {
    await this.#beat();
    if (!this.#closed) this.#schedule();
  }

  /** The next one, so long after the last one began: a lease is renewed in time also where Redis is far away. */
  #schedule(afterMs = BEAT_MS): void {
    clearTimeout(this.#timer); // stop() schedules beside a beat that is under way
    this.#timer = setTimeout(() => {
      const beganMs = performance.now();
      this.#beating = this.#beat().catch((error) => this.#fault(error));
      void this.#beating.then(() => {
        if (!this.#closed) this.#schedule(Math.max(0, BEAT_MS - (performance.now() - beganMs)));
      });
    }, afterMs);
  }

  /** Says that it is there, and comes to the partitions that are its share: number `i` is worker `i mod workers`' own. */
  async #beat(): Promise<void> {
    const { namespace, id, partitions } = this.options;
    const there = (
      await workers.run(this.target.client, [workersKey(namespace), id, LEASE_MS, this.#stopping ? 0 : 1])
    ).toSorted();
    const mine = there.indexOf(id);
    await this.#acknowledge().catch((error) => this.#fault(error));
    const faults: (unknown | undefined)[] = await Promise.all(
      Array.from({ length: partitions }, async (_, number) => {
        const owned = this.#owned.get(streamKey(namespace, number));
        const wanted = !this.#stopping && number % there.length === mine;
        if (!owned && !wanted) return void this.metrics.sick.delete(number);
        // one that is being left, too, until all that was read is finished
        const time = await lease.run(this.target.client, [leaseKey(namespace, number), id, LEASE_MS]);
        if (!time) return owned && this.#forget(owned);
        const offsetMs = offsetOf(time);
        if (!owned) return this.#alone(number, this.#own(number, offsetMs, there));
        owned.offsetMs = offsetMs;
        owned.leaving = !wanted;
        if (owned.leaving) return this.#leave(owned);
        return this.#alone(number, this.#trim(owned, there));
      }),
      // all at once: what a reader does not know of when it begins to wait, it reads only after that
    ).finally(() => this.#changed.emit('change'));
    const share = Math.ceil((partitions - mine) / there.length);
    const fault = faults.find((one) => one !== undefined);
    if (fault !== undefined && this.metrics.sick.size >= share) throw fault;
    const back = !this.#holdsLeases;
    this.#beatMs = performance.now();
    if (back && !this.#stopping) this.emit('ready');
  }

  /** What Redis answers of one partition's stream fails no other's, and is told once. */
  async #alone(number: number, work: Promise<void>): Promise<unknown> {
    const { sick } = this.metrics;
    try {
      await work;
      sick.delete(number);
    } catch (error) {
      if ((error as Error).name !== 'ReplyError') throw error;
      if (!sick.has(number)) this.#fault(error);
      sick.add(number);
      return error;
    }
    return undefined;
  }

  async #own(number: number, offsetMs: number, there: readonly string[]): Promise<void> {
    const key = streamKey(this.options.namespace, number);
    await this.#makeGroup(key);
    const partition: Partition = {
      number,
      key,
      inHand: new Map(),
      unacknowledged: new Set(),
      kept: 0,
      recovering: true,
      leaving: false,
      offsetMs,
    };
    await this.#trim(partition, there);
    this.#owned.set(key, partition);
    const [reader] = this.target.sharesCalls ? this.#readers : [this.#addReader(key)];
    reader?.partitions.set(key, partition);
    say('worker %s reads partition %d', this.options.id, number);
  }

  /** The group begins at the stream's first entry: what was added before there was a worker is worked on too. */
  async #makeGroup(key: string): Promise<void> {
    await this.target.client.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM').catch((error: Error) => {
      if (!error.message.startsWith('BUSYGROUP')) throw error;
    });
  }

  /** Reads no more of it, and gives it back when all that was read is finished: else at the next beat. */
  async #leave(partition: Partition): Promise<void> {
    await Promise.all(Array.from(this.#readers, ({ turn }) => turn));
    if (partition.inHand.size === 0) await this.#release(partition);
  }

  async #release(partition: Partition): Promise<void> {
    await this.#acknowledge();
    this.#forget(partition);
    await lease.run(this.target.client, [leaseKey(this.options.namespace, partition.number), this.options.id, 0]);
    say('worker %s leaves partition %d', this.options.id, partition.number);
  }

  #forget(partition: Partition): void {
    this.#owned.delete(partition.key);
    this.metrics.lag.delete(partition.number);
    this.metrics.sick.delete(partition.number);
    for (const reader of this.#readers) {
      if (!reader.partitions.delete(partition.key) || this.target.sharesCalls) continue;
      this.#readers.delete(reader);
      endConnection(reader.client);
    }
  }

  async #trim(partition: Partition, there: readonly string[]): Promise<void> {
    const ageMs = this.options.maxMessageAgeSeconds * 1000;
    const [removed, left, remade] = await trim.run(this.target.client, [partition.key, GROUP, ageMs, ...there]);
    if (remade === 1) return this.#remade(partition, left);
    partition.kept = Math.max(0, partition.kept - removed);
    this.metrics.lag.set(partition.number, Math.max(0, left - partition.kept));
  }

  /** It took no more messages; those that are in hand are off the group's list with it, so no script works on them. */
  #remade(partition: Partition, left: number): void {
    const lost = Math.max(0, left - partition.kept);
    partition.inHand.clear();
    partition.unacknowledged.clear();
    partition.kept = 0;
    this.metrics.lag.set(partition.number, 0);
    this.metrics.remade.inc();
    this.metrics.lost.inc(lost);
    this.#fault(
      new IntelligentSessionError(
        'ERR_INTELLIGENT_SESSION_MESSAGE',
        `partition ${partition.number} had an entry whose id no clock gives, so that nobody could add to it: it was made anew, ` +
          `${lost} messages in it are lost`,
      ),
    );
  }

  #addReader(key?: string): Reader {
    const reader: Reader = {
      client: this.target.connect('blocking', key === undefined ? undefined : () => key),
      partitions: new Map(),
      count: new ReadCount(),
      turn: Promise.resolve(),
      failed: false,
    };
    this.#readers.add(reader);
    void this.#readOn(reader);
    return reader;
  }

  async #readOn(reader: Reader): Promise<void> {
    while (!this.#closed && this.#readers.has(reader)) {
      const open = [...reader.partitions.values()].filter(({ leaving }) => !leaving && !this.#stopping);
      if (open.length > 0 && this.#room > 0) {
        reader.turn = this.#read(reader, open).catch((error) => this.#afterFault(reader, error));
        await reader.turn;
      } else await once(this.#changed, 'change');
    }
  }

  /** So many more may be read: what a worker has no room for stays in Redis. */
  get #room(): number {
    let [messages, bytes] = [0, 0];
    for (const { inHand } of this.#owned.values()) {
      messages += inHand.size;
      for (const size of inHand.values()) bytes += size;
    }
    return bytes < MOST_BYTES ? this.#mostInHand - messages : 0;
  }

  async #read(reader: Reader, open: readonly Partition[]): Promise<void> {
    const { client, partitions, count: size } = reader;
    await whenReady(client, LEASE_MS);
    await Promise.all(open.map((partition) => partition.recovering && this.#recover(partition)));
    const count = Math.max(1, Math.min(size.next, Math.floor(this.#room / open.length)));
    const keys = open.map(({ key }) => key);
    const reply = (await client.xreadgroup(
      ...(['GROUP', GROUP, this.options.id, 'COUNT', count, 'BLOCK', BLOCK_MS, 'STREAMS'] as const),
      ...keys,
      ...keys.map(() => '>'),
    )) as [string, Entry[]][] | null;
    reader.failed = false;
    const lists = (reply ?? []).map(([, entries]) => entries);
    if (lists.length > 0) size.came(bytesOf(lists.flat()), Math.max(...lists.map(({ length }) => length)));
    const messages = (reply ?? []).flatMap(([key, entries]) => {
      const partition = partitions.get(key);
      return partition ? this.#messagesOf(partition, entries) : []; // lost meanwhile: its new worker takes them over
    });
    if (messages.length > 0) this.emit('messages', messages);
  }

  /** A reply that was lost has given out entries: what is pending is looked through before anything new is read. */
  async #afterFault(reader: Reader, error: unknown): Promise<void> {
    const { client, partitions } = reader;
    if (this.#closed || !this.#readers.has(reader)) return;
    reader.failed = true;
    for (const partition of partitions.values()) partition.recovering = true;
    this.#fault(error);
    try {
      if (/^(NOGROUP|WRONGTYPE)/.test((error as Error).message))
        for (const partition of [...partitions.values()])
          await this.#makeGroup(partition.key).catch((wrong: Error) => {
            if (!/^WRONGTYPE/.test(wrong.message)) throw wrong;
            this.#forget(partition); // one read asks for all: without it, the others are read
            this.metrics.sick.add(partition.number);
          });
      else if (client.status === 'ready') await closed(client);
    } catch (again) {
      this.#fault(again);
    }
    if (client.status !== 'ready') await whenReady(client, LEASE_MS).catch(() => {});
    await pause(AFTER_FAULT_MS);
  }

  /** Takes over what was read and not finished, in its order. */
  async #recover(partition: Partition): Promise<void> {
    const { key, inHand, unacknowledged } = partition;
    let from = '-';
    let taken = 0;
    const size = new ReadCount();
    do {
      while (this.#room <= 0 && !this.#closed) await once(this.#changed, 'change');
      const args = [key, GROUP, this.options.id, from, size.next, MOST_DELIVERIES];
      const [last, entries, givenUp, time] = await takeOver.run(this.target.client, args);
      size.came(bytesOf(entries), size.next);
      partition.offsetMs = offsetOf(time); // perhaps another server's clock
      if (givenUp > 0)
        this.#fault(
          new IntelligentSessionError(
            'ERR_INTELLIGENT_SESSION_MESSAGE',
            `${givenUp} messages were given out ${MOST_DELIVERIES} times and never finished: given up`,
          ),
        );
      const messages = this.#messagesOf(
        partition,
        // a finished one is not to be worked on again, much later than its session's last messages
        entries.filter(([id]) => !inHand.has(id) && !unacknowledged.has(id)),
      );
      taken += messages.length;
      if (messages.length > 0) this.emit('messages', messages);
      from = last;
    } while (from !== '');
    partition.recovering = false;
    if (taken > 0) this.emit('taken-over', taken);
  }

  #messagesOf(partition: Partition, entries: readonly Entry[]): WorkerTask[] {
    const messages: WorkerTask[] = [];
    const nowMs = performance.now();
    for (const [id, fields] of entries) {
      const [form, request = '', , payload = ''] = fields;
      partition.inHand.set(id, payload.length);
      const entry = { stream: partition.key, id };
      try {
        if (form !== ENTRY_FORM) throw newerVersion('a message of the stream');
        const message = parseRequest(request);
        checkPayload(payload);
        // it lay there for so long while this process could have read it: what came during a stall has just been heard
        const ageMs = Math.max(0, loopNowMs() - partition.offsetMs - Number.parseInt(id, 10));
        const heardMs = nowMs - ageMs;
        messages.push(new WorkerTask(message, payload, heardMs, this.context, entry));
      } catch (error) {
        this.#fault(error);
        this.#done(partition, id, false);
      }
    }
    return messages;
  }

  finished({ entry, acknowledged }: WorkerTask): void {
    const partition = entry && this.#owned.get(entry.stream);
    if (partition) this.#done(partition, entry.id, acknowledged);
  }

  #done(partition: Partition, id: string, acknowledged: boolean): void {
    if (!partition.inHand.delete(id)) return; // of a stream that was made anew meanwhile
    partition.kept++;
    if (!acknowledged) {
      partition.unacknowledged.add(id);
      this.#acknowledging ??= setImmediate(() => this.#acknowledge().catch((error) => this.#fault(error)));
    }
    this.#changed.emit('change');
  }

  /** Takes off the group's list what no script has taken off; what fails is tried again at the next time. */
  async #acknowledge(): Promise<void> {
    clearImmediate(this.#acknowledging);
    this.#acknowledging = undefined;
    const full = [...this.#owned.values()].filter(({ unacknowledged }) => unacknowledged.size > 0);
    await Promise.all(
      full.map(async (partition) => {
        const ids = [...partition.unacknowledged];
        await this.target.client.xack(partition.key, GROUP, ...ids);
        for (const id of ids) partition.unacknowledged.delete(id);
      }),
    );
  }

  /** Reads nothing more; each partition is given back when all of it that is in hand is finished. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#changed.emit('change');
    await this.#beating;
    await Promise.all(Array.from(this.#readers, ({ turn }) => turn));
    await this.#beat().catch((error) => this.#fault(error));
    if (!this.#closed) this.#schedule();
  }

  async close(atOnce = false): Promise<void> {
    const wasClosed = this.#closed;
    this.#stopping = true;
    this.#closed = true;
    this.#abandoned ||= atOnce;
    clearTimeout(this.#timer);
    this.#changed.emit('change'); // a beat may wait for a read, and a read for room
    if (atOnce) for (const { client } of this.#readers) endConnection(client);
    if (wasClosed) return;
    await this.#beating;
    const { namespace, id } = this.options;
    if (!this.#abandoned && this.target.client.status === 'ready') {
      const leave = async () => {
        await Promise.all([...this.#owned.values()].map((partition) => this.#release(partition)));
        await workers.run(this.target.client, [workersKey(namespace), id, LEASE_MS, 0]);
      };
      await leave().catch((error) => this.#fault(error));
    }
    this.#changed.emit('change');
    for (const { client } of this.#readers) endConnection(client);
  }

  #fault(error: unknown): void {
    if (this.#abandoned) return; // its connections were ended here
    this.emit('fault', redisFault(error));
  }
}

/** One that has nothing to read stands by. */
const isDeaf = ({ failed, partitions }: Reader): boolean => failed && partitions.size > 0;

/** How far the loop's clock is ahead of Redis' at most: the answer has been on its way. */
const offsetOf = ([seconds, microseconds]: Time): number =>
  loopNowMs() - Number(seconds) * 1000 - Math.floor(Number(microseconds) / 1000);

/** Resolves when it is: until then its status stays `ready`. */
function closed(client: Redis): Promise<void> {
  return new Promise((resolve) => {
    client.once('close', resolve);
    client.disconnect(true);
  });
}
