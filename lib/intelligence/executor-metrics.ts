import { CommandCounts } from './command-counter.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';

const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What a worker counts, in a registry of its own. No label carries an id or a payload. */
export class WorkerMetrics {
  readonly metrics = new Metrics();
  readonly messages = new CommandCounts(
    'intelligent_session_worker_messages_total',
    'Messages by command and result: done, failed, timeout (an own command), duplicate (counted before), gone (its session was destroyed), refused (not of the wire’s sizes or forms); late, unawaited, full or expired (dropped)',
    this.metrics,
  );
  readonly processing = this.metrics.histogram(
    'intelligent_session_worker_processing_seconds',
    'From the sending of a script call to its reply',
    seconds,
  );
  readonly queueing = this.metrics.histogram(
    'intelligent_session_worker_queueing_seconds',
    'From hearing a message (pub/sub), or from its being added (stream), to its script call; of each call, the first one’s',
    seconds,
  );
  readonly refusedItems = this.#counter(
    'refused_items_total',
    'Pages and notification ids that a Bloom filter did not take, since it had grown to 256 kB: they stay fresh',
  );
  readonly gaps = this.#counter(
    'gaps_total',
    'How often the subscription was lost (kicked by Redis, or the connection): what was published then was not heard',
  );
  readonly gapSeconds = this.#counter('gap_seconds_total', 'How long this worker did not hear');
  readonly takenOver = this.#counter(
    'taken_over_total',
    'Messages of a stream that were given out before and not finished: to a worker that is gone, or over a lost connection',
  );
  readonly remade = this.#counter(
    'streams_remade_total',
    'Streams that were deleted and made anew: a forged entry had used up all ids, and nobody could add to them',
  );
  readonly lost = this.#counter('lost_total', 'Messages that were in a stream when it was made anew');
  /** partitions whose stream failed at the last beat */
  readonly sick = new Set<number>();
  /** by partition */
  readonly lag = new Map<number, number>();

  constructor(now: { waiting(): number; listening(): boolean }) {
    const { lag } = this;
    const name = 'intelligent_session_worker_stream_lag';
    const help = 'Messages of a partition that nobody has finished, as its worker counts them';
    this.metrics.gauge(name, help, () => lag, 'partition');
    const failing =
      'Partitions of this worker whose stream failed lately (another type at its key, say): the others are read';
    this.metrics.gauge('intelligent_session_worker_failing_partitions', failing, () => this.sick.size);
    this.metrics.gauge('intelligent_session_worker_waiting', 'Messages heard and not yet worked on', now.waiting);
    const listening = () => Number(now.listening());
    this.metrics.gauge('intelligent_session_worker_listening', 'Does it listen: 1 or 0', listening);
  }

  get registry(): PromRegistry {
    return this.metrics.registry;
  }

  #counter(name: string, help: string) {
    return this.metrics.counter(`intelligent_session_worker_${name}`, help).of();
  }
}
