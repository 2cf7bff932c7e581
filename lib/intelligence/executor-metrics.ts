import type { Metrics } from '../metrics/metrics.js';
import { CommandCounter } from './command-counter.js';

const BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The metrics of a process that carries out commands: a worker, or an embedded site. No label carries an id or a payload. */
export class ExecutorMetrics {
  readonly messages: CommandCounter;
  readonly processing;
  readonly queueing;
  readonly refusedItems;

  /** `waiting` gives how many messages wait whenever the metrics are read. */
  constructor(metrics: Metrics, waiting: () => number) {
    this.messages = new CommandCounter(
      'intelligent_session_worker_messages_total',
      'Messages by command and result: done, failed, timeout (an own command), duplicate (counted before), gone (its session was destroyed), refused (of a wrong size or form); expired, no-waiter, full or too-old (dropped)',
      metrics,
    );
    this.processing = metrics.histogram(
      'intelligent_session_worker_processing_seconds',
      'From the sending of a script call to its reply',
      BUCKETS_SECONDS,
    );
    this.queueing = metrics.histogram(
      'intelligent_session_worker_queueing_seconds',
      'From when a message was heard, or added to its stream, to its script call; measured for the first message of each call',
      BUCKETS_SECONDS,
    );
    this.refusedItems = metrics
      .counter(
        'intelligent_session_worker_refused_items_total',
        'Pages and notification ids that a Bloom filter did not take, since it had grown to 256 kB: they stay fresh',
      )
      .of();
    metrics.gauge('intelligent_session_worker_waiting', 'Messages heard and not yet worked on', waiting);
  }
}
