import { CommandCounts } from '../counts.js';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What a worker counts, in a registry of its own. No label carries an id or a payload. */
export class WorkerMetrics {
  readonly registry = new Registry();
  readonly #to = { registers: [this.registry] };
  readonly messages = new CommandCounts(
    'intelligent_session_worker_messages_total',
    'Messages by command and result: done, failed, timeout (an own command), again (counted before), gone (its session was destroyed), refused (not of the wire’s sizes or forms); late, unawaited, full or expired (dropped)',
    this.registry,
  );
  readonly processing = new Histogram({
    name: 'intelligent_session_worker_processing_seconds',
    help: 'From the sending of a script call to its reply',
    buckets: seconds,
    ...this.#to,
  });
  readonly queueing = new Histogram({
    name: 'intelligent_session_worker_queueing_seconds',
    help: 'From hearing a message (pub/sub), or from its being added (stream), to its script call; of each call, the first one’s',
    buckets: seconds,
    ...this.#to,
  });
  readonly refusedItems = new Counter({
    name: 'intelligent_session_worker_refused_items_total',
    help: 'Pages and notification ids that a Bloom filter did not take, since it had grown to 256 kB: they stay fresh',
    ...this.#to,
  });
  readonly gaps = new Counter({
    name: 'intelligent_session_worker_gaps_total',
    help: 'How often the subscription was lost (kicked by Redis, or the connection): what was published then was not heard',
    ...this.#to,
  });
  readonly gapSeconds = new Counter({
    name: 'intelligent_session_worker_gap_seconds_total',
    help: 'How long this worker did not hear',
    ...this.#to,
  });
  readonly takenOver = new Counter({
    name: 'intelligent_session_worker_taken_over_total',
    help: 'Messages of a stream that were given out before and not finished: to a worker that is gone, or over a lost connection',
    ...this.#to,
  });
  readonly lag = new Gauge({
    name: 'intelligent_session_worker_stream_lag',
    help: 'Messages of a partition that nobody has finished, as its worker counts them',
    labelNames: ['partition'],
    ...this.#to,
  });

  constructor(now: { waiting(): number; listening(): boolean }) {
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        ...this.#to,
        collect() {
          this.set(value());
        },
      });
    gauge('intelligent_session_worker_waiting', 'Messages heard and not yet worked on', now.waiting);
    gauge('intelligent_session_worker_listening', 'Does it listen: 1 or 0', () => Number(now.listening()));
  }
}
