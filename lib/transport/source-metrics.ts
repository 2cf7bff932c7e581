import type { Metrics } from '../metrics/metrics.js';

/** What a worker's source of messages counts. */
export class SourceMetrics {
  readonly subscriptionsLost;
  readonly subscriptionLostSeconds;
  readonly claimedMessages;
  readonly streamsMadeAnew;
  readonly lostMessages;
  /** How many messages nobody has finished, by the partition's number. */
  readonly lag = new Map<number, number>();

  constructor(metrics: Metrics, state: { isListening(): boolean; failingPartitions(): number }) {
    const counter = (name: string, help: string) => metrics.counter(`intelligent_session_worker_${name}`, help).of();
    this.subscriptionsLost = counter(
      'subscription_lost_total',
      'How often the subscription was lost (kicked by Redis, or the connection): what was published then was not heard',
    );
    this.subscriptionLostSeconds = counter(
      'subscription_lost_seconds_total',
      'How long this worker was not subscribed',
    );
    this.claimedMessages = counter(
      'claimed_total',
      'Messages of a stream that were given out before and not finished: to a worker that is gone, or over a lost connection',
    );
    this.streamsMadeAnew = counter(
      'streams_remade_total',
      'Streams that were deleted and made anew: a forged entry had used up all ids, and nobody could add to them',
    );
    this.lostMessages = counter(
      'lost_total',
      'Messages that were in a stream when it was made anew, or were given out too often and never finished',
    );
    metrics.gauge(
      'intelligent_session_worker_stream_lag',
      'Messages of a partition that nobody has finished, as its worker counts them',
      () => this.lag,
      'partition',
    );
    metrics.gauge(
      'intelligent_session_worker_failing_partitions',
      'Partitions of this worker whose stream failed lately (another type at its key, say): the others are read',
      () => state.failingPartitions(),
    );
    metrics.gauge('intelligent_session_worker_listening', 'Does it listen: 1 or 0', () => Number(state.isListening()));
  }
}
