import { bloomFault } from '../bloom/bloom-error.js';
import { IntelligentSessionError, newerVersion, redisFault } from '../errors/errors.js';
import { intelligenceKey, intelligencePrefix } from '../redis/keys.js';
import { FAILED_COMMAND, NO_COMMAND } from './command/answers.js';
import { loadScript } from '../redis/load-script.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { tellsOfReplica } from '../redis/roles.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import type { Intelligence, ListCommand, ReadCommand } from './command/descriptor.js';
import { descriptors, keysOf, luaFiles } from './commands.js';
import { commandScript, type ScriptReply, TO_CALLER } from './script.js';
import type { Task } from './task.js';

/** What becomes of a script's answers: they go back to the caller, or the script itself sends them on. */
export interface Ending<T extends Task> {
  readonly lua: string;
  /** For one call: what each message says besides, for the ending's Lua; keys of its own are added to the call's. */
  begin(keys: string[]): ((task: T) => object) | undefined;
  /** The script has worked on it. */
  workedOn?(task: T): void;
  /** What the ending's Lua notes. */
  noted?(name: string, text: string): void;
}

/** Answers go back to the caller: an application itself, or a worker in a Cluster. */
export const toCaller: Ending<Task> = { lua: TO_CALLER, begin: () => undefined };

/** What became of a message. */
export type Outcome = 'done' | 'duplicate' | 'gone' | 'failed';

/** What is to be sent again: at once, since a list's rest is to be looked up; or after a pause, since it did not arrive. */
export interface Unfinished<T extends Task> {
  readonly held: T[];
  readonly unsent: T[];
}

/** Items of a list that one call looks up at most, fewer where their text is long; the script may do fewer. */
const PIECE = 256;
const LEAST_PIECE = 16;
const PIECE_LENGTH = 16_384;

/** A message whose call got no answer is sent so often: a Redis that is slow for a second loses nothing. */
const ATTEMPTS = 5;

/** Turns messages into calls of the script: on one Redis many messages a call, in a Cluster those of one session. */
export class ScriptCalls<T extends Task> {
  readonly #script: Script<ScriptReply>;
  /** of the commands that read by themselves */
  readonly #reads = new Map<ReadCommand, Script<(Buffer | null)[]>>();
  /** by the command's name */
  readonly #keys = new Map(descriptors.map((command) => [command.name, keysOf(command)]));

  constructor(
    readonly target: RedisTarget,
    readonly of: Intelligence,
    readonly namespace: string,
    readonly ending: Ending<T>,
    readonly onOutcome: (task: T, outcome: Outcome, fault?: unknown) => void,
    /** so many items were not taken by full Bloom filters */
    readonly onRefused: (items: number) => void,
  ) {
    this.#script = commandScript(of, ending.lua);
    for (const command of descriptors)
      if ('read' in command) this.#reads.set(command, new Script(luaFiles(command).map(loadScript).join('\n')));
  }

