import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { faultText } from '../../errors/errors.js';
import { type InboxItem, inboxKey } from '../protocol.js';
import { endConnection } from '../../redis/end-connection.js';
import type { RedisTarget } from '../../redis/target.js';

/** A blocking read ends after this long at most: liveness.ts takes a connection for dead that is silent for 2 s. */
const BLOCK_SECONDS = 0.5;
/** One read takes so many answers at most, so that its reply is parsed in a moment. */
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
  /** The name of the next connection's list: a Cluster's node that will hold the list is connected to. */
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
    // This listener comes before connect()'s own, which chooses the next node by the name.
    this.client.prependListener('close', () => {
      this.name = undefined;
      this.#nextName = newName();
      this.onLost();
    });
    this.client.on('ready', () => {
      if (this.#closed) return; // The event comes a moment after the connection.
      this.name = this.#nextName;
      void this.#drain(this.name);
    });
  }

  /** One read is always sent before the answers of the last one are delivered, so that Redis fills it meanwhile. */
  async #drain(name: string): Promise<void> {
    const key = inboxKey(this.namespace, name);
    const read = () => {
      const replies = this.#take(key);
      for (const reply of replies) reply.catch(() => {}); // Its fault is told when its turn has come, if it comes.
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
          // The status stays `ready` until the connection is closed: going on here would leave no turn to close it in.
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
    this.#retry = setTimeout(() => this.client.disconnect(true), RETRY_DELAY_MS);
  }

  /** BLMPOP (Redis 7). BLPOP takes one: the others that came with it are found by the LPOP that is sent before the next BLPOP. */
  #take(key: string): readonly Promise<readonly string[]>[] {
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
