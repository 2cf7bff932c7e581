import { Registry } from 'prom-client';
import { IntelligentSessionError } from '../errors/errors.js';

/** @ts-ignore prom-client is an optional peer: where it is not installed, this type is any */
export type PromRegistry = import('prom-client').Registry;

type Labels = Readonly<Record<string, string | number>>;
/** One number of a metric, as prom-client's registry takes it. */
interface Value {
  readonly labels: Labels;
  readonly value: number;
  /** The series of a histogram's number: `<name>_bucket`, `<name>_sum` or `<name>_count`. */
  readonly metricName?: string;
}

/**
 * Counts with or without prom-client. Counting needs no library; `registry` is a registry of prom-client's that reads these
 * numbers, made when it is first asked for. Where prom-client is not installed, asking for the registry throws a coded error.
 */
export class Metrics {
  readonly #metrics: { name: string; help: string; type: 'counter' | 'gauge' | 'histogram'; values(): Value[] }[] = [];
  readonly #included: Metrics[] = [];
  #registry: PromRegistry | undefined;

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    const counter = new Counter(labelNames);
    this.#metrics.push({ name, help, type: 'counter', values: () => counter.values() });
    return counter;
  }

  /** `now` is called whenever the metrics are read: it gives a number, or one for each value of a label. */
  gauge(name: string, help: string, now: () => number, labelName?: undefined): void;
  gauge(name: string, help: string, now: () => ReadonlyMap<string | number, number>, labelName: string): void;
  gauge(name: string, help: string, now: () => number | ReadonlyMap<string | number, number>, labelName = ''): void {
    const values = () => {
      const value = now();
      if (typeof value === 'number') return [{ labels: {}, value }];
      return Array.from(value, ([label, each]) => ({ labels: { [labelName]: label }, value: each }));
    };
    this.#metrics.push({ name, help, type: 'gauge', values });
  }

  /** The buckets are given by their upper bounds, in ascending order. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    const histogram = new Histogram(name, buckets);
    this.#metrics.push({ name, help, type: 'histogram', values: () => histogram.values() });
    return histogram;
  }

  /** Adds to this one's registry what `other` counts. To be called before the registry is first asked for. */
  include(other: Metrics): void {
    this.#included.push(other);
  }

  get registry(): PromRegistry {
    this.#registry ??= this.#makeRegistry();
    return this.#registry;
  }

  #makeRegistry(): PromRegistry {
    const registry = newRegistry();
    for (const { values, ...metric } of [this, ...this.#included].flatMap((one) => one.#metrics)) {
      // all that a registry uses of a metric, though its types require prom-client's own classes
      const readable = {
        ...metric,
        aggregator: 'sum',
        get: async () => ({ ...metric, aggregator: 'sum', values: values() }),
      };
      registry.registerMetric(readable as unknown as Parameters<typeof registry.registerMetric>[0]);
    }
    return registry;
  }
}

/** In the built package prom-client is loaded here (`LAZY` in build.ts), which throws where it is not installed. */
function newRegistry(): PromRegistry {
  try {
    return new Registry();
  } catch {
    throw new IntelligentSessionError(
      'ERR_INTELLIGENT_SESSION_METRICS',
      'metrics need prom-client, which is not installed: npm install prom-client',
    );
  }
}

/** A count under one set of label values. */
class Count {
  value = 0;
  constructor(readonly labels: Labels) {}

  inc(by = 1): void {
    this.value += by;
  }
}

class Counter {
  readonly #counts = new Map<string, Count>();

  constructor(readonly labelNames: readonly string[]) {
    // a counter without labels is there from the start, as 0
    if (labelNames.length === 0) this.of();
  }

  /** The count for these label values, in the order of `labelNames`. Code that counts often keeps the result. */
  of(...labelValues: string[]): Count {
    const key = labelValues.join('\n');
    let count = this.#counts.get(key);
    if (!count) {
      count = new Count(Object.fromEntries(this.labelNames.map((name, i) => [name, labelValues[i] as string])));
      this.#counts.set(key, count);
    }
    return count;
  }

  values(): Value[] {
    return Array.from(this.#counts.values(), ({ labels, value }) => ({ labels, value }));
  }
}

class Histogram {
  /** How many values each bucket has that no lower one has; last, those over all bounds. */
  readonly #counts: number[];
  #sum = 0;

  constructor(
    readonly name: string,
    readonly buckets: readonly number[],
  ) {
    this.#counts = Array.from({ length: buckets.length + 1 }, () => 0);
  }

  observe(value: number): void {
    const bucket = this.buckets.findIndex((bound) => value <= bound);
    this.#counts[bucket === -1 ? this.buckets.length : bucket]! += 1;
    this.#sum += value;
  }

  values(): Value[] {
    let count = 0;
    const values: Value[] = this.#counts.map((inBucket, i) => {
      count += inBucket; // a bucket of Prometheus has the lower ones' values, too
      return { metricName: `${this.name}_bucket`, labels: { le: this.buckets[i] ?? '+Inf' }, value: count };
    });
    values.push({ metricName: `${this.name}_sum`, labels: {}, value: this.#sum });
    values.push({ metricName: `${this.name}_count`, labels: {}, value: count });
    return values;
  }
}

export type { Count, Counter, Histogram };
