import type { RequestHandler } from 'express';
import { type IntelligentSession, type IntelligentSessionOptions, intelligentSession } from '../lib/index.js';

/** Who does the work: this process itself, a worker in a process of its own, or nobody. */
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
  #embedded = false;
  #changing: Promise<void> = Promise.resolve();

  /** Without a worker of ours there is nothing to switch. */
  constructor(
    readonly options: IntelligentSessionOptions,
    readonly worker?: WorkerSwitch,
  ) {
    this.#sessions = intelligentSession(options);
    this.#live = this.#sessions.live();
    this.liveScript = this.#sessions.liveScript();
  }

  /** undefined: the worker is somebody else's. */
  get current(): Mode | undefined {
    if (!this.worker) return undefined;
    if (this.#embedded) return 'embedded';
    return this.worker.running ? 'worker' : 'none';
  }

  readonly handler: RequestHandler = (req, res, next) => this.#sessions(req, res, next);
  /** The stream of what is new for the open pages. A change of the mode ends it, and the browser opens the next one. */
  readonly live: RequestHandler = (req, res, next) => this.#live(req, res, next);

  /** Resolves when it is so; one change after the other. Not from a request that went through `handler`: that is waited for. */
  change(mode: Mode): Promise<void> {
    const change = this.#changing.then(() => this.#change(mode));
    this.#changing = change.catch(() => {});
    return change;
  }

  async #change(mode: Mode): Promise<void> {
    if (!this.worker || mode === this.current) return;
    if (mode === 'worker') await this.worker.start();
    const embedded = mode === 'embedded';
    if (embedded !== this.#embedded) {
      const before = this.#sessions;
      this.#sessions = intelligentSession({ ...this.options, worker: embedded ? 'embedded' : 'external' });
      this.#live = this.#sessions.live();
      this.#embedded = embedded;
      await before.close();
    }
    if (mode !== 'worker') await this.worker.stop();
  }

  async close(): Promise<void> {
    await this.#changing;
    await this.#sessions.close();
  }
}
