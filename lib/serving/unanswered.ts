import { IntelligentSessionError } from '../errors/errors.js';
import { builtIn } from '../intelligence/commands.js';
import { FAILED_COMMAND, NO_COMBO, NO_COMMAND } from '../intelligence/command/answers.js';
import type { RedisTarget } from '../redis/target.js';
import { shown, WarnOnce } from '../errors/warnings.js';

export interface Route {
  readonly target: RedisTarget;
  /** with the client's `keyPrefix` */
  readonly namespace: string;
  readonly transport: 'pubsub' | 'stream';
  readonly partitions: number;
}

/** What happens while Redis is away. */
export const WITHOUT_INSIGHT = 'pages are served without what is known of their visitors';

/** Was it that the command, or the combo, is not known where it was carried out? */
export const isUnknown = (text: string): boolean => text.startsWith(NO_COMMAND) || text.startsWith(NO_COMBO);

/** What was answered in an answer's place, in words for who asked. */
export function commandFault(command: string, payload: string, answered: string): IntelligentSessionError {
  const text = answered.replace(/ \(ERR_[^)]*\)$/, '').slice(0, 300);
  return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_COMMAND', failure(command, payload, text));
}

function failure(command: string, payload: string, text: string): string {
  if (text === NO_COMMAND)
    return `There is no command ${shown(command)}: neither built in nor in the option "commands"`;
  if (text === NO_COMBO)
    return `combo(${shown(payload)}): neither the option "combos" nor the worker has a combo of that name`;
  if (builtIn.has(command)) return `"${command}" was not answered: ${text}`;
  const why = text === FAILED_COMMAND ? "the worker's log, or its event 'fault', says why" : text;
  return `The application's command ${shown(command)} failed in the worker: ${why}`;
}

/** Tells a person, once each, why requests go unanswered: no worker, none that answers, none that has the command. */
export class Unanswered {
  readonly #warnings = new WarnOnce();

  constructor(readonly route: Route) {}

  /** Nobody listens to this command, as far as Redis says. */
  noWorker(command: string): void {
    if (!builtIn.has(command)) this.#noCommand(command);
    else
      this.#warnings.tell(
        'INTELLIGENT_SESSION_NO_WORKER',
        `No worker listens to ${this.#place}: nothing is known of visitors until one does. Start one: ${this.#commandLine}`,
      );
  }

  /** Some requests in a row had no answer in time, where Redis can't say whether anybody listens, or a worker is stuck. */
  noAnswer(ownCommand: string | undefined, oneSession = false): void {
    if (oneSession) return this.#noAnswerToOne();
    const what = ownCommand === undefined ? '' : ` of the application's command ${shown(ownCommand)}`;
    this.#warnings.tell(
      'INTELLIGENT_SESSION_NO_ANSWER',
      `No answer${what} in time from any worker that listens to ${this.#place}, several times in a row. ` +
        this.#advice(ownCommand),
    );
  }

  /** Others may be answered: it says nothing sure of the worker. */
  #noAnswerToOne(): void {
    this.#warnings.tell(
      'INTELLIGENT_SESSION_NO_ANSWER',
      `No answer in time to one session's requests from any worker that listens to ${this.#place}, several times in a row: they may ` +
        `wait behind its own long lists while others are answered. ${this.#advice(undefined)}`,
    );
  }

  #noCommand(command: string): void {
    this.#warnings.tell(
      'INTELLIGENT_SESSION_UNKNOWN_COMMAND',
      `No worker that listens to ${this.#place} has the command ${shown(command)}: give it to ` +
        'createWorker({ commands }), or to a worker by --commands FILE',
    );
  }

  get #place(): string {
    const { target, namespace, transport } = this.route;
    return `the namespace "${namespace}" at ${target.address()}, database ${target.database} (${transport})`;
  }

  #advice(ownCommand: string | undefined): string {
    if (ownCommand !== undefined) return 'It is slow, or no worker has it';
    return `If none runs, start one: ${this.#commandLine}`;
  }

  /** What starts a worker, without a password. */
  get #commandLine(): string {
    const { target, namespace, transport, partitions } = this.route;
    const words = ['npx intelligent-session worker', target.commandLine()];
    if (namespace !== '') words.push(`--namespace ${namespace}`);
    if (transport === 'stream') words.push('--transport stream', `--partitions ${partitions}`);
    return words.join(' ');
  }
}
