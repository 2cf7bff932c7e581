import type { Redis } from 'ioredis';
import { faultText } from '../errors/errors.js';
import { whenReady } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { loadScript } from '../redis/load-script.js';
import { tellsOfReplica } from '../redis/roles.js';
import { Script, type ScriptArgument } from '../redis/run-script.js';
import type { RedisTarget } from '../redis/target.js';
import { UnconfirmedError } from './unconfirmed-error.js';

export interface DurableOptions {
  /** How many replicas have to have a write. */
  readonly replicas: number;
  /** How long they may take. */
  readonly timeoutMs: number;
}

/** What a script's reply says: it has written, it found that everything stood there already, or it wrote and found nothing. */
export type WriteOutcome = 'wrote' | 'found' | 'nothing';

/** One WAIT takes no longer: a connection on which nothing arrives for longer is taken for dead (liveness.ts). */
const WAIT_MS = 500;

const rewriteScript = new Script<number>(loadScript('lib/notifications/rewrite-expiry.lua'));

/**
 * Runs scripts that write, and resolves when replicas have what they wrote. WAIT holds up all that comes behind it, so it has a connection
 * of its own, in a Cluster one to each master; and it counts what its own connection wrote, so the scripts run there, too.
 */
export class DurableWrites {
  /** By the server that has the key; one where Redis is one server. */
  readonly #connections = new Map<string, Connection>();
  #isClosed = false;

  constructor(
    readonly target: RedisTarget,
    readonly options: DurableOptions,
    /** How long a connection is waited for. */
    readonly connectMs: number,
  ) {}

  /**
   * Runs a script on its connection; the first of its arguments is the key. Rejects with an UnconfirmedError
   * (`ERR_INTELLIGENT_SESSION_NOT_DURABLE`) where too few replicas have said that they have what it wrote. `signal` keeps it from being sent.
   */
  async run<Reply>(
    script: Script<Reply>,
    keysAndArguments: readonly ScriptArgument[],
    outcomeOf: (reply: Reply) => WriteOutcome,
    signal?: AbortSignal,
  ): Promise<Reply> {
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

  /** The keys have another server by now. Its end lets the Cluster's client ask for the nodes. */
  #leave(server: string): void {
    const connection = this.#connections.get(server);
    this.#connections.delete(server);
    if (connection) endConnection(connection.client);
  }

  close(): void {
    for (const server of [...this.#connections.keys()]) this.#leave(server);
  }
}

/** A connection whose writes are confirmed together: all that have been answered in one turn of the event loop by one WAIT. */
class Connection {
  #next: Promise<number> | undefined;
  #ready: Promise<void> | undefined;

  constructor(
    readonly client: Redis,
    readonly options: DurableOptions,
  ) {}

  /** Resolves when it takes commands; all who wait share one wait. */
  ready(timeoutMs: number): Promise<void> {
    if (this.client.status === 'ready') return Promise.resolve();
    this.#ready ??= whenReady(this.client, timeoutMs).finally(() => {
      this.#ready = undefined;
    });
    return this.#ready;
  }

  /** What comes here was written over this stream. Whether it lasts is not known where that ends meanwhile. */
  async confirm(key: string, isRewritten: boolean, stream: Redis['stream']): Promise<void> {
    const confirmed = await this.#confirmed(key, isRewritten, stream).catch((error) => {
      if (!isRefusal(error)) throw new Error('the connection was lost', { cause: error });
      throw notDurable(`It is written, and Redis refused to say which replicas have it: ${faultText(error)}`, error);
    });
    const { replicas, timeoutMs } = this.options;
    if (confirmed >= replicas) return;
    throw notDurable(
      `It is written, and ${confirmed} of ${replicas} replicas have said within ${timeoutMs} ms that they have it`,
    );
  }

  async #confirmed(key: string, isRewritten: boolean, stream: Redis['stream']): Promise<number> {
    if (isRewritten) await rewriteScript.run(this.client, [key]);
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
      // behind a reconnection WAIT would count what the new connection wrote: nothing
      if (this.client.stream !== stream) throw new Error('Connection is closed.');
      const leftMs = Math.ceil(endMs - performance.now());
      const confirmed = await this.client.wait(replicas, Math.max(1, Math.min(WAIT_MS, leftMs)));
      if (confirmed >= replicas || leftMs <= WAIT_MS) return confirmed;
    }
  }
}

/** Redis refuses WAIT (an ACL): the reply of a server that is a replica by now says nothing of what was written. */
const isRefusal = (error: unknown): boolean =>
  error instanceof Error && error.name === 'ReplyError' && !tellsOfReplica(error.message);

const notDurable = (message: string, cause?: unknown): UnconfirmedError =>
  new UnconfirmedError('ERR_INTELLIGENT_SESSION_NOT_DURABLE', message, undefined, cause);
