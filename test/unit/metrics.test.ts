import { expect } from 'chai';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { Metrics } from '../../lib/metrics/metrics.js';

describe('Metrics', () => {
  const buckets = [0.1, 1, 10];
  const observed = [0.05, 0.1, 0.5, 100];

  it('reads to Prometheus as what prom-client counts itself', async () => {
    const ours = new Metrics();
    const theirs = new Registry();
    const registers = [theirs];
    const events = ours.counter('events_total', 'Events', ['command', 'result']);
    const theirEvents = new Counter({
      name: 'events_total',
      help: 'Events',
      labelNames: ['command', 'result'],
      registers,
    });
    for (const [command, result, by] of [['a"b\\', 'done', 1] as const, ['c', 'failed', 3] as const]) {
      events.of(command, result).inc(by);
      theirEvents.inc({ command, result }, by);
    }
    ours.counter('none_total', 'Never');
    new Counter({ name: 'none_total', help: 'Never', registers });
    ours.gauge('waiting', 'Those that wait', () => 7);
    new Gauge({ name: 'waiting', help: 'Those that wait', registers }).set(7);
    ours.gauge('lag', 'Lag\nof a partition', () => new Map([[3, 5]]), 'partition');
    new Gauge({ name: 'lag', help: 'Lag\nof a partition', labelNames: ['partition'], registers }).set(
      { partition: 3 },
      5,
    );
    const seconds = ours.histogram('seconds', 'Time', buckets);
    const theirSeconds = new Histogram({ name: 'seconds', help: 'Time', buckets, registers });
    for (const value of observed) {
      seconds.observe(value);
      theirSeconds.observe(value);
    }
    expect(await ours.registry.metrics()).to.equal(await theirs.metrics());
    theirs.setDefaultLabels({ app: 'shop' });
    ours.registry.setDefaultLabels({ app: 'shop' });
    expect(await Registry.merge([ours.registry]).metrics()).to.equal(await Registry.merge([theirs]).metrics());
  });

  it('counts on after it was read, also what was counted before anybody asked', async () => {
    const metrics = new Metrics();
    const count = metrics.counter('events_total', 'Events').of();
    count.inc();
    const { registry } = metrics;
    expect((await registry.getSingleMetric('events_total')?.get())?.values).to.deep.equal([{ labels: {}, value: 1 }]);
    count.inc(2);
    expect((await registry.getSingleMetric('events_total')?.get())?.values).to.deep.equal([{ labels: {}, value: 3 }]);
    expect(metrics.registry).to.equal(registry);
  });
});
