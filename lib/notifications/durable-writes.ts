import type { Redis } from 'ioredis';
import { faultText } from '../errors/errors.js';
import { whenReady } from '../redis/connect.js';
import { endConnection, wasEnded } from '../redis/end-connection.js';
import { loadScript } from '../redis/load-script.js';
import { loopNowMs } from '../redis/loop-clock.js';
import { tellsOfReplica } from '../redis/roles.js';
import { Script, type ScriptArgument } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { UnconfirmedError } from './unconfirmed-error.js';

export interface DurableOptions {
  /** How many replicas have to confirm a write. */
  readonly replicas: number;
  /** How long the replicas may take. */
  readonly timeoutMs: number;
}

/** The outcome of a script: `wrote`: it has written; `found`: Redis was already as it was to be; `nothing`: neither. */
export type WriteOutcome = 'wrote' | 'found' | 'nothing';

/** How long a single WAIT may take: a connection on which nothing arrives for much longer counts as dead (liveness.ts). */
const WAIT_MS = 500;

const rewriteScript = new Script<number>(loadScript('lib/notifications/rewrite-expiry.lua'));

/**
 * Runs scripts that write, and resolves when replicas have what they wrote. WAIT blocks its connection, so it gets a connection of its
 * own, in a Cluster one to each master. WAIT counts only writes of its own connection, so the scripts run on that connection, too.
 */
export class DurableWrites {
  /** The connections by server: only one where Redis is a single server. */
  readonly #connections = new Map<string, Connection>();
  #isClosed = false;

  constructor(
    readonly target: RedisTarget,
    readonly options: DurableOptions,
    /** How long a write waits until its connection is ready. */
    readonly connectMs: number,
  ) {}

  /**
   * Runs a script on its connection; the first of its arguments is the key. Rejects with an UnconfirmedError
   * (`ERR_INTELLIGENT_SESSION_NOT_DURABLE`) where too few replicas have said that they have what it wrote. Once `signal` is aborted,
   * nothing is sent.
   */
  async run<Reply>(
    script: Script<Reply>,
    keysAndArguments: readonly ScriptArgument[],
    outcomeOf: (reply: Reply) => WriteOutcome,
    signal?: AbortSignal,
  ): Promise<Reply> {
    // the text of ioredis' own error, which wasLost() looks for
    if (this.#isClosed) throw new Error('Connection is closed.');
    const key = String(keysAndArguments[0]);
    const server = this.target.serverOf(() => key);
    const connection = this.#connectionTo(server, key);
    try {
      await connection.ready(this.connectMs);
      signal?.throwIfAborted();
      const { stream } = connection.client;
      const reply = await script.run(connection.client, keysAndArguments);
      const outcome = outcomeOf(reply);
      if (outcome !== 'nothing') await connection.confirm(key, outcome === 'found', stream);
      return reply;
    } catch (error) {
      if (error instanceof Error && /^(MOVED|ASK) /.test(error.message)) this.#leave(server);
      throw error;
    }
  }

  #connectionTo(server: string, key: string): Connection {
    const open = this.#connections.get(server);
    if (open) return open;
    const client = this.target.connect('blocking', () => key);
    const connection = new Connection(client, this.options);
    this.#connections.set(server, connection);
    return connection;
  }

  /** Ends the connection to a server that no longer has the keys, which makes the Cluster's client look up its nodes. */
  #leave(server: string): void {
    const connection = this.#connections.get(server);
    this.#connections.delete(server);
    if (connection) endConnection(connection.client);
  }

  close(): void {
    for (const server of [...this.#connections.keys()]) this.#leave(server);
  }
}

/** A connection whose writes are confirmed together: one WAIT for all writes that were answered in one turn of the event loop. */
class Connection {
  /** The WAIT that is sent at the end of this turn of the event loop, if there is one. */
  #next: Promise<number> | undefined;
  #ready: Promise<void> | undefined;

  constructor(
    readonly client: Redis,
    readonly options: DurableOptions,
  ) {}

  /** Resolves when the connection takes commands. All callers share one wait; who came late waits for the next one, too. */
  async ready(timeoutMs: number): Promise<void> {
    const endMs = loopNowMs() + timeoutMs;
    while (this.client.status !== 'ready') {
      this.#ready ??= whenReady(this.client, timeoutMs).finally(() => {
        this.#ready = undefined;
      });
      try {
        await this.#ready;
      } catch (error) {
        if (loopNowMs() >= endMs || wasEnded(this.client)) throw error;
      }
    }
  }

  /** Resolves when replicas have what was written over the socket `stream`. Rejects if it ends first: then nobody knows whether it lasts. */
  async confirm(key: string, needsRewrite: boolean, stream: Redis['stream']): Promise<void> {
    const confirmed = await this.#confirmed(key, needsRewrite, stream).catch((error) => {
      if (!isRefusal(error)) throw new Error('the connection was lost', { cause: error });
      throw notDurable(`It is written, and Redis refused to say which replicas have it: ${faultText(error)}`, error);
    });
    const { replicas, timeoutMs } = this.options;
    if (confirmed >= replicas) return;
    throw notDurable(
      `It is written, and ${confirmed} of ${replicas} replicas have said within ${timeoutMs} ms that they have it`,
    );
  }

  async #confirmed(key: string, needsRewrite: boolean, stream: Redis['stream']): Promise<number> {
    if (needsRewrite) await rewriteScript.run(this.client, [key]);
    this.#next ??= new Promise<number>((resolve, reject) => {
      setImmediate(() => {
        this.#next = undefined;
        this.#wait(stream).then(resolve, reject);
      });
    });
    return this.#next;
  }

  /** How many replicas have all that this connection has written. */
  async #wait(stream: Redis['stream']): Promise<number> {
    const { replicas, timeoutMs } = this.options;
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      // after a reconnection WAIT would wait for the writes of the new connection, which has none
      if (this.client.stream !== stream) throw new Error('Connection is closed.');
      const leftMs = Math.ceil(endMs - performance.now());
      const confirmed = await this.client.wait(replicas, Math.max(1, Math.min(WAIT_MS, leftMs)));
      if (confirmed >= replicas || leftMs <= WAIT_MS) return confirmed;
    }
  }
}

/** Does Redis refuse WAIT, because of an ACL? (If the server has become a replica, its error says nothing about the write.) */
const isRefusal = (error: unknown): boolean =>
  error instanceof Error && error.name === 'ReplyError' && !tellsOfReplica(error.message);

const notDurable = (message: string, cause?: unknown): UnconfirmedError =>
  new UnconfirmedError('ERR_INTELLIGENT_SESSION_NOT_DURABLE', message, undefined, cause);
