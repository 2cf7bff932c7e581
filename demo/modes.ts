import type { RequestHandler } from 'express';
import { type IntelligentSession, type IntelligentSessionOptions, intelligentSession } from '../lib/index.js';

/** Who works on what visitors do: this process itself, a worker in a process of its own, or nobody. */
export const modes = ['embedded', 'worker', 'none'] as const;
export type Mode = (typeof modes)[number];

/** What the shop's footer can do to the worker. */
export interface WorkerSwitch {
  readonly running: boolean;
  start(): Promise<void>;
  stop(): Promise<unknown>;
}

/** The shop's intelligentSession(), and the change from one mode to another while it runs. */
export class Modes {
  #sessions: IntelligentSession;
  #live: RequestHandler;
  readonly liveScript: RequestHandler;
  #isEmbedded = false;
  #changing: Promise<void> = Promise.resolve();

  /** Without `worker` the mode can't be changed. */
  constructor(
    readonly options: IntelligentSessionOptions,
    readonly worker?: WorkerSwitch,
  ) {
    this.#sessions = intelligentSession(options);
    this.#live = this.#sessions.live();
    this.liveScript = this.#sessions.liveScript();
  }

  /** Undefined: the worker is somebody else's, and may run or not. */
  get current(): Mode | undefined {
    if (!this.worker) return undefined;
    if (this.#isEmbedded) return 'embedded';
    return this.worker.running ? 'worker' : 'none';
  }

  readonly handler: RequestHandler = (req, res, next) => this.#sessions(req, res, next);
  /** The stream of what is new for the open pages. A change of the mode ends it, and the browser opens the next one. */
  readonly live: RequestHandler = (req, res, next) => this.#live(req, res, next);

  /**
   * Resolves when the mode is changed; changes run one after the other. Not to be called by a request that went
   * through `handler`: it would wait for its own end.
   */
  change(mode: Mode): Promise<void> {
    const change = this.#changing.then(() => this.#change(mode));
    this.#changing = change.catch(() => {});
    return change;
  }

  async #change(mode: Mode): Promise<void> {
    if (!this.worker || mode === this.current) return;
    if (mode === 'worker') await this.worker.start();
    const isEmbedded = mode === 'embedded';
    if (isEmbedded !== this.#isEmbedded) {
      const before = this.#sessions;
      this.#sessions = intelligentSession({ ...this.options, worker: isEmbedded ? 'embedded' : 'external' });
      this.#live = this.#sessions.live();
      this.#isEmbedded = isEmbedded;
      await before.close();
    }
    if (mode !== 'worker') await this.worker.stop();
  }

  async close(): Promise<void> {
    await this.#changing;
    await this.#sessions.close();
  }
}
