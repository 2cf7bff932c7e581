import { redisFault } from '../errors/errors.js';
import { intelligenceKey, ownKey } from '../redis/keys.js';
import type { RedisTarget } from '../redis/target.js';
import type { CommandContext } from './command/descriptor.js';
import { isUserSubject } from './command/subject.js';
import type { DeclaredKeys } from './own-command.js';
import type { Task } from './task.js';
import { OwnKeyCarrier } from './own-key-carrier.js';
import { ownKeyScript } from './own-key-script.js';

/** What begin.lua and end.lua reply. */
type State = [state: 'run' | 'kept' | 'gone' | 'moved', user?: string];

/**
 * What is done before and after an application's command that declares keys: their names are noted before it runs, and they get their
 * expiry after it has run.
 */
export class OwnKeys {
  readonly #begin;
  readonly #end;
  readonly #carrier: OwnKeyCarrier;

  constructor(
    readonly target: RedisTarget,
    readonly context: Pick<CommandContext, 'messageAgeMs'>,
    readonly namespace: string,
  ) {
    this.#begin = ownKeyScript<State>('note-own', 'begin');
    this.#end = ownKeyScript<State>('note-own', 'kept-with', 'end');
    this.#carrier = new OwnKeyCarrier(target, context, namespace);
  }

  /** May the command run? It throws what Redis or its connection throws. One script call; a second one where the visitor has logged in, so that the task is the user's. */
  async begin(task: Task, declared: DeclaredKeys): Promise<boolean> {
    const [state, user] = await this.#run(this.#begin, task, declared);
    if (state !== 'moved' || task.movedTo !== undefined) return state === 'run';
    task.movedTo = user;
    return this.begin(task, declared);
  }

  /** Is called when the command has run. One script call, and a carry where the visitor has logged in meanwhile. */
  async end(task: Task, declared: DeclaredKeys): Promise<void> {
    try {
      const [state, user] = await this.#run(this.#end, task, declared);
      if (state !== 'moved' || user === undefined) return;
      const { fault } = await this.#carrier.carry(task.subject, user, task.ttlSeconds);
      if (fault) throw fault;
    } catch (error) {
      throw redisFault(error);
    }
  }

  /** The Redis key of each declared name. */
  keysOf(subject: string, { names }: DeclaredKeys): Record<string, string> {
    return Object.fromEntries(names.map((name) => [name, ownKey(this.namespace, subject, name)]));
  }

  async #run(script: ReturnType<typeof ownKeyScript<State>>, task: Task, declared: DeclaredKeys): Promise<State> {
    const { subject, ttlSeconds } = task;
    const keys = ['own', 'gone', 'activity'].map((name) => intelligenceKey(this.namespace, subject, name));
    // An anonymous subject that has ended does not come back. A user does: what was sent after an erasure is carried out.
    const ofUser = isUserSubject(subject) ? { isUser: true, sentMs: task.sentMs } : {};
    const message = { ...declared, ttl: ttlSeconds * 1000, ...ofUser };
    return script.run(this.target.client, [...keys, JSON.stringify(message)], keys.length);
  }
}
