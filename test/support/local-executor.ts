import { LocalExecutor, type LocalExecutorOptions } from '../../lib/serving/local-executor.js';

/** An executor of this process, with options that no test cares about but for those that are given. */
export const localExecutor = (url: string, options: Partial<LocalExecutorOptions> = {}): LocalExecutor =>
  new LocalExecutor(url, {
    namespace: '',
    combos: [],
    commands: new Map(),
    bloom: 'fallback',
    errorRate: 0.01,
    capacity: 100,
    expansion: 2,
    activityDays: 7,
    commandTimeoutMs: 5_000,
    maxQueue: 1_000,
    maxQueueBytes: 1_000_000,
    ...options,
  });
