import { bloomFault } from '../bloom/bloom-error.js';
import { newerVersion, redisFault } from '../errors/errors.js';
import { FAILED_COMMAND } from './command/answers.js';
import type { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import type { CommandContext } from './command/descriptor.js';
import { CommandsOutsideScript, isKeyRead } from './commands-outside-script.js';
import { tasksToSendAgain } from './retry-after-fault.js';
import { commandScript, type ScriptReply, TO_CALLER } from './script.js';
import { MAX_PIECE, MIN_PIECE, ScriptMessages } from './script-messages.js';
import type { OnOutcome, Outcome, Task } from './task.js';

/**
 * The last part of the script, which says what becomes of answers: they return to the caller, or the script itself sends them.
 */
export interface Ending<T extends Task> {
  readonly lua: string;
  /**
   * Is called once a call. Gives what makes the fields of each message that the ending's Lua takes. May add keys to the call's.
   */
  begin(keys: string[]): ((task: T) => object) | undefined;
  /** Is told of each task that the script has taken off its stream, if it came from one. */
  workedOn?(task: T): void;
  /** The command has failed in the script. Tells whoever waits, unless the ending's Lua has done so. */
  failed?(task: T): void;
  /** Is told of each note on the call that the ending's Lua has added to the reply. */
  noted?(name: string, text: string): void;
}

/** Answers return to the caller: an embedded site, or a worker in a Cluster. */
export const toCaller: Ending<Task> = {
  lua: TO_CALLER,
  begin: () => undefined,
  failed: (task) => task.refuse(FAILED_COMMAND),
};

/** The tasks of a call that are to be sent again, each kind in its order. */
export interface Unfinished<T extends Task> {
  /** Lists of which a part was looked up, page views that need all keys, and their sessions' later tasks. */
  readonly toSendAtOnce: readonly T[];
  /** Tasks whose call met a fault that may pass: to be sent again after a pause. */
  readonly toSendLater: readonly T[];
}

/** Carries out tasks by calls of the script: on one Redis many tasks a call, in a Cluster those of one session. */
export class ScriptCalls<T extends Task> {
  readonly #script: Script<ScriptReply>;
  readonly #messages: ScriptMessages;
  readonly #outsideScript: CommandsOutsideScript<T>;

  constructor(
    readonly target: RedisTarget,
    readonly context: CommandContext,
    readonly namespace: string,
    readonly ending: Ending<T>,
    readonly onOutcome: OnOutcome<T>,
    /** Is told how many items were not added, since their Bloom filters are full. */
    readonly onRefused: (items: number) => void,
  ) {
    this.#script = commandScript(context, ending.lua);
    this.#messages = new ScriptMessages(context, namespace);
    this.#outsideScript = new CommandsOutsideScript(target, context, namespace, onOutcome);
  }

  /**
   * Takes over another subject's data, by calls of its own. Gives the task back where nobody knows whether it was carried out.
   */
  async carry(task: T): Promise<Unfinished<T>> {
    return { toSendAtOnce: [], toSendLater: await this.#outsideScript.carry(task) };
  }

  /** Carries out tasks of built-in commands other than carries, and gives back those that are not finished. */
  async run(tasks: readonly T[]): Promise<Unfinished<T>> {
    const reads = tasks.filter(isKeyRead);
    if (reads.length === 0) return this.#runScript(tasks);
    const read = Promise.all(reads.map((task) => this.#outsideScript.read(task)));
    const unfinished = await this.#runScript(tasks.filter((task) => !isKeyRead(task)));
    await read;
    return unfinished;
  }

  async #runScript(tasks: readonly T[]): Promise<Unfinished<T>> {
    const calls = this.target.inCalls(tasks, ({ subject }) => subject);
    if (calls.length === 1) return this.#send(calls[0] as readonly T[]);
    return unfinishedOf(calls.map((some) => this.#send(some)));
  }

  async #send(tasks: readonly T[]): Promise<Unfinished<T>> {
    const toSendAtOnce: T[] = [];
    const sent: T[] = [];
    const keys: string[] = [];
    const messages: object[] = [];
    const endingOf = this.ending.begin(keys);
    for (const task of tasks) {
      try {
        const message = this.#messages.of(task, keys);
        messages.push(endingOf ? Object.assign(message, endingOf(task)) : message);
      } catch (error) {
        task.refuse((error as Error).message);
        this.onOutcome(task, 'failed', error);
        continue;
      }
      sent.push(task);
    }
    if (sent.length === 0) return { toSendAtOnce, toSendLater: [] };
    let reply: ScriptReply;
    try {
      reply = await this.#script.run(this.target.client, [...keys, JSON.stringify(messages)], keys.length);
    } catch (error) {
      const failed = (task: T, fault: unknown) => this.onOutcome(task, 'failed', fault);
      return { toSendAtOnce, toSendLater: tasksToSendAgain(sent, error, failed) };
    }
    const moved: T[] = [];
    for (const [i, task] of sent.entries()) {
      const taskReply = reply[i];
      if (Array.isArray(taskReply) && taskReply[0] === 'moved' && task.movedTo === undefined) {
        this.ending.workedOn?.(task);
        task.movedTo = String(taskReply[1]);
        moved.push(task);
      } else if (!this.#finish(task, taskReply)) toSendAtOnce.push(task);
    }
    for (const note of reply.slice(sent.length)) {
      const [name, text] = note as [string, string | number];
      if (name === 'refused') this.onRefused(Number(text));
      else this.ending.noted?.(name, String(text));
    }
    if (moved.length === 0) return { toSendAtOnce, toSendLater: [] };
    const again = await this.#runScript(moved);
    return { toSendAtOnce: [...toSendAtOnce, ...again.toSendAtOnce], toSendLater: again.toSendLater };
  }

  /** Finishes a task by what the script replied for it. Gives false where the task is to be sent again, at once. */
  #finish(task: T, reply: ScriptReply[number] | undefined): boolean {
    if (typeof reply === 'string') {
      this.ending.workedOn?.(task);
      if (reply !== '') task.answer(reply);
      this.onOutcome(task, 'done');
      return true;
    }
    const [outcome, detail, text] = reply ?? ['failed', 'redis', 'the script gave no outcome'];
    if (outcome === 'not-begun') return false;
    if (outcome === 'all-keys') {
      task.givesAllKeys = true;
      return false;
    }
    this.ending.workedOn?.(task);
    if (outcome === 'part') return this.#takePart(task, Number(detail), String(text));
    if (outcome === 'failed') {
      this.ending.failed?.(task);
      const error = new Error(String(text));
      const fault = detail === 'version' ? newerVersion(String(text)) : undefined;
      this.onOutcome(task, 'failed', fault ?? (detail === 'bloom' ? bloomFault(error) : redisFault(error)));
      return true;
    }
    if (outcome === 'gone' && detail !== '') task.answer(String(detail));
    // A task moves once, from a visitor to a user.
    this.onOutcome(task, outcome === 'moved' ? 'gone' : (outcome as Outcome));
    return true;
  }

  /** Takes the answer to the list's first items that were left, `count` of them. Gives false where some are still left. */
  #takePart(task: T, count: number, text: string): boolean {
    const { list } = task;
    const { builtIn: command } = task;
    if (!list || !command || !('list' in command)) return true;
    list.done += count;
    list.parts.push(text);
    // Items that are sent and not looked up cost as well, so the next piece has twice what this one managed.
    list.piece = Math.min(MAX_PIECE, Math.max(MIN_PIECE, 2 * count));
    if (list.done < list.items.length) return false;
    task.answer(command.join(list.parts));
    this.onOutcome(task, 'done');
    return true;
  }
}

async function unfinishedOf<T extends Task>(calls: readonly Promise<Unfinished<T>>[]): Promise<Unfinished<T>> {
  const all = await Promise.all(calls);
  return {
    toSendAtOnce: all.flatMap(({ toSendAtOnce }) => toSendAtOnce),
    toSendLater: all.flatMap(({ toSendLater }) => toSendLater),
  };
}
