import { IntelligentSessionError, redisFault } from '../errors/errors.js';
import { decodeId, intelligenceKey } from '../redis/keys.js';
import { loadScript } from '../redis/load-script.js';
import { Script } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { SubjectCarrier } from './carry-subject.js';
import { FAILED_COMMAND } from './command/answers.js';
import type { CarryCommand, CommandContext, ReadCommand } from './command/descriptor.js';
import { descriptors, keysOf, luaFiles } from './commands.js';
import { tasksToSendAgain } from './retry-after-fault.js';
import type { OnOutcome, Task } from './task.js';

/** Does the task take over another subject's data? */
export const isCarry = ({ builtIn }: Pick<Task, 'builtIn'>): boolean => builtIn !== undefined && 'from' in builtIn;

/** Does the task only read its keys, by a script of its own? */
export const isKeyRead = ({ builtIn }: Task): boolean => builtIn !== undefined && 'read' in builtIn;

/** Carries out the built-in commands that have no part in the common script (script.ts), each task by calls of its own. */
export class CommandsOutsideScript<T extends Task> {
  readonly #readScripts = new Map<ReadCommand, Script<(Buffer | null)[]>>();
  readonly #carriers = new Map<CarryCommand, SubjectCarrier>();

  constructor(
    readonly target: RedisTarget,
    readonly context: CommandContext,
    readonly namespace: string,
    readonly onOutcome: OnOutcome<T>,
  ) {
    for (const command of descriptors) {
      if ('read' in command) this.#readScripts.set(command, new Script(luaFiles(command).map(loadScript).join('\n')));
      if ('from' in command) this.#carriers.set(command, new SubjectCarrier(target, context, namespace, command));
    }
  }

  /** Takes over another subject's data. Gives the task back where nobody knows whether it was carried out. */
  async carry(task: T): Promise<readonly T[]> {
    const command = task.builtIn as CarryCommand;
    const carrier = this.#carriers.get(command) as SubjectCarrier;
    try {
      const from = command.from(task.sid, decodeId(task.payload));
      const { wasCarried, fault } = await carrier.carry(from, task.sid, task.ttlSeconds);
      task.answer(wasCarried ? '1' : '0');
      this.onOutcome(task, 'done', fault);
      return [];
    } catch (error) {
      const failed = (_task: T, fault: unknown) => this.onOutcome(task, 'failed', fault);
      // An error of this package's own tells what is wrong with the task: another attempt would end in the same way.
      const isCoded = error instanceof IntelligentSessionError;
      const toSendLater = isCoded ? [] : tasksToSendAgain([task], error, failed);
      if (isCoded) failed(task, error);
      if (toSendLater.length === 0) task.refuse(FAILED_COMMAND);
      return toSendLater;
    }
  }

  /** Carries out a command that only reads its keys, beside the call of the other tasks: it need not see what they write. */
  async read(task: T): Promise<void> {
    const command = task.builtIn as ReadCommand;
    try {
      const answerOf = command.read(task.payload, this.context);
      const keys = keysOf(command).map((name) => intelligenceKey(this.namespace, task.subject, name));
      const script = this.#readScripts.get(command) as Script<(Buffer | null)[]>;
      const reply = await script.runBuffers(this.target.client, keys).catch((error) => {
        throw redisFault(error);
      });
      task.answer(answerOf(reply));
      this.onOutcome(task, 'done');
    } catch (error) {
      const isMessageFault = (error as IntelligentSessionError).code === 'ERR_INTELLIGENT_SESSION_MESSAGE';
      task.refuse(isMessageFault ? (error as Error).message : FAILED_COMMAND);
      this.onOutcome(task, 'failed', error);
    }
  }
}
