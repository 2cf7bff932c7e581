import { IntelligentSessionError } from '../errors/errors.js';
import { FAILED_COMMAND, NO_COMMAND } from './command/answers.js';
import type { RedisClient } from '../redis/connect.js';
import { LoopTimeout } from '../redis/loop-clock.js';
import { intelligenceKeys } from './keys.js';
import type { Command } from './own-command.js';
import type { Task } from './task.js';
import { type Dropped, TaskQueue } from './task-queue.js';

const MAX_RUNNING = 256;

/** Runs an application's own commands, MAX_RUNNING at once; what comes meanwhile waits in a queue of its own. */
export class OwnCommands<T extends Task> {
  readonly #queue: TaskQueue<T>;
  #running = 0;

  constructor(
    readonly client: RedisClient,
    readonly options: {
      readonly namespace: string;
      readonly commands: ReadonlyMap<string, Command>;
      readonly commandTimeoutMs: number;
    },
    bounds: { readonly messages: number; readonly bytes: number },
    readonly onFinished: (task: T, result: 'done' | 'failed' | 'timeout' | Dropped, fault?: unknown) => void,
  ) {
    this.#queue = new TaskQueue(bounds, onFinished);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get running(): number {
    return this.#running;
  }

  push(task: T): void {
    this.#queue.push(task);
    this.#start();
  }

  #start(): void {
    while (this.#running < MAX_RUNNING) {
      const task = this.#queue.shift();
      if (!task) return;
      void this.#run(task);
    }
  }

  async #run(task: T): Promise<void> {
    const { namespace, commands, commandTimeoutMs } = this.options;
    const { sid, id, payload, ttlSeconds, awaited } = task;
    const keys = intelligenceKeys(namespace, sid);
    this.#running++;
    let result: 'done' | 'failed' | 'timeout' = 'done';
    let fault: unknown;
    try {
      const command = commands.get(task.command);
      if (!command) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NO_COMMAND);
      const request = { command: task.command, sid, id, payload, ttlSeconds, keys, redis: this.client };
      const work = command({ ...request, awaited: awaited && !task.isExpired });
      const data = await withinMs(work, commandTimeoutMs);
      // JSON.stringify() gives undefined for undefined, a function and a symbol
      if (awaited && !task.isExpired) task.answer(JSON.stringify(data) ?? 'null');
    } catch (error) {
      result = error instanceof CommandTimeout ? 'timeout' : 'failed';
      fault = error;
      task.refuse(error instanceof IntelligentSessionError ? error.message : FAILED_COMMAND);
    }
    this.#running--;
    this.onFinished(task, result, fault);
    this.#start();
  }
}

class CommandTimeout extends IntelligentSessionError {}

/** The result of an application's command, or an error after so long: one that never ends would keep its place for ever. */
async function withinMs(work: unknown, limitMs: number): Promise<unknown> {
  if (typeof (work as PromiseLike<unknown> | undefined)?.then !== 'function') return work;
  let timeout: LoopTimeout | undefined;
  const late = new Promise((_, reject) => {
    const error = new CommandTimeout('ERR_INTELLIGENT_SESSION_MESSAGE', `The command took longer than ${limitMs} ms`);
    timeout = new LoopTimeout(() => reject(error), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timeout?.clear();
  }
}
