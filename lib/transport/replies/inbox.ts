import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { faultText } from '../../errors/errors.js';
import { type InboxItem, inboxKey } from '../protocol.js';
import { endConnection, reconnect } from '../../redis/end-connection.js';
import type { RedisTarget } from '../../redis/target.js';

/** A blocking read ends after this long at most: liveness.ts takes a connection for dead that is silent for 2 s. */
const BLOCK_SECONDS = 0.5;
/** One read takes so many answers at most, so that parsing its reply does not hold the event loop for long. */
const ANSWERS_PER_READ = 256;
/** The pause before a new connection where Redis has refused to read: it may refuse again at once. */
const RETRY_DELAY_MS = 100;

/**
 * Where answers arrive: one list and one blocking connection for the whole process, however many requests wait. Each connection
 * has a list of a new name: a dead connection that Redis still believes in would swallow the next answer.
 */
export class Inbox {
  readonly client: Redis;
  /** The list's name; undefined while there is no connection. */
  name: string | undefined;
  /** The name of the next connection's list. It is chosen first: in a Cluster the connection goes to the list's node. */
  #nextName = newName();
  #closed = false;
  #retry: NodeJS.Timeout | undefined;
  /** Does Redis know BLMPOP? */
  #hasBlmpop = true;
  /** Why Redis refused the last read: the same reason is told once, until a read succeeds. */
  #refusal: string | undefined;

  constructor(
    target: RedisTarget,
    readonly namespace: string,
    readonly onItem: (item: InboxItem) => void,
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

  /** Redis refuses to wait (its role has changed, or an ACL forbids it): that is told, and a new connection tries again. */
  #refused(error: unknown): void {
    this.name = undefined;
    const text = faultText(error);
    this.onLost(text === this.#refusal ? undefined : error);
    this.#refusal = text;
    this.#retry = setTimeout(() => reconnect(this.client), RETRY_DELAY_MS);
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
