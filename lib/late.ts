// What the main entry loads when it is first used, so that a site that has no worker in its process does not wait for it.
import type { chooseBloomFilter } from './bloom/choose.js';
import { resolveWorkerOptions, type WorkerOptions } from './worker/options.js';
import type { Worker } from './worker/worker.js';

/** A worker, started: `createWorker({ redis, namespace, commands })`. A wrong option throws at once. */
export function createWorker(options?: WorkerOptions): Promise<Worker> {
  resolveWorkerOptions(options ?? {});
  return import('./worker/worker.js').then((module) => module.createWorker(options));
}

/** The Bloom filter on RedisBloom where the server has it, else on plain Redis, or the one that is chosen. */
export const createBloomFilter: typeof chooseBloomFilter = async (...options) =>
  (await import('./bloom/choose.js')).chooseBloomFilter(...options);
