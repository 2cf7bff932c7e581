import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { type RedisClient, whenReady } from '../../redis/connect.js';
import { endConnection } from '../../redis/end-connection.js';
import { GROUP } from '../protocol.js';
import { allEnded } from './all-ended.js';
import { claim } from './claim.js';
import type { Entry } from './entry.js';
import { createGroup } from './group.js';
import { LEASE_MS } from './lease.js';
import type { OwnedPartitions } from './owned-partitions.js';
import type { Partition, PartitionState } from './partition.js';
import { ReadCount } from './read-count.js';

/** How long a read blocks where there are no new entries. */
const BLOCK_MS = 200;
/** The pause after a failed read. */
const RETRY_DELAY_MS = 50;

/** The entries that Redis has delivered to this worker, by partition and in their order: new ones, or claimed ones. */
export type Delivered = readonly (readonly [partition: Partition, entries: readonly Entry[]])[];

export interface ReaderHooks {
  entries(delivered: Delivered): void;
  /** Is called with the number of entries that were claimed of one partition, if there were any. */
  claimed(entries: number): void;
  /** Is called with the number of entries that were given up, since they were delivered too often. */
  givenUp(entries: number): void;
  /** Is called where the partition's key holds no stream. */
  unreadable(partition: Partition): void;
  fault(error: unknown): void;
}

/** Reads over one blocking connection: all partitions of this worker, or in a Cluster, where a call can't name several, one. */
export class Reader {
  /** By the stream's key. */
  readonly partitions = new Map<string, Partition>();
  readonly #count = new ReadCount();
  /** The claims and the read that are under way, or the last ones. */
  #reading: Promise<void> = Promise.resolve();
  #hasFailed = false;
  #isStopped = false;

  constructor(
    /** The blocking connection; close() ends it. */
    readonly client: Redis,
    /** For commands that do not block. */
    readonly commands: RedisClient,
    readonly workerId: string,
    /** All partitions of this worker: they share the room for entries. */
    readonly owned: OwnedPartitions,
    readonly hooks: ReaderHooks,
  ) {
    void this.#run();
  }

  /** Has the last read failed? A reader without partitions is never deaf. */
  get isDeaf(): boolean {
    return this.#hasFailed && this.partitions.size > 0;
  }

  /** Resolves when the read that is under way has ended, well or not. */
  async idle(): Promise<void> {
    await this.#reading.catch(() => {});
  }

  /** Begins no further read, and ends a wait for room. */
  stop(): void {
    this.#isStopped = true;
    this.owned.changed();
  }

  close(): void {
    this.stop();
    endConnection(this.client);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      if (this.#partitionsIn('claiming', 'reading').length === 0 || this.owned.room() <= 0) {
        await this.owned.nextChange();
        continue;
      }
      try {
        await whenReady(this.client, LEASE_MS);
        this.#reading = this.#claimAndRead();
        await this.#reading;
      } catch (error) {
        await this.#recover(error);
      }
    }
  }

  #partitionsIn(...states: PartitionState[]): Partition[] {
    return [...this.partitions.values()].filter(({ state }) => states.includes(state));
  }

  async #claimAndRead(): Promise<void> {
    await allEnded(this.#partitionsIn('claiming').map((partition) => this.#claim(partition)));
    await this.#readNew(this.#partitionsIn('reading'));
  }

  async #readNew(partitions: readonly Partition[]): Promise<void> {
    if (partitions.length === 0 || this.owned.room() <= 0) return;
    const count = Math.max(1, Math.min(this.#count.next, Math.floor(this.owned.room() / partitions.length)));
    const keys = partitions.map(({ key }) => key);
    const reply = (await this.client.xreadgroup(
      ...(['GROUP', GROUP, this.workerId, 'COUNT', count, 'BLOCK', BLOCK_MS, 'STREAMS'] as const),
      ...keys,
      ...keys.map(() => '>'),
    )) as [key: string, entries: Entry[]][] | null;
    this.#hasFailed = false;
    if (reply === null) return;
    const lists = reply.map(([, entries]) => entries);
    this.#count.adapt(lists.flat(), Math.max(...lists.map(({ length }) => length)));
    const delivered: [Partition, Entry[]][] = [];
    for (const [key, entries] of reply) {
      // Where the partition was lost meanwhile, its new worker claims these entries, at once or when it trims (assignment.ts).
      const partition = this.partitions.get(key);
      if (partition) delivered.push([partition, entries]);
    }
    this.hooks.entries(delivered);
  }

  /**
   * Claims the partition's pending entries in their order, for as long as there is room. It does not wait for room: a heartbeat may wait
   * until it has ended. The next call goes on where this one ends.
   */
  async #claim(partition: Partition): Promise<void> {
    const count = new ReadCount();
    let claimed = 0;
    while (partition.state === 'claiming' && this.owned.room() > 0 && !this.#isStopped) {
      const found = await claim(this.commands, partition, this.workerId, count.next);
      // As after a full read: where entries are small, the count grows.
      count.adapt(found.all, count.next);
      if (found.givenUp > 0) this.hooks.givenUp(found.givenUp);
      // Where the partition was lost meanwhile, its new worker claims these entries.
      if (this.partitions.get(partition.key) !== partition) break;
      this.hooks.entries([[partition, found.unread]]);
      claimed += found.unread.length;
      partition.claimedTo(found.last);
    }
    if (claimed > 0) this.hooks.claimed(claimed);
  }

  /** Goes on after a failed read. Redis may have delivered entries in a reply that was lost, so pending entries are claimed before new ones are read. */
  async #recover(error: unknown): Promise<void> {
    if (this.#isStopped) return;
    this.#hasFailed = true;
    for (const partition of this.partitions.values()) partition.claimAgain();
    this.hooks.fault(error);
    try {
      if (/^(NOGROUP|WRONGTYPE)/.test((error as Error).message)) await this.#createGroups();
      else if (this.client.status === 'ready') await reconnect(this.client);
    } catch (secondError) {
      this.hooks.fault(secondError);
    }
    if (this.client.status !== 'ready') await whenReady(this.client, LEASE_MS).catch(() => {});
    await pause(RETRY_DELAY_MS);
  }

  async #createGroups(): Promise<void> {
    for (const partition of [...this.partitions.values()])
      await createGroup(this.commands, partition.key).catch((error: Error) => {
        if (!error.message.startsWith('WRONGTYPE')) throw error;
        // One call reads all partitions, and would fail as long as it names this one.
        this.hooks.unreadable(partition);
      });
  }
}

/** Ends the connection; ioredis makes another one. Resolves when it has ended: until then its status stays `ready`. */
function reconnect(client: Redis): Promise<void> {
  return new Promise((resolve) => {
    client.once('close', resolve);
    client.disconnect(true);
  });
}