  /** Works on messages of built-in commands; gives back those that are not finished, in their order. */
  async run(tasks: readonly T[]): Promise<Unfinished<T>> {
    const reads: Promise<void>[] = [];
    for (const task of tasks) {
      const { builtIn: command } = task;
      if (command && 'read' in command) reads.push(this.#read(task, command));
    }
    if (reads.length === 0) return this.#work(tasks);
    const unfinished = await this.#work(tasks.filter(({ builtIn: command }) => !command || !('read' in command)));
    await Promise.all(reads);
    return unfinished;
  }

  async #work(tasks: readonly T[]): Promise<Unfinished<T>> {
    const calls = this.target.inCalls(tasks, ({ sid }) => sid);
    if (calls.length === 1) return this.#send(calls[0] as readonly T[]);
    const unfinished = await Promise.all(calls.map((some) => this.#send(some)));
    return {
      held: unfinished.flatMap(({ held }) => held),
      unsent: unfinished.flatMap(({ unsent }) => unsent),
    };
  }

  /** What such a command answers is what was before: it may go beside the others. */
  async #read(task: T, command: ReadCommand): Promise<void> {
    try {
      const answerOf = command.read(task.payload, this.of);
      const keys = keysOf(command).map((name) => intelligenceKey(this.namespace, task.sid, name));
      const script = this.#reads.get(command) as Script<(Buffer | null)[]>;
      const reply = await script.runBuffers(this.target.client, keys).catch((error) => {
        throw redisFault(error);
      });
      task.answer(answerOf(reply));
      this.onOutcome(task, 'done');
    } catch (error) {
      const coded = (error as IntelligentSessionError).code === 'ERR_INTELLIGENT_SESSION_MESSAGE';
      task.refuse(coded ? (error as Error).message : FAILED_COMMAND);
      this.onOutcome(task, 'failed', error);
    }
  }

  /** What the command's Lua finds in its message. */
  #fieldsOf(task: T): object {
    const { builtIn: command } = task;
    if (command && 'fields' in command) return command.fields(task, this.of);
    if (command && 'list' in command) return this.#pieceOf(task, command);
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NO_COMMAND);
  }

  /** The next items of a list, and whether that is all of it. */
  #pieceOf(task: T, command: ListCommand): object {
    task.list ??= { items: command.list(task.payload, this.of), done: 0, parts: [], piece: PIECE };
    const { items, done, piece } = task.list;
    const { bloom, itemKey } = this.of;
    let [end, length] = [done, 0];
    while (end < items.length && end < done + piece && length < PIECE_LENGTH) length += items[end++]?.length ?? 0;
    const some = items.slice(done, end);
    return {
      items: some.map((item) => bloom.scriptItem(itemKey(task.sid, item))),
      whole: done === 0 && end === items.length,
      ...command.fieldsOf?.(some),
    };
  }

  async #send(tasks: readonly T[]): Promise<Unfinished<T>> {
    const held: T[] = [];
    const sent: T[] = [];
    const keys: string[] = [];
    const messages: object[] = [];
    const endingOf = this.ending.begin(keys);
    for (const task of tasks) {
      let fields: object;
      try {
        fields = this.#fieldsOf(task);
      } catch (error) {
        task.refuse((error as Error).message);
        this.onOutcome(task, 'failed', error);
        continue;
      }
      const { command, sid, ttlSeconds, awaited, attempts } = task;
      const message = { ...fields, command, key: keys.length + 1, ttl: ttlSeconds * 1000, waits: awaited };
      const prefix = intelligencePrefix(this.namespace, sid);
      for (const name of this.#keys.get(command) ?? []) keys.push(prefix + name);
      const more = attempts > 0 ? { ...endingOf?.(task), again: true } : endingOf?.(task);
      messages.push(more ? { ...message, ...more } : message);
      sent.push(task);
    }
    if (sent.length === 0) return { held, unsent: [] };
    let reply: ScriptReply;
    try {
      reply = await this.#script.run(this.target.client, [...keys, JSON.stringify(messages)], keys.length);
    } catch (error) {
      return { held, unsent: this.#afterFault(sent, error) };
    }
    for (const [i, task] of sent.entries()) if (!this.#finish(task, reply[i])) held.push(task);
    for (const note of reply.slice(sent.length)) {
      const [name, text] = note as [string, string | number];
      if (name === 'refused') this.onRefused(Number(text));
      else this.ending.noted?.(name, String(text));
    }
    return { held, unsent: [] };
  }

  /** false: it is to be sent again, at once. */
  #finish(task: T, reply: ScriptReply[number] | undefined): boolean {
    if (typeof reply === 'string') {
      this.ending.workedOn?.(task);
      if (reply !== '') task.answer(reply);
      this.onOutcome(task, 'done');
      return true;
    }
    const [outcome, detail, text] = reply ?? ['failed', 'redis', 'the script gave no outcome'];
    if (outcome === 'held') return false;
    this.ending.workedOn?.(task);
    if (outcome === 'part') return this.#takePart(task, Number(detail), String(text));
    if (outcome === 'failed') {
      const error = new Error(String(text));
      const fault = detail === 'version' ? newerVersion(String(text)) : undefined;
      this.onOutcome(task, 'failed', fault ?? (detail === 'bloom' ? bloomFault(error) : redisFault(error)));
      return true;
    }
    if (outcome === 'gone' && detail !== '') task.answer(String(detail));
    this.onOutcome(task, outcome as Outcome);
    return true;
  }

  /** A part of a list was looked up: is that all of it? */
  #takePart(task: T, items: number, text: string): boolean {
    const { list } = task;
    const { builtIn: command } = task;
    if (!list || !command || !('list' in command)) return true;
    list.done += items;
    list.parts.push(text);
    // what is sent and not looked up costs, too
    list.piece = Math.min(PIECE, Math.max(LEAST_PIECE, 2 * items));
    if (list.done < list.items.length) return false;
    task.answer(command.join(list.parts));
    this.onOutcome(task, 'done');
    return true;
  }

  /**
   * What Redis refused as a whole failed. Where it can't be known whether it did, a message that writes is tried again, a
   * stream's until it is known: none counts twice. A read is not, unless it was never sent: Redis may be at it still, and who
   * waits has gone.
   */
  #afterFault(tasks: readonly T[], error: unknown): T[] {
    const unsent: T[] = [];
    for (const task of tasks) {
      task.attempts++;
      const repeats = mayPass(error) && (task.builtIn?.effect !== 'reads' || wasNotSent(error));
      if (repeats && (task.attempts < ATTEMPTS || task.isKept)) unsent.push(task);
      else this.onOutcome(task, 'failed', redisFault(error));
    }
    return unsent;
  }
}

const PASSING = /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MISCONF)/;

/** Was it the connection, or a server that is changing its role, and not what Redis thinks of the call? */
function mayPass(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return false; // ours
  const { name, message } = error as Error;
  return name !== 'ReplyError' || PASSING.test(message) || tellsOfReplica(message);
}
