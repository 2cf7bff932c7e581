import { EventEmitter } from 'node:events';
import { causeOf, faultText, IntelligentSessionError } from '../errors/errors.js';
import { noConnection } from './connect.js';
import { DeadConnectionError, reconnectMsOf } from './liveness.js';
import { LoopTimeout } from './loop-clock.js';
import { targetOf } from './open-target.js';
import type { RedisClient } from './client.js';
import type { RedisTarget } from './target.js';

export interface AvailabilityEvents {
  /** Redis can't be reached: callers are refused at once until it is back. */
  away: [reason: IntelligentSessionError];
  /** Redis can be reached, for the first time or again. Not emitted where the client was ready when this was made. */
  back: [];
}

/**
 * Knows whether Redis can be reached, and makes callers wait until that is known: up to a limit for the first connection, for a
 * moment where a connection was lost, and not at all where a connection has stopped answering, since they have waited some 2 s
 * by then. A Cluster's client does not say that a node has stopped answering: there callers wait as for a lost connection.
 */
export class Availability extends EventEmitter<AvailabilityEvents> {
  /** `lost`: callers wait a moment for a new connection; `away`: they do not wait. */
  #state: 'connecting' | 'ready' | 'lost' | 'away' = 'connecting';
  #lastError = 'no answer';
  #cause: Error | undefined;
  /** Did liveness.ts end the connection? */
  #isDead = false;
  #timeout: LoopTimeout | undefined;
  /** What all callers of ready() share. */
  #waiting: { promise: Promise<void>; resolve(): void; reject(error: Error): void } | undefined;
  readonly target: RedisTarget;

  constructor(
    readonly client: RedisClient,
    readonly firstConnectionMs: number,
  ) {
    super();
    this.target = targetOf(client);
    if (client.status === 'ready') this.#state = 'ready';
    else this.#awayAfter(firstConnectionMs);
    client.on('error', (error) => {
      const text = faultText(error);
      // the errors that follow the end of a connection do not tell its reason
      if (text !== '' && !/Stream isn't writeable|Connection is closed/.test(text))
        [this.#lastError, this.#cause] = [text, error];
      this.#isDead ||= error instanceof DeadConnectionError;
    });
    client.on('ready', () => this.#ready());
    client.on('close', () => {
      const wasDead = this.#isDead;
      this.#isDead = false;
      if (this.#state !== 'ready') return;
      this.#state = 'lost';
      if (wasDead) this.#away();
      else this.#awayAfter(reconnectMsOf(this.target));
    });
    client.on('end', () => this.#away());
  }

  get state() {
    return this.#state;
  }

  /** A sentence with the address and the last fault of the connection, for a person to read. */
  get why(): string {
    return noConnection(this.client, this.#lastError);
  }

  /** Resolves when commands can be sent. Rejects, with the last known fault, when Redis is away. */
  ready(): Promise<void> {
    if (this.#state === 'ready' && this.target.isWritable()) return READY;
    if (this.#state === 'away') return Promise.reject(this.#reason());
    if (!this.#waiting) {
      let [resolve, reject] = [() => {}, (_error: Error) => {}];
      const promise = new Promise<void>((...settle) => {
        [resolve, reject] = settle;
      });
      promise.catch(() => {}); // no unhandled rejection where no caller waits
      this.#waiting = { promise, resolve, reject };
    }
    return this.#waiting.promise;
  }

  #ready(): void {
    this.#timeout?.clear();
    this.#isDead = false;
    [this.#lastError, this.#cause] = ['the connection was closed', undefined]; // what is told if it ends without an error
    this.#state = 'ready';
    this.#waiting?.resolve();
    this.#waiting = undefined;
    this.emit('back');
  }

  #awayAfter(ms: number): void {
    this.#timeout?.clear();
    this.#timeout = new LoopTimeout(() => this.#away(), ms, false);
  }

  #away(): void {
    this.#timeout?.clear();
    if (this.#state === 'away') return;
    this.#state = 'away';
    const reason = this.#reason();
    this.#waiting?.reject(reason);
    this.#waiting = undefined;
    this.emit('away', reason);
  }

  #reason(): IntelligentSessionError {
    return new IntelligentSessionError('ERR_INTELLIGENT_SESSION_NOT_READY', this.why, causeOf(this.#cause));
  }
}

const READY = Promise.resolve();
