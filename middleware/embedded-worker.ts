import { Worker } from '../lib/worker/worker.js';
import type { WorkerOptions } from '../lib/worker/options.js';

const RETRY_MS = 1_000;
const HEARING_TRIES = 5;

/** A worker in this process; where Redis is not there at start, it is tried again every second. */
export class EmbeddedWorker {
  #worker: Worker | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  #told = () => {};
  /** Resolves when it listens for the first time. */
  readonly listening = new Promise<void>((resolve) => {
    this.#told = resolve;
  });

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
    worker.start().then(
      () => this.#tellWhenHeard(worker),
      (error: Error) => {
        if (this.#closed) return;
        this.onFault(error);
        this.#retry = setTimeout(() => this.#start(), RETRY_MS);
      },
    );
  }

  /** By streams, it has begun before it reads the first time. */
  async #tellWhenHeard(worker: Worker): Promise<void> {
    for (let tries = 0; tries < HEARING_TRIES && !this.#closed; tries++) if (await worker.isReady()) break;
    this.#told();
  }

  /** Finishes what it has heard, at most `timeout` ms; where Redis is away, there is nothing that could be finished. */
  async close({ timeout }: { timeout: number }): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#worker?.close({ timeout: this.#worker.listening ? timeout : 0 });
  }
}
