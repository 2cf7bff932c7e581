import debug from 'debug';
import { NO_COMBO } from '../lib/protocol.js';
import { Worker } from '../lib/worker/worker.js';
import type { WorkerOptions } from '../lib/worker/options.js';

const say = debug('intelligent-session:worker');

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
    // what there is to tell, the serving layer tells
    const worker = new Worker({ log: { info: say, warn: say }, ...this.options });
    this.#worker = worker;
    worker.on('fault', (error) => {
      // its asker is in this process, and says which combo
      if (!error.message.startsWith(NO_COMBO)) this.onFault(error);
    });
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
