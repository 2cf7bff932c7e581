import type { EventEmitter } from 'node:events';
import type { ItemKey } from '../intelligence/item-key.js';
import type { Metrics, PromRegistry } from '../metrics/metrics.js';

/**
 * Why a request went unanswered: no worker listens; none answered in time; none has for some time, so that nobody waited
 * (`circuit`); the stream or a queue is full (`shed`); every connection of the list form is taken (`busy`); Redis can't be
 * reached or refused (`redis`); the command failed; the executor is closed; the session's id is empty, or longer than 512 characters (`session-id`).
 */
export type DegradedReason =
  'no-worker' | 'timeout' | 'circuit' | 'shed' | 'busy' | 'redis' | 'failed' | 'closed' | 'session-id';

/** What became of a request. `data` is what the command answered, as JSON has it: a command that gave nothing answered null. */
export type Answer =
  | { readonly answered: true; readonly data: unknown }
  | {
      readonly answered: false;
      readonly reason: DegradedReason;
      /** What went wrong, where more is known than the reason. */
      readonly error?: Error | undefined;
    };

/** The events of what `sessions.serving` is. */
export interface ExecutorEvents {
  /** A request went unanswered, or a message was not sent. */
  degraded: [command: string, reason: DegradedReason];
  /** Requests no longer wait for an answer ('open'), or wait again ('closed'). */
  circuit: [state: 'open' | 'closed'];
  /** Something failed at run time. */
  fault: [error: Error];
  /** Redis can't be reached: requests go unanswered until the event `back`. */
  away: [reason: Error];
  /** Redis can be reached, at first or again. */
  back: [];
}

/** A command for one session, as it is sent. */
export interface Message {
  readonly command: string;
  readonly sid: string;
  /** A text as it was given, anything else as JSON. */
  readonly payload: string;
  /** How long what is kept of the session lives from now on. */
  readonly ttlSeconds: number;
  /** It is about an anonymous visitor, of whom something may be carried to a user: what is seen is kept as a list, too. */
  readonly isAnonymous: boolean;
  /** Of a user's: when it was sent, at the earliest, ms since 1970 by Redis' clock. Undefined where that is not known. */
  readonly sentMs?: number | undefined;
}

/** How a message is sent. */
export interface SendOptions {
  /** How long what is kept lives from now on. */
  readonly ttlSeconds: number;
  /** Is it an anonymous visitor's, who may become a user? @default false */
  readonly isAnonymous?: boolean | undefined;
}

/** A message whose answer is waited for. */
export interface Question extends Message {
  /** How long it is waited for, on top of the way to Redis and back. */
  readonly timeoutMs: number;
}

/**
 * What `sessions.serving` is: it carries out commands on what is known of sessions, by messages to workers (RemoteExecutor) or
 * in this process (LocalExecutor). A wrong argument throws an OptionError; a fault at run time is an event, and never an error.
 */
export interface Executor extends EventEmitter<ExecutorEvents> {
  /** What stands before every channel and key: the client's `keyPrefix`, then the option `namespace`. */
  readonly namespace: string;
  /** For intelligentSession(): by what pages and users are keyed. */
  readonly itemKey: ItemKey;
  /** A registry of prom-client's. Throws ERR_INTELLIGENT_SESSION_METRICS where prom-client is not installed. */
  readonly metrics: PromRegistry;
  /** For intelligentSession(): what else it counts is in the same registry. */
  addMetrics(metrics: Metrics): void;
  /** Sends a command that nobody waits for. One PUBLISH or XADD; embedded, a part of a script call. */
  send(command: string, sid: string, payload: unknown, options: SendOptions): void;
  /**
   * Sends a command and waits for its answer, `timeoutMs` (1 to a day) on top of the way to Redis and back. Never rejects. One
   * PUBLISH or XADD, and the worker's RPUSH of the answer; embedded, a part of a script call.
   */
  ask(
    command: string,
    sid: string,
    payload: unknown,
    options: SendOptions & { readonly timeoutMs: number },
  ): Promise<Answer>;
  /**
   * Removes what is kept of a session, and leaves word of it for as long as a message of that session may be on its way: what
   * comes late is not counted. SET, HKEYS and UNLINK, in one round trip, and an UNLINK where the application's commands keep something. Gives
   * false, and never rejects, where Redis did not do it.
   */
  forget(sid: string): Promise<boolean>;
  /** Makes what is kept of a session live as long as the session, where no page view does so. One script call, where it is due. */
  renew(sid: string, ttlSeconds: number): void;
  /**
   * Finishes what is under way, for `timeout` ms at most (5000) and not at all where Redis is away, and closes the connections.
   * Can be called twice.
   */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}
