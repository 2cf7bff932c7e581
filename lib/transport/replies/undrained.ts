import { INBOX_TTL_MS, REPLY_TTL_MS } from '../protocol.js';

/** One inbox holds so many bytes of unfetched answers at most: 64 answers of a year's activity are 67 MB. */
const MAX_INBOX_BYTES = 96 * 1024 * 1024;
/** All lists together that are not known to be drained hold so many bytes at most. */
const MAX_UNDRAINED_BYTES = 32 * 1024 * 1024;
/** Above so many answers an inbox's expiry is not renewed (push-answers.lua): that it got shorter may mean that it expired. */
const RENEWED_LENGTH = 1_000;
/** From so many bytes on, Redis is asked whether somebody has fetched from the lists of single requests. */
const CHECKED_FROM_BYTES = MAX_UNDRAINED_BYTES / 4;
/** Redis is asked about so many lists at a time, the oldest ones: one command each, in one round trip. */
const LISTS_PER_CHECK = 256;
/** About how many bytes Redis needs for a list and its key, besides the answers. */
const LIST_BYTES = 200;
/** So many inboxes are remembered as drained. */
const MAX_INBOXES = 10_000;

/** A list as it was after this worker's last push. */
interface List {
  readonly bytes: number;
  /** How many answers. */
  readonly length: number;
  readonly pushedMs: number;
}

/**
 * Bounds the memory that this worker's answers take in Redis until they are fetched: whoever may publish can name any number of
 * inboxes, and fetch from none. Once somebody has been seen to fetch from an inbox, it counts as drained, with its own bound.
 */
export class Undrained {
  /** The keys of the inboxes that are drained. */
  readonly #drained = new Set<string>();
  /** By key; first the list to which the last push is longest ago. */
  readonly #inboxes = new Map<string, List>();
  /** The lists of single requests, in the same order. */
  readonly #requestLists = new Map<string, List>();
  /** What all lists take that are not drained. */
  #undrainedBytes = 0;
  #isChecking = false;
  /** How many bytes of answers wait to be pushed or are being pushed (push.ts). */
  sending = 0;

  /** `exists`: does Redis have the list? */
  constructor(readonly exists: (key: string) => Promise<boolean>) {}

  /** May an answer of so many bytes be pushed there? A list of REPLY_TTL_MS is a single request's, any other is an inbox. */
  allows(key: string, ttlMs: number, bytes: number): boolean {
    this.#forgetExpired(this.#inboxes, INBOX_TTL_MS);
    this.#forgetExpired(this.#requestLists, REPLY_TTL_MS);
    const inbox = ttlMs === REPLY_TTL_MS ? undefined : this.#inboxes.get(key);
    if (inbox && inbox.bytes + bytes > MAX_INBOX_BYTES) return false;
    return this.#drained.has(key) || this.#undrainedBytes + this.sending + bytes <= MAX_UNDRAINED_BYTES;
  }

  /** To be told of each push: `count` answers of so many bytes now stand behind `before` others. */
  pushed(key: string, ttlMs: number, before: number, count: number, bytes: number): void {
    const lists = ttlMs === REPLY_TTL_MS ? this.#requestLists : this.#inboxes;
    const list = lists.get(key);
    const pushedMs = performance.now();
    // Which share of this worker's answers was still there, by number: another worker's may be among the answers that are left.
    const share = list === undefined ? 0 : Math.min(1, before / list.length);
    // There were fewer answers than after the last push, and they can't have expired: somebody has fetched some.
    if (list && share < 1 && list.length <= RENEWED_LENGTH && pushedMs - list.pushedMs < INBOX_TTL_MS / 2)
      this.#setDrained(key);
    const bytesBefore = list === undefined ? 0 : list.bytes * share;
    const now = { bytes: bytesBefore + bytes, length: before + count, pushedMs };
    // Dropped first, so that it becomes the last one of the map.
    if (list) this.#drop(lists, key, list);
    lists.set(key, now);
    this.#undrainedBytes += this.#drained.has(key) ? 0 : now.bytes + LIST_BYTES;
    if (lists === this.#requestLists && this.#undrainedBytes > CHECKED_FROM_BYTES && !this.#isChecking)
      void this.#check();
  }

  /** A single request's list gets one push, so no later push can show that it was fetched: Redis is asked which are gone. */
  async #check(): Promise<void> {
    this.#isChecking = true;
    const oldest = [...this.#requestLists].slice(0, LISTS_PER_CHECK);
    await Promise.all(
      oldest.map(async ([key, list]) => {
        const exists = await this.exists(key).catch(() => true);
        if (!exists && this.#requestLists.get(key) === list) this.#drop(this.#requestLists, key, list);
      }),
    );
    this.#isChecking = false;
  }

  #setDrained(key: string): void {
    const list = this.#inboxes.get(key);
    if (this.#drained.has(key) || !list) return;
    this.#undrainedBytes -= list.bytes + LIST_BYTES;
    this.#drained.add(key);
    if (this.#drained.size <= MAX_INBOXES) return;
    const [oldest] = this.#drained as Iterable<string> as [string];
    this.#drained.delete(oldest);
    const listOfOldest = this.#inboxes.get(oldest);
    if (listOfOldest) this.#undrainedBytes += listOfOldest.bytes + LIST_BYTES;
  }

  #drop(lists: Map<string, List>, key: string, { bytes }: List): void {
    lists.delete(key);
    if (!this.#drained.has(key)) this.#undrainedBytes = Math.max(0, this.#undrainedBytes - bytes - LIST_BYTES);
  }

  /** Forgets the lists that have expired. */
  #forgetExpired(lists: Map<string, List>, ttlMs: number): void {
    const nowMs = performance.now();
    for (const [key, list] of lists) {
      if (nowMs - list.pushedMs < ttlMs) return;
      this.#drop(lists, key, list);
    }
  }
}
