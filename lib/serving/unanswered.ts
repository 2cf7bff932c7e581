import { Cluster } from 'ioredis';
import { IntelligentSessionError } from '../errors.js';
import { FAILED_COMMAND, isBuiltIn, NO_COMBO, NO_COMMAND } from '../protocol.js';
import { addressOf, databaseOf, type RedisClient } from '../redis/connect.js';
import { shown, WarnOnce } from '../warnings.js';

export interface Route {
  readonly client: RedisClient;
  /** with the client's `keyPrefix` */
  readonly namespace: string;
  readonly transport: 'pubsub' | 'stream';
  readonly partitions: number;
}

/** Tells a person, once each, why requests go unanswered: no worker, none that answers, none that has the command. */
export class Unanswered {
  readonly #warnings = new WarnOnce();

  constructor(readonly route: Route) {}

  /** Nobody listens to this command, as far as Redis says. */
  noWorker(command: string): void {
    if (!isBuiltIn(command)) this.#noCommand(command);
    else
      this.#warnings.tell(
        'INTELLIGENT_SESSION_NO_WORKER',
        `No worker listens to ${this.#place}: nothing is known of visitors until one does. Start one: ${this.#commandLine}`,
      );
  }

  /** Some requests in a row had no answer in time, where Redis can't say whether anybody listens, or a worker is stuck. */
  noAnswer(ownCommand: string | undefined): void {
    const what = ownCommand === undefined ? '' : ` of the application's command ${shown(ownCommand)}`;
    this.#warnings.tell(
      'INTELLIGENT_SESSION_NO_ANSWER',
      `No answer${what} in time from any worker that listens to ${this.#place}, several times in a row. ` +
        this.#advice(ownCommand),
    );
  }

  /** What a worker answered in an answer's place. */
  failed(command: string, payload: string | undefined, error: string): IntelligentSessionError {
    const text = error.replace(/ \(ERR_[^)]*\)$/, '').slice(0, 300);
    return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_COMMAND', this.#failure(command, payload, text));
  }

  #failure(command: string, payload: string | undefined, text: string): string {
    if (text === NO_COMMAND) return `The worker has no command ${shown(command)}`;
    if (text === NO_COMBO && payload !== undefined)
      return `combo(${shown(payload)}): neither the option "combos" nor the worker has a combo of that name`;
    if (isBuiltIn(command)) return `The worker could not answer "${command}": ${text}`;
    const why = text === FAILED_COMMAND ? "the worker's log, or its event 'fault', says why" : text;
    return `The application's command ${shown(command)} failed in the worker: ${why}`;
  }

  #noCommand(command: string): void {
    this.#warnings.tell(
      'INTELLIGENT_SESSION_UNKNOWN_COMMAND',
      `No worker that listens to ${this.#place} has the command ${shown(command)}: give it to ` +
        'createWorker({ commands }), or to a worker by --commands FILE',
    );
  }

  get #place(): string {
    const { client, namespace, transport } = this.route;
    return `the namespace "${namespace}" at ${addressOf(client)}, database ${databaseOf(client)} (${transport})`;
  }

  #advice(ownCommand: string | undefined): string {
    if (ownCommand !== undefined) return 'It is slow, or no worker has it';
    return `If none runs, start one: ${this.#commandLine}`;
  }

  /** What starts a worker, without a password. */
  get #commandLine(): string {
    const { client, namespace, transport, partitions } = this.route;
    const words = ['npx intelligent-session worker', ...this.#redis(client)];
    if (namespace !== '') words.push(`--namespace ${namespace}`);
    if (transport === 'stream') words.push('--transport stream', `--partitions ${partitions}`);
    return words.join(' ');
  }

  #redis(client: RedisClient): string[] {
    if (client instanceof Cluster) return ['--redis <URL of a node> --cluster'];
    const { sentinels, name, path, tls, password } = client.options;
    if (sentinels?.length) return [`--redis <URL of a Sentinel> --sentinel ${name}`];
    if (path) return [`--redis ${path}`];
    const db = databaseOf(client);
    const secret = password ? '<user>:<password>@' : '';
    return [`--redis ${tls ? 'rediss' : 'redis'}://${secret}${addressOf(client)}${db === 0 ? '' : `/${db}`}`];
  }
}
