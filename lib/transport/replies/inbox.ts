import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { faultText } from '../../errors/errors.js';
import { type InboxItem, inboxKey } from '../protocol.js';
import { endConnection, reconnect } from '../../redis/end-connection.js';
import type { RedisTarget } from '../../redis/target.js';

/**
 * A blocking read ends after this long, and a tenth of a second in which Redis looks for it: liveness.ts takes a connection for
 * dead that is silent for 2 s.
 */
const BLOCK_SECONDS = 0.5;
/**
 * One read takes so many answers at most, so that parsing its reply does not hold the event loop for long. How many bytes they
 * may be, MAX_INBOX_BYTES of undrained.ts says.
 */
const ANSWERS_PER_READ = 256;
/** The pause before a new connection where Redis has refused to read, and has not ended this one: it may refuse again at once. */
const RETRY_DELAY_MS = 100;

/**
 * Where answers arrive: one list and one blocking connection for each executor, however many requests wait. Each connection has
 * a list of a new name: a dead connection that Redis still believes in would swallow the next answer.
 */
export class Inbox {
  readonly client: Redis;
  /** The list's name; undefined while nothing reads it: there is no connection, or Redis has refused. */
  name: string | undefined;
  /** The name of the next connection's list. It is chosen first: in a Cluster the connection goes to the list's node. */
  #nextName = newName();
  #closed = false;
  /** Set from a refusal on, until the connection is closed for whatever reason: the next one is not this timer's. */
  #retry: NodeJS.Timeout | undefined;
  /** Does Redis know BLMPOP? */
  #hasBlmpop = true;
  /** Why Redis refused the last read: the same reason is told once, until a read succeeds. */
  #refusal: string | undefined;

  constructor(
    target: RedisTarget,
    readonly namespace: string,
    readonly onItem: (item: InboxItem) => void,
    /** Is called when no answer can come to this list any more, with a `cause` where Redis has refused to read. */
    readonly onLost: (cause?: unknown) => void,
  ) {
    this.client = target.connect('blocking', () => inboxKey(namespace, this.#nextName));
    // This listener has to run before that of target.connect(), which chooses the next node by #nextName.
    this.client.prependListener('close', () => {
      clearTimeout(this.#retry);
      this.name = undefined;
      this.#nextName = newName();
      this.onLost();
    });
    this.client.on('ready', () => {
      if (this.#closed) return; // close() may be called between the connection and this event.
      this.name = this.#nextName;
      void this.#drain(this.name);
    });
  }

  /** Reads while the list has this name. The next read is sent before the last one is awaited: Redis always has one. */
  async #drain(name: string): Promise<void> {
    const key = inboxKey(this.namespace, name);
    const read = () => {
      const replies = this.#sendRead(key);
      for (const reply of replies) reply.catch(() => {}); // An error is handled where the reply is awaited; some never are.
      return replies;
    };
    let next = read();
    while (this.name === name && !this.#closed) {
      try {
        const replies = next;
        next = read();
        for (const reply of replies) for (const text of await reply) this.#deliver(text);
        this.#refusal = undefined;
      } catch (error) {
        if (/unknown command/i.test(String(error)) && this.#hasBlmpop) {
          this.#hasBlmpop = false;
          next = read();
        } else {
          // Reading on could fail at once each time, and leave no turn of the event loop in which the connection is closed.
          if (this.client.status === 'ready') this.#refused(error);
          return;
        }
      }
    }
  }

  /**
   * Redis refuses to read. After a change of its role ioredis makes a new connection by itself (tellsOfReplica() in roles.ts); else, as
   * where an ACL forbids it, this does so. The reason is told.
   */
  #refused(error: unknown): void {
    this.name = undefined;
    this.#retry = setTimeout(() => reconnect(this.client), RETRY_DELAY_MS);
    const text = faultText(error);
    const isKnown = text === this.#refusal;
    this.#refusal = text;
    this.onLost(isKnown ? undefined : error);
  }

  /** Sends a read: BLMPOP, or before Redis 7 LPOP and BLPOP. BLPOP takes one answer; the next LPOP takes what came with it. */
  #sendRead(key: string): readonly Promise<readonly string[]>[] {
    const { client } = this;
    if (this.#hasBlmpop)
      return [
        client.blmpop(BLOCK_SECONDS, 1, key, 'LEFT', 'COUNT', ANSWERS_PER_READ).then((reply) => reply?.[1] ?? []),
      ];
    return [
      client.lpop(key, ANSWERS_PER_READ).then((texts) => texts ?? []),
      client.blpop(key, BLOCK_SECONDS).then((reply) => reply?.slice(1) ?? []),
    ];
  }

  #deliver(text: string): void {
    let item: InboxItem;
    try {
      item = JSON.parse(text) as InboxItem;
    } catch {
      return; // No worker sends that.
    }
    if (typeof item?.id === 'string') this.onItem(item);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    endConnection(this.client);
  }
}

const newName = (): string => randomBytes(9).toString('base64url');
