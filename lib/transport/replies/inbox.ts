import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { faultText } from '../../errors/errors.js';
import { type InboxItem, inboxKey } from '../protocol.js';
import { endConnection } from '../../redis/end-connection.js';
import type { RedisTarget } from '../../redis/target.js';

const BLOCK_SECONDS = 0.5;
const AT_ONCE = 256;
const REFUSED_MS = 100;

/**
 * Where answers arrive: one list and one blocking connection for the whole process, however many wait.
 * Each connection gets a list of a new name: a dead connection that Redis still believes in would swallow the next reply.
 */
export class Inbox {
  readonly client: Redis;
  /** the current list's name; undefined while there is no connection */
  name: string | undefined;
  /** the next connection's, to the node of a Cluster that will hold it */
  #next = newName();
  #closed = false;
  #again: NodeJS.Timeout | undefined;
  #many = true;
  /** why Redis refuses to wait, told once until it does wait */
  #told: string | undefined;

  constructor(
    target: RedisTarget,
    readonly namespace: string,
    readonly onItem: (item: InboxItem) => void,
    readonly onLost: (cause?: unknown) => void,
  ) {
    this.client = target.connect('blocking', () => inboxKey(namespace, this.#next));
    // before connect()'s own listener has chosen the next node
    this.client.prependListener('close', () => {
      this.name = undefined;
      this.#next = newName();
      this.onLost();
    });
    this.client.on('ready', () => {
      if (this.#closed) return; // the event comes a moment after what it tells of
      this.name = this.#next;
      void this.#drain(this.name);
    });
  }

  /** One BLMPOP stands behind the other: while the answers of one are delivered here, Redis fills the next. */
  async #drain(name: string): Promise<void> {
    const key = inboxKey(this.namespace, name);
    const read = () => {
      const replies = this.#take(key);
      for (const reply of replies) reply.catch(() => {}); // told when its turn has come, if it comes
      return replies;
    };
    let next = read();
    while (this.name === name && !this.#closed) {
      try {
        const replies = next;
        next = read();
        for (const reply of replies) for (const text of await reply) this.#deliver(text);
        this.#told = undefined;
      } catch (error) {
        if (/unknown command/i.test(String(error)) && this.#many) {
          this.#many = false;
          next = read();
        } else {
          // its status stays `ready` until it is closed: going on here would leave the event loop no turn to close it in
          if (this.client.status === 'ready') this.#refused(error);
          return;
        }
      }
    }
  }

  /** Redis refuses to wait (its role has changed, or an ACL): told, and tried again with a new connection. */
  #refused(error: unknown): void {
    this.name = undefined;
    const text = faultText(error);
    this.onLost(text === this.#told ? undefined : error);
    this.#told = text;
    this.#again = setTimeout(() => this.client.disconnect(true), REFUSED_MS);
  }

  /** BLMPOP (Redis 7). BLPOP takes one: the others that came with it are what LPOP, sent before the next BLPOP, finds. */
  #take(key: string): readonly Promise<readonly string[]>[] {
    const { client } = this;
    if (this.#many)
      return [client.blmpop(BLOCK_SECONDS, 1, key, 'LEFT', 'COUNT', AT_ONCE).then((reply) => reply?.[1] ?? [])];
    return [
      client.lpop(key, AT_ONCE).then((texts) => texts ?? []),
      client.blpop(key, BLOCK_SECONDS).then((reply) => reply?.slice(1) ?? []),
    ];
  }

  #deliver(text: string): void {
    let item: InboxItem;
    try {
      item = JSON.parse(text) as InboxItem;
    } catch {
      return; // not from a worker
    }
    if (typeof item?.id === 'string') this.onItem(item);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
    endConnection(this.client);
  }
}

const newName = (): string => randomBytes(9).toString('base64url');
