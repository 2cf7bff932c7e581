import { setTimeout as pause } from 'node:timers/promises';
import { IntelligentSessionError, redisFault } from '../errors/errors.js';
import { FAILED_COMMAND, NO_COMMAND } from './command/answers.js';
import { LoopTimeout } from '../redis/loop-clock.js';
import type { RedisTarget } from '../redis/target.js';
import type { CommandContext } from './command/descriptor.js';
import { intelligenceKeys } from './keys.js';
import type { Command, CommandRequest, DeclaredKeys, ResolvedCommand } from './own-command.js';
import { OwnKeys } from './own-keys.js';
import { mayPass, RETRY_DELAY_MS } from './retry-after-fault.js';
import type { Task } from './task.js';
import { type Dropped, TaskQueue } from './task-queue.js';

/** How many of the application's commands run at once. One that was given up after its time may go on, and is not counted. */
const MAX_RUNNING = 256;

/**
 * Runs an application's own commands, MAX_RUNNING at once; further ones wait in a queue of their own. A message may name any
 * command: one of a name that nobody knows fails here.
 */
export class OwnCommands<T extends Task> {
  readonly #queue: TaskQueue<T>;
  readonly #ownKeys: OwnKeys;
  #running = 0;
  #isClosed = false;

  constructor(
    readonly target: RedisTarget,
    readonly context: CommandContext,
    readonly options: {
      readonly namespace: string;
      readonly commands: ReadonlyMap<string, ResolvedCommand>;
      readonly commandTimeoutMs: number;
    },
    /** of the queue of those that wait */
    bounds: { readonly messages: number; readonly bytes: number },
    readonly onFinished: (task: T, result: OwnResult | Dropped, fault?: unknown) => void,
    /** Is told of a fault that comes after a command has ended, when its keys get their expiry. */
    readonly onFault: (fault: unknown, task: T) => void,
  ) {
    this.#queue = new TaskQueue(bounds, onFinished);
    this.#ownKeys = new OwnKeys(target, context, options.namespace);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get running(): number {
    return this.#running;
  }

  close(): void {
    this.#isClosed = true;
  }

  push(task: T): void {
    this.#queue.push(task);
    this.#start();
  }

  #start(): void {
    while (this.#running < MAX_RUNNING) {
      const task = this.#queue.shift();
      if (!task) return;
      // A run may have ended already. This loop goes on then, and #start() comes later, so that many short runs fill no stack.
      void this.#run(task).then(() => this.#start());
    }
  }

  async #run(task: T): Promise<void> {
    this.#running++;
    let result: OwnResult = 'done';
    let fault: unknown;
    try {
      const command = this.options.commands.get(task.command);
      if (!command) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NO_COMMAND);
      const { declared } = command;
      const may = await this.#may(task, declared);
      if (may !== 'run') {
        result = may;
        if (may === 'gone' && task.awaited && !task.isExpired) task.answer('null');
      } else if (declared) await this.#runWithKeys(task, command.run, declared);
      else await this.#answer(task, command.run(this.#requestOf(task)));
    } catch (error) {
      result = error instanceof CommandTimeout ? 'timeout' : 'failed';
      fault = error;
      task.refuse(error instanceof IntelligentSessionError ? error.message : FAILED_COMMAND);
    }
    this.#running--;
    this.onFinished(task, result, fault);
  }

  /**
   * May a command run? Where it declares keys, Redis is asked; for a stream's task until it answers, since the command has not run
   * yet, and nobody would work again on an entry that was finished.
   */
  async #may(task: T, declared: DeclaredKeys | undefined): Promise<'run' | 'gone' | 'too-old'> {
    while (!task.isTooOld(this.context)) {
      if (!declared) return 'run';
      try {
        return (await this.#ownKeys.begin(task, declared)) ? 'run' : 'gone';
      } catch (error) {
        if (!task.isInStream || !mayPass(error)) throw redisFault(error);
      }
      await pause(RETRY_DELAY_MS);
      if (this.#isClosed) return new Promise(() => {}); // the task never ends here, and its entry stays for another worker
    }
    return 'too-old';
  }

  /**
   * Runs a command that declares keys. When it has ended, however late, they get the expiry of its subject's other keys; where the
   * subject has ended or moved meanwhile, they are removed or carried (own-keys/end.lua).
   */
  async #runWithKeys(task: T, run: Command, declared: DeclaredKeys): Promise<void> {
    const request = this.#requestOf(task, declared);
    const work = (async () => run(request))(); // what a command throws is a rejection, too
    const nothing = () => {};
    const keysSettled = work
      .then(nothing, nothing)
      .then(() => this.#ownKeys.end(task, declared))
      .catch((fault: unknown) => this.onFault(fault, task));
    try {
      await this.#answer(task, work);
    } catch (error) {
      if (!(error instanceof CommandTimeout)) await keysSettled; // after a time-out the command may never end
      throw error;
    }
    await keysSettled;
  }

  /** Waits for a command's result, and answers with it. */
  async #answer(task: T, result: unknown): Promise<void> {
    const data = await withinMs(result, this.options.commandTimeoutMs);
    // JSON.stringify() gives undefined for undefined, a function and a symbol
    if (task.awaited && !task.isExpired) task.answer(JSON.stringify(data) ?? 'null');
  }

  #requestOf(task: T, declared?: DeclaredKeys): CommandRequest {
    const { command, subject: sid, id, payload, ttlSeconds } = task; // `sid` is a user's subject, too
    const own = declared && this.#ownKeys.keysOf(sid, declared);
    const keys = { ...intelligenceKeys(this.options.namespace, sid), ...own } as CommandRequest['keys'];
    const awaited = task.awaited && !task.isExpired;
    return { command, sid, id, payload, ttlSeconds, keys, awaited, redis: this.target.client };
  }
}

type OwnResult = 'done' | 'failed' | 'timeout' | 'gone' | 'too-old';

class CommandTimeout extends IntelligentSessionError {}

/**
 * Waits for `work` where it is a promise, and throws after `limitMs`: a command that never ends would keep its place for ever.
 */
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
