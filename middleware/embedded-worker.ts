import { Worker } from '../lib/worker/worker.js';
import type { WorkerOptions } from '../lib/worker/options.js';

const RETRY_MS = 1_000;

/** A worker in this process; where Redis is not there at start, it is tried again every second. */
export class EmbeddedWorker {
  #worker: Worker | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    readonly options: WorkerOptions,
    readonly onFault: (error: Error) => void,
  ) {
    this.#start();
  }

  #start(): void {
    const worker = new Worker(this.options);
    this.#worker = worker;
    worker.on('fault', this.onFault);
    worker.start().catch((error: Error) => {
      if (this.#closed) return;
      this.onFault(error);
      this.#retry = setTimeout(() => this.#start(), RETRY_MS);
    });
  }

  /** Finishes what it has heard, at most `timeout` ms; where Redis is away, there is nothing that could be finished. */
  async close({ timeout }: { timeout: number }): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#worker?.close({ timeout: this.#worker.listening ? timeout : 0 });
  }
}
