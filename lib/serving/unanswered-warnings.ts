import { shown, WarnOnce } from '../errors/warnings.js';
import { builtIn } from '../intelligence/commands.js';
import type { RedisTarget } from '../redis/target.js';
import type { CircuitScope } from './circuit-breaker.js';

/** Where messages are sent. */
export interface Route {
  readonly target: RedisTarget;
  /** With the client's `keyPrefix` before it. */
  readonly namespace: string;
  readonly transport: 'pubsub' | 'stream';
  readonly partitions: number;
}

/** Tells a person on the console, once each, why requests go unanswered: no worker, none that answers, none that has the command. */
export class UnansweredWarnings {
  readonly #warnings = new WarnOnce();

  constructor(readonly route: Route) {}

  /** Redis has said that nobody listens to this command. */
  noWorker(command: string): void {
    if (builtIn.has(command))
      this.#warnings.warn(
        'INTELLIGENT_SESSION_NO_WORKER',
        `No worker listens to ${this.#place}: nothing is known of visitors until one does. Start one: ${this.#commandLine}`,
      );
    else
      this.#warnings.warn(
        'INTELLIGENT_SESSION_UNKNOWN_COMMAND',
        `No worker that listens to ${this.#place} has the command ${shown(command)}: give it to ` +
          'createWorker({ commands }), or to a worker by --commands FILE',
      );
  }

  /** A circuit has opened: Redis can't say whether anybody listens, or a worker is stuck, or one session's requests are slow. */
  noAnswer(scope: CircuitScope): void {
    const startOne = `If none runs, start one: ${this.#commandLine}`;
    if (scope === 'workers') this.#noAnswer('', `. ${startOne}`);
    else if (scope === 'session')
      this.#noAnswer(
        " to one session's requests",
        `: they may wait behind its own long lists while others are answered. ${startOne}`,
      );
    else
      this.#noAnswer(` of the application's command ${shown(scope.ownCommand)}`, '. It is slow, or no worker has it');
  }

  #noAnswer(what: string, why: string): void {
    this.#warnings.warn(
      'INTELLIGENT_SESSION_NO_ANSWER',
      `No answer${what} in time from any worker that listens to ${this.#place}, several times in a row${why}`,
    );
  }

  get #place(): string {
    const { target, namespace, transport } = this.route;
    return `the namespace "${namespace}" at ${target.address()}, database ${target.database} (${transport})`;
  }

  /** The command line that starts a worker, without a password. */
  get #commandLine(): string {
    const { target, namespace, transport, partitions } = this.route;
    const words = ['npx intelligent-session worker', target.commandLine()];
    if (namespace !== '') words.push(`--namespace ${namespace}`);
    if (transport === 'stream') words.push('--transport stream', `--partitions ${partitions}`);
    return words.join(' ');
  }
}
