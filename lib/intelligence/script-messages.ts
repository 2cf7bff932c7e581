import { IntelligentSessionError } from '../errors/errors.js';
import { intelligencePrefix } from '../redis/keys.js';
import { NO_COMMAND } from './command/answers.js';
import type { CommandContext, CommandDescriptor, ListCommand } from './command/descriptor.js';
import { isUserSubject } from './command/subject.js';
import { descriptors, keysOf } from './commands.js';
import type { Task } from './task.js';

/** A piece of a list has at most so many items, and fewer where their text is long. The script may look up fewer of them. */
export const MAX_PIECE = 256;
export const MIN_PIECE = 16;
const MAX_PIECE_LENGTH = 16_384;
/** Of how many subjects is remembered that all their keys were given. When there are more, the next message on each gives all of them again. */
const MAX_REMEMBERED = 10_000;

/** What the script takes of a task (loop.lua), with the fields of its command. */
interface Message {
  readonly command: string;
  /** where its keys begin in KEYS */
  readonly key: number;
  readonly ttl: number;
  waits?: true;
  again?: true;
  /** Are all keys of the subject given? */
  all?: true;
}

/** Writes tasks as messages for the script of the commands. */
export class ScriptMessages {
  /** by the command's name */
  readonly #keys = new Map(descriptors.map((command) => [command.name, command.keys]));
  /** the same, with all keys of a subject, of the commands that may take them */
  readonly #allKeys = new Map(descriptors.filter(mayTakeAll).map((command) => [command.name, keysOf(command)]));
  /**
   * For how many seconds a subject's keys live since all of them were given: a sixteenth longer than that message said (prelude.lua). A message
   * that says more gives all keys again: a new visitor's first page view says ten minutes, the next one the session's whole time.
   */
  #remembered = new Map<string, number>();

  constructor(
    readonly context: CommandContext,
    readonly namespace: string,
  ) {}

  /** Gives a task's message, and adds its keys to `keys`. Throws a coded error where the payload has not the command's form. */
  of(task: Task, keys: string[]): Message {
    const { command, subject, ttlSeconds, awaited, attempts } = task;
    const message: Message = { ...this.#fieldsOf(task), command, key: keys.length + 1, ttl: ttlSeconds * 1000 };
    if (awaited) message.waits = true;
    if (attempts > 0) message.again = true;
    // A session that has ended does not come back. A user whose data were erased does, with what was sent later.
    if (isUserSubject(subject)) Object.assign(message, { isUser: true, sentMs: task.sentMs });
    const givesAll = task.givesAllKeys || ttlSeconds >= (this.#remembered.get(subject) ?? 0);
    const all = givesAll ? this.#allKeys.get(command) : undefined;
    if (all) {
      message.all = true;
      this.#remember(subject, ttlSeconds);
    }
    const prefix = intelligencePrefix(this.namespace, subject);
    for (const name of all ?? this.#keys.get(command) ?? []) keys.push(prefix + name);
    return message;
  }

  /** The task's next message gives all keys. Gives false: the task is not finished. */
  needsAllKeys(task: Task): false {
    task.givesAllKeys = true;
    return false;
  }

  #remember(subject: string, ttlSeconds: number): void {
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered = new Map();
    this.#remembered.set(subject, ttlSeconds * (1 + 1 / 16));
  }

  /** The fields of a task's message for the command's Lua. */
  #fieldsOf(task: Task): object {
    const { builtIn: command } = task;
    if (command && 'fields' in command) {
      const { id, subject, movedTo, isAnonymous } = task;
      const payload = movedTo === undefined ? task.payload : this.#movedPayload(task, movedTo);
      return command.fields(
        { id, payload, sid: subject, isAnonymous: isAnonymous && movedTo === undefined },
        this.context,
      );
    }
    if (command && 'list' in command) return this.#pieceOf(task, command);
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NO_COMMAND);
  }

  /** An item that its sender has keyed was keyed for the anonymous visitor. */
  #movedPayload({ sid, payload }: Task, user: string): string {
    return (payload.startsWith('#') && this.context.items.moved([payload], sid, user)?.[0]) || payload;
  }

  /** The next piece of a list. */
  #pieceOf(task: Task, command: ListCommand): object {
    task.list ??= { items: command.list(task.payload, this.context), done: 0, parts: [], piece: MAX_PIECE };
    const { items, done, piece } = task.list;
    const { bloom, items: stored } = this.context;
    let end = done;
    let length = 0;
    while (end < items.length && end < done + piece && length < MAX_PIECE_LENGTH) length += items[end++]?.length ?? 0;
    const some = items.slice(done, end);
    return {
      items: some.map((item) => bloom.scriptItem(stored.of(task.subject, item))),
      whole: done === 0 && end === items.length,
      ...command.fieldsOf?.(some),
    };
  }
}

const mayTakeAll = ({ mayTakeAll }: CommandDescriptor): boolean => mayTakeAll === true;
