/**
 * What became of a message: it is on its way, as far as is known; nobody listens; the stream is full; or it waits in the stream until the next
 * worker has taken over the partition.
 */
export type PublishResult = 'sent' | 'no-worker' | 'shed' | 'passing';

export interface OutgoingMessage {
  readonly sid: string;
  /** `<command>:<sid>:<rid>`, as protocol.ts makes it. */
  readonly request: string;
  readonly payload: string;
  /** Is called once. Where there is an error, the result says nothing, and the message may have been sent or not. */
  readonly onPublished: (result: PublishResult, error?: unknown) => void;
}

/** How messages leave an Express process: one implementation for each transport. */
export interface Publisher {
  /** Messages of one session arrive in the order in which they were published. */
  publish(message: OutgoingMessage): void;
  /** Names the sessions that probably share a worker with this one: the time-outs of a frozen worker are counted by it. */
  routeOf(sid: string): string;
}

/** Messages of one call, at most: the next is sent while Redis works on it. A PUBLISH takes Redis some 2 µs, an XADD some 3. */
const MAX_BATCH_MESSAGES = 64;
/** Characters of the payloads of one call, at most: 64 payloads of 256 kB in a call held Redis for 25 ms. */
const MAX_BATCH_CHARACTERS = 262_144;

/** Sends the messages that are published in one turn of the event loop in few calls. */
export abstract class BatchingPublisher implements Publisher {
  #waiting: OutgoingMessage[] = [];

  publish(message: OutgoingMessage): void {
    if (this.#waiting.length === 0) setImmediate(() => this.#sendAll());
    this.#waiting.push(message);
  }

  abstract routeOf(sid: string): string;

  /** Sends messages in one call, and gives the result of each, in their order; an error of one message leaves the others alone. */
  protected abstract send(messages: readonly OutgoingMessage[]): Promise<(PublishResult | Error)[]>;

  /** Splits messages into those of each call. */
  protected *batches(messages: readonly OutgoingMessage[]): Generator<readonly OutgoingMessage[]> {
    let [from, characters] = [0, 0];
    for (const [i, { payload }] of messages.entries()) {
      if (i > from && (i - from >= MAX_BATCH_MESSAGES || characters + payload.length > MAX_BATCH_CHARACTERS)) {
        yield messages.slice(from, i);
        [from, characters] = [i, 0];
      }
      characters += payload.length;
    }
    if (from < messages.length) yield messages.slice(from);
  }

  #sendAll(): void {
    const messages = this.#waiting;
    this.#waiting = [];
    for (const batch of this.batches(messages)) void this.#sendBatch(batch);
  }

  async #sendBatch(messages: readonly OutgoingMessage[]): Promise<void> {
    let results: readonly (PublishResult | Error)[] = [];
    let error: unknown;
    try {
      results = await this.send(messages);
    } catch (fault) {
      error = fault;
    }
    for (const [i, { onPublished }] of messages.entries()) {
      const result = results[i] ?? 'sent';
      if (result instanceof Error) onPublished('sent', result);
      else onPublished(result, error);
    }
  }
}
