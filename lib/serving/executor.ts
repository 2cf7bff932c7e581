import type { EventEmitter } from 'node:events';
import type { ItemKey } from '../intelligence/item-key.js';
import type { Metrics, PromRegistry } from '../metrics/metrics.js';

/**
 * Why a request went unanswered: no worker listens; none answered in time; none has answered for some time, so that this
 * request did not wait (`circuit`); the stream or a queue is full (`shed`); with `replies: 'list'`, no connection was free
 * in time (`busy`); Redis can't be reached, or refused (`redis`); the command failed; the executor is closed; the session's id is
 * empty, or longer than 512 characters (`session-id`).
 */
export type DegradedReason =
  'no-worker' | 'timeout' | 'circuit' | 'shed' | 'busy' | 'redis' | 'failed' | 'closed' | 'session-id';

/** What became of a request. `data` is the command's answer, parsed from JSON: null where the command gave nothing. */
export type Answer =
  | { readonly answered: true; readonly data: unknown }
  | {
      readonly answered: false;
      readonly reason: DegradedReason;
      /** Says more than the reason, where more is known. */
      readonly error?: Error | undefined;
    };

/** The events of `sessions.serving`. What a listener throws is an uncaught exception, and no request is the worse for it. */
export interface ExecutorEvents {
  /** A request went unanswered, or a message was not sent. */
  degraded: [command: string, reason: DegradedReason];
  /** A circuit has opened, so that its requests no longer wait for an answer, or closed, so that they wait again. */
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
  /** The subject: the session's id, or what stands for a user. */
  readonly sid: string;
  /** What the caller gave, a text as it is, anything else as JSON; with an `itemSecret` pages and ids in it are keyed. */
  readonly payload: string;
  /** How long what is kept of the subject lives from now on. */
  readonly ttlSeconds: number;
  /** Is it about an anonymous visitor whose data may be carried to a user? Then pages and ids are kept as a list besides. */
  readonly isAnonymous: boolean;
  /** When it was sent, at the earliest, ms since 1970 by Redis' clock. Undefined where that is not known or not needed. */
  readonly sentMs?: number | undefined;
}

/** How a message is sent. */
export interface SendOptions {
  /** How long what is kept of the subject lives from now on. */
  readonly ttlSeconds: number;
  /** Is the message about an anonymous visitor who may become a user? @default false */
  readonly isAnonymous?: boolean | undefined;
}

/** A message whose answer is waited for. */
export interface Question extends Message {
  /** How long the answer is waited for, on top of the way to Redis and back. */
  readonly timeoutMs: number;
}

/**
 * `sessions.serving` is one: it carries out commands on what is known of sessions, by messages to workers (RemoteExecutor) or
 * in this process (LocalExecutor). A wrong argument throws an OptionError; a fault at run time is an event, and not thrown.
 */
export interface Executor extends EventEmitter<ExecutorEvents> {
  /** What stands before every channel and key: the client's `keyPrefix`, then the option `namespace`. */
  readonly namespace: string;
  /** For intelligentSession(): the key by which pages, notification ids and users are keyed. */
  readonly itemKey: ItemKey;
  /** A registry of prom-client's. Throws ERR_INTELLIGENT_SESSION_METRICS where prom-client is not installed. */
  readonly metrics: PromRegistry;
  /** For intelligentSession(): adds metrics of its own to the same registry. */
  addMetrics(metrics: Metrics): void;
  /** Sends a command whose answer nobody waits for. One PUBLISH or XADD; embedded, a part of a script call. */
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
   * Removes what is kept of a session, and notes that for as long as a message of the session may be on its way, so that a late
   * one is not counted. SET, HKEYS and UNLINK, in one round trip, and an UNLINK where the application's commands keep
   * something. Gives false, and never rejects, where Redis did not do it.
   */
  forget(sid: string): Promise<boolean>;
  /** Makes what is kept of a session live as long as the session, where no page view does so. One script call, if it is due. */
  renew(sid: string, ttlSeconds: number): void;
  /**
   * Finishes what send() and forget() have begun, for `timeout` ms at most (5000) and not at all where Redis is away, answers
   * what else is under way as `closed`, and closes the connections. Can be called twice.
   */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}
