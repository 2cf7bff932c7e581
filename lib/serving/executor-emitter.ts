import { EventEmitter } from 'node:events';
import { WarnOnce } from '../errors/warnings.js';
import type { Availability } from '../redis/availability.js';
import { logAvailability } from '../redis/log-availability.js';
import { onConnectionFault } from '../redis/connection-faults.js';
import type { ExecutorEvents } from './executor.js';

/** What happens while Redis is away, for the line on the console. */
const WITHOUT_INSIGHT = 'pages are served without what is known of their visitors';

/**
 * The events of an executor. A fault that nobody listens to is told once on the console; a Redis that is away is one line there,
 * and its faults are none.
 */
export abstract class ExecutorEmitter extends EventEmitter<ExecutorEvents> {
  readonly #warnings = new WarnOnce();
  readonly #emit: (event: string, ...args: unknown[]) => boolean;

  constructor() {
    super();
    this.#emit = super.emit.bind(this) as never;
    // It is assigned and not overridden, since later versions of Node's types declare emit() otherwise.
    this.emit = ((event: string, ...args: unknown[]): boolean => {
      const heard = this.#emit(event, ...args);
      if (event === 'fault' && !heard && !this.isClosed) this.#warnings.unheard(args[0], this.isConnected);
      return heard;
    }) as never;
  }

  /** Can commands be sent to Redis? */
  protected abstract get isConnected(): boolean;
  /** Has close() ended? From then on nothing is told on the console. */
  protected abstract get isClosed(): boolean;

  /** Tells what happens to a connection. With `tellsAway` false, a store on the same Redis says on the console that it is away. */
  protected tellOf(availability: Availability, tellsAway = true): void {
    onConnectionFault(availability.client, (error) => this.emit('fault', error));
    const isHeard = (reason: Error) => this.isClosed || this.emit('away', reason) || !tellsAway;
    logAvailability(availability, WITHOUT_INSIGHT, isHeard);
    availability.on('back', () => this.emit('back'));
  }

  /** An application's own command threw: where nobody listens, the console gets the command's name, and not the error's text. */
  protected commandThrew(command: string, error: Error): void {
    if (!this.#emit('fault', error) && !this.isClosed) this.#warnings.commandFailed(command, error);
  }
}
