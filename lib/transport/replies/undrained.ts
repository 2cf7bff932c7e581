import { INBOX_TTL_MS, REPLY_TTL_MS } from '../protocol.js';

/** Bytes that stay in one inbox that is slow to be drained: 64 answers of a year's activity are 67 MB. */
const MOST_INBOX_BYTES = 96 * 1024 * 1024;
/** Bytes in all lists of which nobody has been seen to fetch anything. */
const MOST_UNDRAINED_BYTES = 32 * 1024 * 1024;
/** An inbox of more answers is not kept alive (push-answers.lua), so that it may have gone rather than been drained. */
const KEPT = 1_000;
/** Lists of one request each are looked at from here on: whether somebody has fetched from them. */
const LOOKED_AT_BYTES = MOST_UNDRAINED_BYTES / 4;
/** How many of them at a time. */
const LOOKED_AT_ONCE = 256;
/** What Redis needs for a list besides its answers. */
const LIST_BYTES = 200;
/** Inboxes that are remembered as drained. */
const MOST_INBOXES = 10_000;

interface List {
  bytes: number;
  length: number;
  atMs: number;
}

/**
 * What this worker's answers take in Redis until they are fetched. Who may only publish can name any inbox and fetch from none:
 * an expiry bounds no memory, this does. Whoever has fetched something from an inbox is not kept waiting by that.
 */
export class Undrained {
  readonly #drained = new Set<string>();
  readonly #inboxes = new Map<string, List>();
  readonly #lists = new Map<string, List>();
  #bytes = 0;
  #looking = false;
  /** on the way to Redis (replies.ts) */
  sending = 0;

  /** `isThere`: does a list stand in Redis? */
  constructor(readonly isThere: (key: string) => Promise<boolean>) {}

  /** May an answer of so many bytes be pushed there? */
  allows(key: string, ttlMs: number, bytes: number): boolean {
    this.#forget(this.#inboxes, INBOX_TTL_MS);
    this.#forget(this.#lists, REPLY_TTL_MS);
    const inbox = ttlMs === REPLY_TTL_MS ? undefined : this.#inboxes.get(key);
    if (inbox && inbox.bytes + bytes > MOST_INBOX_BYTES) return false;
    return this.#drained.has(key) || this.#bytes + this.sending + bytes <= MOST_UNDRAINED_BYTES;
  }

  /** `count` answers of so many bytes were pushed behind `before` that were there. */
  pushed(key: string, ttlMs: number, before: number, count: number, bytes: number): void {
    const lists = ttlMs === REPLY_TTL_MS ? this.#lists : this.#inboxes;
    const list = lists.get(key);
    const atMs = performance.now();
    // another worker's answers may be among them: what is left is reckoned by the share of answers that is
    const share = list === undefined ? 0 : Math.min(1, before / list.length);
    if (list && share < 1 && list.length <= KEPT && atMs - list.atMs < INBOX_TTL_MS / 2) this.#isDrained(key);
    const left = list === undefined ? 0 : list.bytes * share;
    const now = { bytes: left + bytes, length: before + count, atMs };
    if (list) this.#drop(lists, key, list);
    lists.set(key, now);
    this.#bytes += this.#drained.has(key) ? 0 : now.bytes + LIST_BYTES;
    if (lists === this.#lists && this.#bytes > LOOKED_AT_BYTES && !this.#looking) void this.#look();
  }

  /** One request's list gets nothing more that would tell that it was fetched from: Redis is asked. */
  async #look(): Promise<void> {
    this.#looking = true;
    const some = [...this.#lists].slice(0, LOOKED_AT_ONCE);
    await Promise.all(
      some.map(async ([key, list]) => {
        const isThere = await this.isThere(key).catch(() => true);
        if (!isThere && this.#lists.get(key) === list) this.#drop(this.#lists, key, list);
      }),
    );
    this.#looking = false;
  }

  #isDrained(key: string): void {
    const list = this.#inboxes.get(key);
    if (this.#drained.has(key) || !list) return;
    this.#bytes -= list.bytes + LIST_BYTES;
    this.#drained.add(key);
    const [oldest] = this.#drained;
    if (this.#drained.size > MOST_INBOXES) this.#drained.delete(oldest as string);
  }

  #drop(lists: Map<string, List>, key: string, { bytes }: List): void {
    lists.delete(key);
    if (!this.#drained.has(key)) this.#bytes = Math.max(0, this.#bytes - bytes - LIST_BYTES);
  }

  /** The oldest stand first. */
  #forget(lists: Map<string, List>, ttlMs: number): void {
    const nowMs = performance.now();
    for (const [key, list] of lists) {
      if (nowMs - list.atMs < ttlMs) return;
      this.#drop(lists, key, list);
    }
  }
}
