import type { IncomingMessage, ServerResponse } from 'node:http';

/** What is not read by its browser, per stream; beyond it the stream is ended. A count takes some forty bytes. */
const MAX_UNSENT_BYTES = 16_384;
/** So many streams are written to in one turn of the event loop: some ten milliseconds. */
const WRITES_A_TURN = 500;
/** A browser whose connection was lost comes back after so long, each after another time. */
const RETRY_MS = 2_000;
const RETRY_SPREAD_MS = 4_000;

/** An open stream of server-sent events. There may be ten thousand, so whoever has one adds a few fields, and no closure. */
export class EventStream {
  /** What is sent next; what was not sent yet is replaced by what came later. Undefined: nothing. */
  unsent: string | undefined;

  constructor(readonly res: ServerResponse) {}
}

/** A stream is not read by its browser, or its connection failed. */
export type Cut = 'slow' | 'failed';

export interface EventStreamHooks<Stream> {
  /** The stream is not there any more, whoever ended it. */
  closed(stream: Stream): void;
  /** The heartbeat is due; it goes out whatever this does. */
  beat(): void;
  sent(): void;
  cut(why: Cut): void;
}

/**
 * The open streams of server-sent events of a process (https://html.spec.whatwg.org/multipage/server-sent-events.html): their headers, one
 * timer for all heartbeats, and what is done with a browser that does not read. Knows nothing of what is sent.
 */
export class EventStreams<Stream extends EventStream> {
  readonly #open = new Map<ServerResponse, Stream>();
  /** Streams that have something to send. */
  #waiting = new Set<Stream>();
  #isFlushing = false;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(
    readonly heartbeatMs: number,
    readonly hooks: EventStreamHooks<Stream>,
  ) {}

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): IterableIterator<Stream> {
    return this.#open.values();
  }

  has(stream: Stream): boolean {
    return this.#open.has(stream.res);
  }

  /**
   * Sends the headers. Where the connection is gone already there is no stream, nor for a HEAD, which asks for the headers alone: then
   * this gives false.
   */
  open(stream: Stream, isHead = false): boolean {
    const { res } = stream;
    if (res.destroyed || res.closed) return false;
    res.statusCode = 200;
    for (const [name, value] of HEADERS) res.setHeader(name, value);
    if (isHead) {
      endWithoutSession(res);
      return false;
    }
    // A time limit of the server's for idle connections is not meant for this one.
    res.setTimeout(0);
    this.#open.set(res, stream);
    res.once('close', this.#onClose).on('error', this.#onError);
    res.flushHeaders();
    this.#write(stream, `retry: ${RETRY_MS + Math.floor(Math.random() * RETRY_SPREAD_MS)}\n\n`);
    this.#heartbeat ??= setInterval(() => this.#beat(), this.heartbeatMs).unref();
    return true;
  }

  /** Sends an event, soon: of what is sent in one turn of the event loop, and of what a browser was too slow for, the last is sent. */
  send(stream: Stream, event: string, data: unknown): void {
    if (!this.#open.has(stream.res)) return;
    stream.unsent = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    this.#waiting.add(stream);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    setImmediate(this.#flush);
  }

  /** Ends a stream: the browser comes back. */
  end(stream: Stream): void {
    const { res } = stream;
    if (this.#forget(res) && isWritable(res)) endWithoutSession(res);
  }

  endAll(): void {
    for (const stream of this.#open.values()) this.end(stream);
  }

  readonly #flush = (): void => {
    let turn = WRITES_A_TURN;
    for (const stream of this.#waiting) {
      if (turn-- === 0) {
        setImmediate(this.#flush);
        return;
      }
      this.#waiting.delete(stream);
      const { unsent } = stream;
      stream.unsent = undefined;
      if (unsent !== undefined && this.#write(stream, unsent)) this.hooks.sent();
    }
    this.#isFlushing = false;
  };

  #write(stream: Stream, text: string): boolean {
    const { res } = stream;
    if (!isWritable(res)) return false;
    if (unsentBytes(res) > MAX_UNSENT_BYTES) {
      this.#cut(stream, 'slow');
      return false;
    }
    res.write(text);
    // A middleware that compresses in spite of `no-transform` has to be told that there is no more to come.
    (res as { flush?: () => void }).flush?.();
    return true;
  }

  #beat(): void {
    this.hooks.beat();
    const streams = this.#open.values();
    const beatSome = () => {
      for (let turn = 0; turn < WRITES_A_TURN; turn++) {
        const { done, value: stream } = streams.next();
        if (done) return;
        // What was written a heartbeat ago is still here: nobody reads on the other side.
        if (unsentBytes(stream.res) > 0) this.#cut(stream, 'slow');
        else this.#write(stream, ':\n\n');
      }
      setImmediate(beatSome);
    };
    beatSome();
  }

  #cut(stream: Stream, why: Cut): void {
    if (!this.#forget(stream.res)) return;
    this.hooks.cut(why);
    stream.res.destroy();
  }

  #forget(res: ServerResponse): boolean {
    const stream = this.#open.get(res);
    if (!stream) return false;
    this.#open.delete(res);
    this.#waiting.delete(stream);
    if (this.#open.size === 0) {
      clearInterval(this.#heartbeat);
      this.#heartbeat = undefined;
    }
    this.hooks.closed(stream);
    return true;
  }

  readonly #onClose = this.#listener((res) => void this.#forget(res));
  readonly #onError = this.#listener((res) => {
    if (!this.#forget(res)) return;
    this.hooks.cut('failed');
    res.destroy();
  });

  /** One function for the events of all responses. */
  #listener(act: (res: ServerResponse) => void) {
    return function (this: ServerResponse): void {
      act(this);
    };
  }
}

/**
 * `no-transform` keeps a compressing middleware or proxy from holding events back, `X-Accel-Buffering` nginx. There is no `Connection`,
 * which HTTP/2 forbids, and nothing that could be cached.
 */
const HEADERS = [
  ['Content-Type', 'text/event-stream; charset=utf-8'],
  ['Cache-Control', 'no-cache, no-store, no-transform'],
  ['X-Accel-Buffering', 'no'],
] as const;

/** express-session would store the session again, as it was when the stream was opened: perhaps after a logout. */
function endWithoutSession(res: ServerResponse): void {
  const req = (res as { req?: IncomingMessage & { session?: unknown } }).req;
  const session = req?.session;
  if (!req || session === undefined) {
    res.end();
    return;
  }
  req.session = undefined;
  try {
    res.end();
  } finally {
    req.session = session;
  }
}

const isWritable = (res: ServerResponse): boolean => !res.destroyed && !res.closed && !res.writableEnded;

/** What is still in this process. HTTP/2's responses have it at their stream. */
const unsentBytes = (res: ServerResponse): number =>
  res.writableLength ?? (res as { stream?: { writableLength: number } }).stream?.writableLength ?? 0;
