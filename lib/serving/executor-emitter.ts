import { EventEmitter } from 'node:events';
import { WarnOnce } from '../errors/warnings.js';
import type { Availability } from '../redis/availability.js';
import { logAvailability } from '../redis/log-availability.js';
import { onConnectionFault } from '../redis/connection-faults.js';
import type { ExecutorEvents } from './executor.js';

/** What happens while Redis is away, for a line on the console. */
const WITHOUT_INSIGHT = 'pages are served without what is known of their visitors';

/**
 * The events of an executor. Their listeners are called in a microtask of their own, before whoever awaits an answer goes on: so what
 * a listener throws is an uncaught exception as of any EventEmitter, and ends no work of ours half-way, and what a listener sends
 * goes behind what is being sent. A fault that nobody listens to is told once on the console. That Redis is away is one line there,
 * and faults of the lost connection are not told besides.
 */
export abstract class ExecutorEmitter extends EventEmitter<ExecutorEvents> {
  readonly #warnings = new WarnOnce();
  readonly #emit: (event: string, ...args: unknown[]) => boolean;

  constructor() {
    super();
    this.#emit = super.emit.bind(this) as never;
    // emit() is assigned and not overridden, since later versions of Node's types declare it otherwise.
    this.emit = ((event: string, ...args: unknown[]): boolean =>
      this.#emitSoon(event, args, () => this.#warnings.unheard(args[0], this.isConnected))) as never;
  }

  /** Can commands be sent to Redis? */
  protected abstract get isConnected(): boolean;
  /** Has close() ended? From then on nothing is told on the console. */
  protected abstract get isClosed(): boolean;

  /** Tells what happens to a connection. With `tellsAway` false, a store on the same Redis says on the console that it is away. */
  protected tellOf(availability: Availability, tellsAway = true): void {
    onConnectionFault(availability.client, (error) => this.emit('fault', error));
    const isHandled = (reason: Error) => this.isClosed || this.emit('away', reason) || !tellsAway;
    logAvailability(availability, WITHOUT_INSIGHT, isHandled);
    availability.on('back', () => this.emit('back'));
  }

  /** An application's own command threw: where nobody listens to `fault`, the console gets its name, not the error's text. */
  protected commandThrew(command: string, error: Error): void {
    this.#emitSoon('fault', [error], () => this.#warnings.commandFailed(command, error));
  }

  /** Calls the listeners soon, or `unheard` where nobody listens to a fault. Does somebody listen to the event? */
  #emitSoon(event: string, args: readonly unknown[], unheard: () => void): boolean {
    queueMicrotask(() => {
      if (!this.#emit(event, ...args) && event === 'fault' && !this.isClosed) unheard();
    });
    return this.listenerCount(event as never) > 0;
  }
}
