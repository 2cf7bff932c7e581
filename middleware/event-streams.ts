import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * If more bytes than these are still in this process, since the browser does not read, the next write destroys the connection. One event
 * may be of any size; a count takes some forty bytes.
 */
const MAX_UNSENT_BYTES = 16_384;
/** How many streams one turn of the event loop writes to: that takes some milliseconds, and pages are served between turns. */
const WRITES_A_TURN = 100;
/** When a browser whose stream ended comes back: after this, and a random part of the spread, so that not all come at once. */
const RETRY_MS = 2_000;
const RETRY_SPREAD_MS = 4_000;

/** An open stream of server-sent events. There may be ten thousand, so a subclass adds a few fields, and no closures. */
export class EventStream {
  /** The event that is written next; a later one replaces it until then. Undefined: none waits. */
  nextEvent: string | undefined;
  /**
   * When the oldest bytes were written that may still be in this process, in half heartbeats: 2n at the n-th heartbeat, 2n + 1 between it
   * and the next one.
   */
  bufferedSince = 0;

  constructor(readonly res: ServerResponse) {}
}

/** Why a connection was destroyed: its browser does not read, or it failed. */
export type Cut = 'slow' | 'failed';

export interface EventStreamHooks<Stream> {
  /** The stream is open no longer, whoever ended it. */
  closed(stream: Stream): void;
  /** A heartbeat is due, and goes out after this call. */
  beat(): void;
  /** An event was written. */
  sent(): void;
  cut(why: Cut): void;
}

/**
 * The open streams of server-sent events of one handler (https://html.spec.whatwg.org/multipage/server-sent-events.html): their
 * headers, one timer for all heartbeats, and what is done with a browser that does not read. Knows nothing of what is sent.
 */
export class EventStreams<Stream extends EventStream> {
  readonly #open = new Map<ServerResponse, Stream>();
  /** Streams that have something to send. */
  #waiting = new Set<Stream>();
  #isFlushing = false;
  #beats = 0;
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

  /**
   * Sends the headers. False: no stream is open, since the connection is gone already, or since the request is a HEAD, which
   * asks for the headers alone.
   */
  open(stream: Stream, isHead = false): boolean {
    const { res } = stream;
    if (isGone(res)) return false;
    res.statusCode = 200;
    for (const [name, value] of HEADERS) res.setHeader(name, value);
    if (isHead) {
      endWithoutSession(res);
      return false;
    }
    // The server's time limit for idle connections does not apply, over HTTP/2 that for idle streams.
    res.setTimeout(0);
    this.#open.set(res, stream);
    stream.bufferedSince = this.#now;
    res.once('close', this.#onClose).on('error', this.#onError);
    res.flushHeaders();
    this.#write(stream, `retry: ${RETRY_MS + Math.floor(Math.random() * RETRY_SPREAD_MS)}\n\n`);
    this.#heartbeat ??= setInterval(() => this.#beat(), this.heartbeatMs).unref();
    return true;
  }

  /** Sends an event soon. Of several events that a stream gets before it is written to, only the last is sent. */
  send(stream: Stream, event: string, data: unknown): void {
    if (!this.#open.has(stream.res)) return;
    stream.nextEvent = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    this.#waiting.add(stream);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    setImmediate(this.#flush);
  }

  /** Ends a stream, without an event that waits; its browser opens another one. */
  end(stream: Stream): void {
    const { res } = stream;
    if (this.#remove(res) && isWritable(res)) endWithoutSession(res);
  }

  endAll(): void {
    for (const stream of this.#open.values()) this.end(stream);
  }

  readonly #flush = (): void => {
    let writesLeft = WRITES_A_TURN;
    for (const stream of this.#waiting) {
      if (writesLeft-- === 0) {
        setImmediate(this.#flush);
        return;
      }
      this.#waiting.delete(stream);
      const { nextEvent } = stream;
      stream.nextEvent = undefined;
      if (nextEvent !== undefined && this.#write(stream, nextEvent)) this.hooks.sent();
    }
    this.#isFlushing = false;
  };

  /** The present time as `bufferedSince` has it. */
  get #now(): number {
    return 2 * this.#beats + 1;
  }

  #write(stream: Stream, text: string, now = this.#now): boolean {
    const { res } = stream;
    if (!isWritable(res)) return false;
    if (res.writableLength > MAX_UNSENT_BYTES) {
      this.#cut(stream, 'slow');
      return false;
    }
    if (res.writableLength === 0) stream.bufferedSince = now;
    res.write(text);
    // A middleware that compresses in spite of `no-transform` holds what is written until it is told to flush it.
    (res as { flush?: () => void }).flush?.();
    return true;
  }

  #beat(): void {
    this.hooks.beat();
    this.#beats++;
    const now = 2 * this.#beats;
    const streams = this.#open.values();
    const beatSome = () => {
      for (let writes = 0; writes < WRITES_A_TURN; writes++) {
        const { done, value: stream } = streams.next();
        if (done) return;
        // TLS holds what was written until the next turn of the event loop, so bytes that were written since the last heartbeat say
        // nothing. Where this process has had some at all times since then, the browser reads nothing, or too slowly.
        if (stream.res.writableLength > 0 && stream.bufferedSince <= now - 2) this.#cut(stream, 'slow');
        else this.#write(stream, ':\n\n', now);
      }
      setImmediate(beatSome);
    };
    beatSome();
  }

  #cut(stream: Stream, why: Cut): void {
    if (!this.#remove(stream.res)) return;
    this.hooks.cut(why);
    stream.res.destroy();
  }

  /** Takes a stream off the open ones. False: it was not among them. */
  #remove(res: ServerResponse): boolean {
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

  readonly #onClose = this.#listener((res) => void this.#remove(res));
  readonly #onError = this.#listener((res) => {
    if (!this.#remove(res)) return;
    this.hooks.cut('failed');
    res.destroy();
  });

  /** Makes one listener for all responses: each is its `this`. */
  #listener(act: (res: ServerResponse) => void) {
    return function (this: ServerResponse): void {
      act(this);
    };
  }
}

/**
 * `no-transform` keeps a compressing middleware or proxy from holding events back, and `X-Accel-Buffering` keeps nginx from it.
 * There is no `Connection`, which HTTP/2 forbids.
 */
const HEADERS = [
  ['Content-Type', 'text/event-stream; charset=utf-8'],
  ['Cache-Control', 'no-cache, no-store, no-transform'],
  ['X-Accel-Buffering', 'no'],
] as const;

/**
 * Ends a response without its session, of which express-session would store this request's old copy, perhaps after another request
 * has logged out. With `unset: 'destroy'` it would destroy a session that is gone while its id is there, so both go. They are back
 * for whoever looks when the response has ended, and no sooner: a middleware that compresses calls express-session's end() later.
 */
function endWithoutSession(res: ServerResponse): void {
  const { req } = res as { req?: IncomingMessage & { session?: unknown; sessionID?: unknown } };
  if (req?.session) {
    const { session, sessionID } = req;
    const restore = () => void Object.assign(req, { session, sessionID });
    res.prependOnceListener('finish', restore).prependOnceListener('close', restore);
    Object.assign(req, { session: undefined, sessionID: undefined });
  }
  res.end();
}

/** Is the connection gone? HTTP/2's responses say that by their stream alone. */
function isGone(res: ServerResponse): boolean {
  const { stream } = res as { stream?: { destroyed?: boolean } };
  return res.destroyed || res.closed || stream?.destroyed === true;
}

const isWritable = (res: ServerResponse): boolean => !isGone(res) && !res.writableEnded;
