import { IntelligentSessionError } from '../errors/errors.js';
import { intelligencePrefix } from '../redis/keys.js';
import { NO_COMMAND } from './command/answers.js';
import type { CommandContext, CommandDescriptor, ListCommand } from './command/descriptor.js';
import { isUserSubject } from './command/subject.js';
import { descriptors, keysOf } from './commands.js';
import type { Task } from './task.js';

/**
 * A long list is looked up piece by piece, so that other messages come between. A piece has MAX_PIECE items at first; the
 * script looks up as many of them as its costs allow (lists.lua), and the next piece has twice that number, MIN_PIECE at least.
 */
export const MAX_PIECE = 256;
export const MIN_PIECE = 16;
/** So many characters end a piece, too: the item that reaches this number is its last one. */
const MAX_PIECE_LENGTH = 16_384;
/**
 * How many subjects are remembered whose keys were all given, some 100 bytes each. When there are more, all are forgotten, and
 * theirs are given again.
 */
const MAX_REMEMBERED = 10_000;

/** A task as the script takes it (loop.lua), besides the fields for its command's Lua. */
interface Message {
  readonly command: string;
  /** where its keys begin in KEYS, which counts from 1 */
  readonly key: number;
  /** how long the session lives from now on, ms */
  readonly ttl: number;
  /** Does somebody wait for the answer? */
  waits?: true;
  /** Was it sent before, without a reply? */
  again?: true;
  /** Are all keys of the subject given? */
  all?: true;
  /** Is the subject a user? Then has_ended() (prelude.lua) compares sentMs with the time of an erasure. */
  isUser?: true;
  sentMs?: number | undefined;
}

/** Writes tasks as messages for the script of the commands. */
export class ScriptMessages {
  /** the names of the keys that each command is always given, by its name */
  readonly #keys = new Map(descriptors.map((command) => [command.name, command.keys]));
  /** the names of all keys of a subject, of the commands that renew the expiries of all */
  readonly #allKeys = new Map(descriptors.filter(mayTakeAll).map((command) => [command.name, keysOf(command)]));
  /**
   * A page view renews the expiries of all keys of its subject now and then, and needs them in KEYS for that. Here is, by
   * subject, for how many seconds this process' last message with all keys let them live: a sixteenth longer than its ttl
   * (prelude.lua). A message with a longer ttl gives all keys again: a new visitor's first page view has a ttl of ten minutes,
   * the next one the session's. When the keys are about to expire, or a renewal was lost, the script notices it and asks for
   * all keys by the outcome 'all-keys'.
   */
  #keptSeconds = new Map<string, number>();

  constructor(
    readonly context: CommandContext,
    readonly namespace: string,
  ) {}

  /** Gives a task's message, and adds its keys to `keys`. Throws a coded error where the payload lacks the command's form. */
  of(task: Task, keys: string[]): Message {
    const { command, subject, ttlSeconds, awaited, attempts } = task;
    const message: Message = { ...this.#fieldsOf(task), command, key: keys.length + 1, ttl: ttlSeconds * 1000 };
    if (awaited) message.waits = true;
    if (attempts > 0) message.again = true;
    // An anonymous subject that has ended does not come back. A user does: what was sent after an erasure is carried out.
    if (isUserSubject(subject)) [message.isUser, message.sentMs] = [true, task.sentMs];
    const isDue = task.givesAllKeys || ttlSeconds >= (this.#keptSeconds.get(subject) ?? 0);
    const allKeys = isDue ? this.#allKeys.get(command) : undefined;
    if (allKeys) {
      message.all = true;
      this.#remember(subject, ttlSeconds);
    }
    const prefix = intelligencePrefix(this.namespace, subject);
    for (const name of allKeys ?? this.#keys.get(command) ?? []) keys.push(prefix + name);
    return message;
  }

  #remember(subject: string, ttlSeconds: number): void {
    if (this.#keptSeconds.size >= MAX_REMEMBERED) this.#keptSeconds = new Map();
    this.#keptSeconds.set(subject, ttlSeconds * (1 + 1 / 16));
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

  /**
   * A payload that begins with # was keyed by its sender for the visitor: keys it for the user as whom the visitor has logged
   * in since.
   */
  #movedPayload({ sid, payload }: Task, user: string): string {
    return (payload.startsWith('#') && this.context.items.moved([payload], sid, user)?.[0]) || payload;
  }

  /** The fields for the next piece of a list. */
  #pieceOf(task: Task, command: ListCommand): object {
    task.list ??= { items: command.list(task.payload, this.context), done: 0, parts: [], piece: MAX_PIECE };
    const { items, done, piece } = task.list;
    const { bloom, items: storedItems } = this.context;
    let end = done;
    let length = 0;
    while (end < items.length && end < done + piece && length < MAX_PIECE_LENGTH) length += items[end++]?.length ?? 0;
    const pieceItems = items.slice(done, end);
    return {
      // each as the Bloom filter's Lua takes it
      items: pieceItems.map((item) => bloom.scriptItem(storedItems.of(task.subject, item))),
      whole: done === 0 && end === items.length,
      ...command.fieldsOf?.(pieceItems),
    };
  }
}

const mayTakeAll = ({ mayTakeAll }: CommandDescriptor): boolean => mayTakeAll === true;
