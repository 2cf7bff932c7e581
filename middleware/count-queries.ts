/** How long a query waits, so that one answers all changes within this time. No visitor sees such a short delay. */
const DEBOUNCE_MS = 30;
/**
 * A change of everybody's list needs the counts of all open streams, perhaps 10,000. With so many queries under way at once
 * Redis always has work, and a page's query, which goes over the same connection, waits behind 32 of these at most.
 */
const MAX_RUNNING = 32;

/** Queries for streams, one at a time for each stream. They are debounced, and few run at once. */
export class CountQueries<Stream> {
  /** Streams whose query has not begun, in their order. */
  readonly #queued = new Set<Stream>();
  /** Streams whose query is under way; true where it has to be repeated after its answer. */
  readonly #running = new Map<Stream, boolean>();
  #timer: NodeJS.Timeout | undefined;

  /** `query` sends the query of one stream, and resolves when its answer has been used. */
  constructor(readonly query: (stream: Stream) => Promise<void>) {}

  /** Is a query of this stream queued or under way? */
  isPending(stream: Stream): boolean {
    return this.#queued.has(stream) || this.#running.has(stream);
  }

  /** Is a query of this stream under way whose answer may be older than what it was asked for? */
  isRepeated(stream: Stream): boolean {
    return this.#running.get(stream) ?? false;
  }

  /**
   * Queues a query for each of these streams. Where one is under way, it is repeated: its answer may be older than this call.
   */
  add(streams: Iterable<Stream>): void {
    for (const stream of streams) {
      if (this.#running.has(stream)) this.#running.set(stream, true);
      else this.#queued.add(stream);
    }
    if (this.#queued.size > 0) this.#timer ??= setTimeout(() => this.#runQueued(), DEBOUNCE_MS).unref();
  }

  /** Begins no further query of this stream. One that is under way goes on. */
  remove(stream: Stream): void {
    this.#queued.delete(stream);
    if (this.#running.has(stream)) this.#running.set(stream, false);
  }

  #runQueued(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const stream of this.#queued) {
      if (this.#running.size >= MAX_RUNNING) return;
      this.#queued.delete(stream);
      this.#running.set(stream, false);
      void this.#run(stream);
    }
  }

  async #run(stream: Stream): Promise<void> {
    try {
      await this.query(stream);
    } finally {
      const isRepeated = this.#running.get(stream);
      this.#running.delete(stream);
      if (isRepeated) this.add([stream]);
      // Where the timer runs, the streams in the queue have not been debounced yet, and it will begin their queries.
      if (!this.#timer) this.#runQueued();
    }
  }
}
