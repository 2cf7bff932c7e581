import type { Redis } from 'ioredis';
import { INBOX_TTL_MS, type InboxItem, inboxKey, type Message, REPLY_TTL_MS, replyKey } from '../protocol.js';

/** Sends answers: what is answered in one turn of the event loop goes to each inbox in one RPUSH. */
export class Replies {
  readonly #waiting = new Map<string, string[]>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(
    readonly client: Redis,
    readonly namespace: string,
    readonly onFault: (error: unknown) => void,
  ) {}

  send(message: Message, answer: { data: unknown } | { error: string }): void {
    const { inbox, id } = message.request;
    if (inbox === '') return;
    if (inbox === undefined) {
      // The paper's form has no place for an error: its asker's own timer ends the wait.
      if ('data' in answer) this.#push(replyKey(this.namespace, message), [JSON.stringify(answer.data)], REPLY_TTL_MS);
      return;
    }
    const item: InboxItem = { id, command: message.command, ...answer };
    const key = inboxKey(this.namespace, inbox);
    const items = this.#waiting.get(key);
    if (items) items.push(JSON.stringify(item));
    else this.#waiting.set(key, [JSON.stringify(item)]);
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    for (const [key, items] of this.#waiting) this.#push(key, items, INBOX_TTL_MS);
    this.#waiting.clear();
  }

  #push(key: string, items: readonly string[], ttlMs: number): void {
    this.client.rpush(key, ...items).catch(this.onFault);
    this.client.pexpire(key, ttlMs).catch(this.onFault);
  }
}
