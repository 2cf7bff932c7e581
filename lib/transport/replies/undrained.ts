import { INBOX_TTL_MS, REPLY_TTL_MS } from '../protocol.js';

/** One inbox that is slow to be drained holds so many bytes at most: 64 answers of a year's activity are 67 MB. */
const MAX_INBOX_BYTES = 96 * 1024 * 1024;
/** All lists together from which nobody has been seen to fetch anything hold so many bytes at most. */
const MAX_UNDRAINED_BYTES = 32 * 1024 * 1024;
/** The expiry of an inbox with more answers is not renewed (push-answers.lua), so one that is shorter than before may have expired meanwhile. */
const RENEWED_LENGTH = 1_000;
/** From so many bytes on, Redis is asked whether somebody has fetched from the lists of single requests. */
const CHECKED_FROM_BYTES = MAX_UNDRAINED_BYTES / 4;
/** Redis is asked about so many lists at a time, the oldest ones: one command each, in one round trip. */
const LISTS_PER_CHECK = 256;
/** Some bytes that Redis needs for a list and its key, besides the answers. */
const LIST_BYTES = 200;
/** So many inboxes are remembered as drained. */
const MAX_INBOXES = 10_000;

/** A list as it was after the last push. */
interface List {
  readonly bytes: number;
  readonly length: number;
  readonly pushedMs: number;
}

/**
 * Bounds what this worker's answers take in Redis until they are fetched. Whoever may publish can name any inbox, and fetch from
 * none; that the lists expire bounds no memory. An inbox from which somebody has been seen to fetch has a bound of its own.
 */
export class Undrained {
  /** The inboxes from which somebody has been seen to fetch. */
  readonly #drained = new Set<string>();
  /** By key, the list first that was pushed to longest ago. */
  readonly #inboxes = new Map<string, List>();
  /** The lists of single requests, in the same order. */
  readonly #lists = new Map<string, List>();
  /** In all lists that are not drained. */
  #bytes = 0;
  #isChecking = false;
  /** How many bytes are on their way to Redis (push.ts). */
  sending = 0;

  /** `exists`: does Redis have the list? */
  constructor(readonly exists: (key: string) => Promise<boolean>) {}

  /** May an answer of so many bytes be pushed there? A list that expires after REPLY_TTL_MS is one of a single request, another is an inbox. */
  allows(key: string, ttlMs: number, bytes: number): boolean {
    this.#forget(this.#inboxes, INBOX_TTL_MS);
    this.#forget(this.#lists, REPLY_TTL_MS);
    const inbox = ttlMs === REPLY_TTL_MS ? undefined : this.#inboxes.get(key);
    if (inbox && inbox.bytes + bytes > MAX_INBOX_BYTES) return false;
    return this.#drained.has(key) || this.#bytes + this.sending + bytes <= MAX_UNDRAINED_BYTES;
  }

  /** To be told of each push: `count` answers of so many bytes now stand behind `before` others. */
  pushed(key: string, ttlMs: number, before: number, count: number, bytes: number): void {
    const lists = ttlMs === REPLY_TTL_MS ? this.#lists : this.#inboxes;
    const list = lists.get(key);
    const pushedMs = performance.now();
    // Another worker's answers may be among those that are left: their bytes are estimated by their number.
    const share = list === undefined ? 0 : Math.min(1, before / list.length);
    // Fewer answers stand there than after the last push, and they can't have expired since: somebody has fetched some.
    if (list && share < 1 && list.length <= RENEWED_LENGTH && pushedMs - list.pushedMs < INBOX_TTL_MS / 2)
      this.#setDrained(key);
    const left = list === undefined ? 0 : list.bytes * share;
    const now = { bytes: left + bytes, length: before + count, pushedMs };
    if (list) this.#drop(lists, key, list);
    lists.set(key, now);
    this.#bytes += this.#drained.has(key) ? 0 : now.bytes + LIST_BYTES;
    if (lists === this.#lists && this.#bytes > CHECKED_FROM_BYTES && !this.#isChecking) void this.#check();
  }

  /** Nothing more is pushed to a single request's list, so no push tells that it was fetched from: Redis is asked. */
  async #check(): Promise<void> {
    this.#isChecking = true;
    const oldest = [...this.#lists].slice(0, LISTS_PER_CHECK);
    await Promise.all(
      oldest.map(async ([key, list]) => {
        const exists = await this.exists(key).catch(() => true);
        if (!exists && this.#lists.get(key) === list) this.#drop(this.#lists, key, list);
      }),
    );
    this.#isChecking = false;
  }

  #setDrained(key: string): void {
    const list = this.#inboxes.get(key);
    if (this.#drained.has(key) || !list) return;
    this.#bytes -= list.bytes + LIST_BYTES;
    this.#drained.add(key);
    const [oldest] = this.#drained;
    if (this.#drained.size > MAX_INBOXES) this.#drained.delete(oldest as string);
  }

  #drop(lists: Map<string, List>, key: string, { bytes }: List): void {
    lists.delete(key);
    if (!this.#drained.has(key)) this.#bytes = Math.max(0, this.#bytes - bytes - LIST_BYTES);
  }

  /** Forgets the lists that have expired. */
  #forget(lists: Map<string, List>, ttlMs: number): void {
    const nowMs = performance.now();
    for (const [key, list] of lists) {
      if (nowMs - list.pushedMs < ttlMs) return;
      this.#drop(lists, key, list);
    }
  }
}
