import debug from 'debug';
import { IntelligentSessionError } from '../../errors/errors.js';
import type { RedisClient } from '../../redis/connect.js';
import { streamKey } from '../../redis/keys.js';
import type { SourceMetrics } from '../source-metrics.js';
import type { Acknowledger } from './acknowledge.js';
import { allEnded } from './all-ended.js';
import { createGroup } from './group.js';
import { Leases } from './lease.js';
import { Membership } from './membership.js';
import type { OwnedPartitions } from './owned-partitions.js';
import { Partition } from './partition.js';
import { trim } from './trim.js';

const log = debug('intelligent-session:stream');

export interface AssignmentOptions {
  readonly namespace: string;
  /** The id of this worker among the workers of the streams. */
  readonly id: string;
  /** How many partitions there are. */
  readonly partitions: number;
  readonly maxMessageAgeSeconds: number;
}

export interface AssignmentHooks {
  /** Is called when a partition has become this worker's: from now on it may be read. */
  owned(partition: Partition): void;
  /** Is called when a partition is this worker's no longer. */
  lost(partition: Partition): void;
  /** Resolves when the read of this partition that is under way has ended. */
  readToEnd(partition: Partition): Promise<void>;
  fault(error: unknown): void;
}

/** Decides which partitions are this worker's: at each heartbeat it takes those of its share, trims them, and gives back the others. */
export class Assignment {
  readonly #membership: Membership;
  readonly #leases: Leases;
  #isStopping = false;
  /** The partitions (numbers) whose streams Redis has answered with an error: they are tried again at each heartbeat. */
  readonly failing = new Set<number>();
  /** The errors that Redis has answered during the present heartbeat. */
  readonly #errors: Error[] = [];

  constructor(
    readonly client: RedisClient,
    readonly options: AssignmentOptions,
    readonly metrics: SourceMetrics,
    readonly partitions: OwnedPartitions,
    readonly acknowledger: Acknowledger,
    readonly hooks: AssignmentHooks,
  ) {
    this.#membership = new Membership(client, options.namespace, options.id);
    this.#leases = new Leases(client, options.namespace, options.id);
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Begins to leave all partitions: the next heartbeats give them back. */
  stop(): void {
    this.#isStopping = true;
    for (const partition of this.partitions) partition.leave();
  }

  /** Gives back all partitions at once, even where entries are unfinished: their next worker claims these. */
  async releaseAll(): Promise<void> {
    const others = await this.#membership.leave();
    await allEnded(Array.from(this.partitions, (partition) => this.#release(partition, others)));
  }

  /** Does one heartbeat. Rejects where the connection fails, or where the streams of all partitions of this worker's share fail. */
  async beat(): Promise<void> {
    const members = await (this.#isStopping ? this.#membership.leave() : this.#membership.join());
    await this.acknowledger.flush().catch((error) => this.hooks.fault(error));
    const numbers = Array.from({ length: this.options.partitions }, (_, number) => number);
    this.#errors.length = 0;
    // A reader that blocks on some streams notices another one only at its next read, so it wakes up when all are decided.
    await allEnded(numbers.map((number) => this.#reconcile(number, members))).finally(() => this.partitions.changed());
    const share = numbers.filter((number) => this.#membership.isShare(number, members));
    const [firstError] = this.#errors;
    if (firstError && share.every((number) => this.failing.has(number))) throw firstError;
  }

  /** Drops a partition whose key holds no stream; the next heartbeat tries it again. */
  forgetUnreadable(partition: Partition): void {
    this.#drop(partition);
    this.failing.add(partition.number);
  }

  #drop(partition: Partition): void {
    this.partitions.delete(partition);
    this.metrics.lag.delete(partition.number);
    this.failing.delete(partition.number);
    this.hooks.lost(partition);
  }

  /** Takes, keeps or leaves one partition. */
  async #reconcile(number: number, members: readonly string[]): Promise<void> {
    // A function, since stop() may be called while a reply is awaited.
    const isWanted = () => !this.#isStopping && this.#membership.isShare(number, members);
    const owned = this.partitions.get(streamKey(this.options.namespace, number));
    if (!owned && !isWanted()) return void this.failing.delete(number);
    // The lease of a partition that is being left is renewed, too, until all its entries that were read are finished.
    const clockOffsetMs = await this.#leases.renew(number);
    if (clockOffsetMs === undefined) return owned && this.#drop(owned); // Another worker holds the lease.
    if (!owned) return this.#isolatingErrors(number, () => this.#acquire(number, clockOffsetMs, members));
    owned.clockOffsetMs = clockOffsetMs;
    if (!isWanted()) return this.#leave(owned, members);
    owned.stay();
    return this.#isolatingErrors(number, () => this.#trim(owned, members));
  }

  /** Keeps an error of one partition's stream from failing the other partitions. The error is reported once, until the stream works again. */
  async #isolatingErrors(number: number, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.failing.delete(number);
    } catch (caught) {
      const error = caught as Error;
      if (!isReplyError(error)) throw error;
      if (!this.failing.has(number)) this.hooks.fault(error);
      this.failing.add(number);
      this.#errors.push(error);
    }
  }

  async #acquire(number: number, clockOffsetMs: number, members: readonly string[]): Promise<void> {
    const partition = new Partition(number, streamKey(this.options.namespace, number), clockOffsetMs);
    await createGroup(this.client, partition.key);
    await this.#trim(partition, members);
    if (this.#isStopping) partition.leave(); // stop() was called meanwhile, and did not know this partition.
    this.partitions.add(partition);
    this.hooks.owned(partition);
    log('worker %s reads partition %d', this.options.id, number);
  }

  async #trim(partition: Partition, members: readonly string[]): Promise<void> {
    const { id, maxMessageAgeSeconds } = this.options;
    const { lag, lost, isAstray } = await trim(this.client, partition, id, members, maxMessageAgeSeconds * 1000);
    this.metrics.lag.set(partition.number, lag);
    // A worker that stood still does not know yet that it has lost the partition, and its read may be given entries after this worker has claimed.
    if (isAstray) partition.claimAgain();
    if (lost === undefined) return;
    this.metrics.streamsMadeAnew.inc();
    this.metrics.lostMessages.inc(lost);
    this.hooks.fault(madeAnew(partition.number, lost));
  }

  /** Stops reading a partition, and gives it back if all its entries that were read are finished; otherwise a later heartbeat does. */
  async #leave(partition: Partition, members: readonly string[]): Promise<void> {
    partition.leave();
    await this.hooks.readToEnd(partition);
    if (partition.unfinished === 0) await this.#release(partition, members);
  }

  async #release(partition: Partition, members: readonly string[]): Promise<void> {
    await this.acknowledger.acknowledge(partition).catch((error: Error) => {
      if (!isReplyError(error)) throw error;
      this.hooks.fault(error); // Redis refuses it: what is still there is given out again.
    });
    this.#drop(partition);
    const hasOthers = members.some((id) => id !== this.options.id);
    await this.#leases.release(partition.number, hasOthers);
    log('worker %s leaves partition %d', this.options.id, partition.number);
  }
}

/** Is it an answer of Redis, and no error of the connection? */
const isReplyError = ({ name }: Error): boolean => name === 'ReplyError';

const madeAnew = (partition: number, lost: number): IntelligentSessionError =>
  new IntelligentSessionError(
    'ERR_INTELLIGENT_SESSION_MESSAGE',
    `partition ${partition} had an entry whose id no clock gives, so that nobody could add to it: it was made anew, ` +
      `${lost} messages in it are lost`,
  );
