import { EventEmitter } from 'node:events';
import type { PromRegistry } from '../metrics/metrics.js';
import { WarnOnce } from '../errors/warnings.js';

/**
 * Why a request went unanswered: no worker listens; none answered in time; none has for some time, so that nobody waited
 * (circuit); the stream is full (shed); every connection of the list form is taken (busy); Redis; the command failed; closed;
 * the session's id can't be sent (session-id).
 */
export type DegradedReason =
  'no-worker' | 'timeout' | 'circuit' | 'shed' | 'busy' | 'redis' | 'failed' | 'closed' | 'session-id';

export type Answer = { readonly answered: true; readonly data: unknown } | { readonly answered: false };

export interface ExecutorEvents {
  degraded: [command: string, reason: DegradedReason];
  /** Requests wait no longer for an answer ('open'), or do again. */
  circuit: [state: 'open' | 'closed'];
  fault: [error: Error];
  /** Redis can't be reached: requests go unanswered until it is `back`. */
  away: [reason: Error];
  back: [];
}

/** Carries out commands on what is known of sessions, here (LocalExecutor) or by a worker (RemoteExecutor). */
export interface Executor extends EventEmitter<ExecutorEvents> {
  readonly namespace: string;
  readonly metrics: PromRegistry;
  /** Not critical: on its way, and on. A fault is an event. */
  send(command: string, sid: string, payload: unknown, ttlSeconds: number): void;
  /** Critical: waits for the answer, at most `timeoutMs` on top of the way to Redis and back. Never rejects for a fault. */
  ask(command: string, sid: string, payload: unknown, ttlSeconds: number, timeoutMs: number): Promise<Answer>;
  /** Removes what is kept of a session's intelligence, and leaves word of it. SET and UNLINK. */
  forget(sid: string): void;
  /** What is known of a session lives as long as the session, where no page view renews it. */
  renew(sid: string, ttlSeconds: number): void;
  /** Finishes what is under way, at most `timeout` ms (5000) and not where Redis is away; closes the connections. */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}

/** A timer takes no more than some 24 days. */
export const MOST_TIMEOUT_MS = 86_400_000;

/** Events of an executor: a fault that nobody hears is told once; of a Redis that is away, one line tells all. */
export abstract class ExecutorEmitter extends EventEmitter<ExecutorEvents> {
  readonly #warnings = new WarnOnce();
  readonly #emit: (event: string, ...args: unknown[]) => boolean;

  constructor() {
    super();
    this.#emit = super.emit.bind(this) as never;
    // assigned, not overridden: types of later versions of Node say emit() otherwise
    this.emit = ((event: string, ...args: unknown[]): boolean => {
      const heard = this.#emit(event, ...args);
      const { connected } = this;
      if (event === 'fault' && !heard && connected !== undefined) this.#warnings.unheard(args[0], connected);
      return heard;
    }) as never;
  }

  /** Can commands be sent? undefined after close(): then nothing is told. */
  protected abstract get connected(): boolean | undefined;

  /** An application's own command threw: where nobody hears, its name is told, and not its text. */
  protected commandThrew(command: string, error: Error): void {
    if (!this.#emit('fault', error) && this.connected !== undefined) this.#warnings.commandFailed(command, error);
  }
}
