import { IntelligentSessionError } from '../errors/errors.js';
import { intelligencePrefix } from '../redis/keys.js';
import { NO_COMMAND } from './command/answers.js';
import type { CommandContext, CommandDescriptor, ListCommand } from './command/descriptor.js';
import { isUserSubject } from './command/subject.js';
import { descriptors, keysOf } from './commands.js';
import type { Task } from './task.js';

/**
 * A long list is looked up piece by piece, so that others come between. A piece has MAX_PIECE items at first; the script looks up as many of them
 * as its budget of time allows, and the next piece has twice as many as it managed, MIN_PIECE at least.
 */
export const MAX_PIECE = 256;
export const MIN_PIECE = 16;
/** Characters of its items; the item that goes beyond still belongs to the piece. */
const MAX_PIECE_LENGTH = 16_384;
/** Of how many subjects is remembered that all their keys were given, some 100 bytes each. When there are more, all are forgotten, and given again. */
const MAX_REMEMBERED = 10_000;

/** What the script takes of a task (loop.lua), with the fields of its command. */
interface Message {
  readonly command: string;
  /** where its keys begin in KEYS */
  readonly key: number;
  /** for how long the session lives from now on, ms */
  readonly ttl: number;
  /** Does somebody wait for the answer? */
  waits?: true;
  /** Was it sent before, without a reply? */
  again?: true;
  /** Are all keys of the subject given? */
  all?: true;
  /** Is the subject a user? Then has_ended() compares sentMs with the time of an erasure. */
  isUser?: true;
  sentMs?: number | undefined;
}

/** Writes tasks as messages for the script of the commands. */
export class ScriptMessages {
  /** by the command's name */
  readonly #keys = new Map(descriptors.map((command) => [command.name, command.keys]));
  /** the same, with all keys of a subject, of the commands that renew their expiries */
  readonly #allKeys = new Map(descriptors.filter(mayTakeAll).map((command) => [command.name, keysOf(command)]));
  /**
   * A page view renews the expiries of all keys of its subject now and then, and needs them in KEYS for that. Here is, by subject, for how many
   * seconds the keys lived when they were renewed last: a sixteenth longer than that message said (prelude.lua). A message that says more gives
   * all keys again: a new visitor's first page view says ten minutes, the next one the session's whole time. When the keys are about to
   * expire, the script notices, and so it does where a renewal was lost: it asks for all keys by the outcome 'all-keys'.
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
    if (isUserSubject(subject)) [message.isUser, message.sentMs] = [true, task.sentMs];
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

  /** The task's next message gives all keys. Gives false, for the caller to pass on: the task is not finished. */
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

  /** A payload that begins with # was keyed by its sender for the visitor; here it is keyed for the user whom the visitor has become meanwhile. */
  #movedPayload({ sid, payload }: Task, user: string): string {
    return (payload.startsWith('#') && this.context.items.moved([payload], sid, user)?.[0]) || payload;
  }

  /** The next piece of a list. */
  #pieceOf(task: Task, command: ListCommand): object {
    task.list ??= { items: command.list(task.payload, this.context), done: 0, parts: [], piece: MAX_PIECE };
    const { items, done, piece } = task.list;
    const { bloom, items: stored } = this.context; // stored.of(): the item as it is stored; scriptItem(): that as bloom_add() takes it
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
