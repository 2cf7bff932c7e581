import { get, type ClientRequest, type IncomingMessage } from 'node:http';
import { BROWSER } from './site.js';
import { until } from './until.js';

export interface ServerSentEvent {
  readonly event: string;
  readonly data: unknown;
}

/** A browser's EventSource, without its reconnecting: what the stream said so far, and whether it has ended. */
export class OpenedStream {
  readonly events: ServerSentEvent[] = [];
  /** how many comments came (lines with a colon first), as those that keep a connection open */
  comments = 0;
  retryMs: number | undefined;
  hasEnded = false;
  /** Was the connection broken off, rather than the stream ended? */
  wasCut = false;
  #rest = '';

  private constructor(
    readonly request: ClientRequest,
    readonly response: IncomingMessage,
  ) {
    response.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    response.on('end', () => (this.hasEnded = true));
    response.on('error', () => (this.wasCut = true)).on('close', () => (this.hasEnded = true));
  }

  static open(url: string, headers: Record<string, string> = {}): Promise<OpenedStream> {
    return new Promise((resolve, reject) => {
      const request = get(url, {
        agent: false,
        headers: { accept: 'text/event-stream', 'user-agent': BROWSER, ...headers },
      });
      request.once('response', (response) => resolve(new OpenedStream(request, response)));
      request.on('error', reject);
    });
  }

  get status(): number | undefined {
    return this.response.statusCode;
  }

  get last(): unknown {
    return this.events.at(-1)?.data;
  }

  /** Waits until the last event says that so many notifications are unread. */
  async says(count: number, withinMs?: number): Promise<void> {
    const isSaid = () => (this.last as { count?: number } | undefined)?.count === count;
    await until(`${count} unread, now ${JSON.stringify(this.last)}`, isSaid, withinMs);
  }

  async ended(withinMs?: number): Promise<void> {
    await until('the stream has ended', () => this.hasEnded, withinMs);
  }

  close(): void {
    this.request.destroy();
  }

  #read(text: string): void {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() as string;
    for (const block of blocks) {
      const fields = block.split('\n').map((line) => /^([^:]*): ?(.*)$/.exec(line) ?? []);
      const field = (name: string) => fields.find(([, found]) => found === name)?.[2];
      if (field('') !== undefined) this.comments += 1;
      const retry = field('retry');
      if (retry !== undefined) this.retryMs = Number(retry);
      const data = field('data');
      if (data !== undefined) this.events.push({ event: field('event') ?? 'message', data: JSON.parse(data) });
    }
  }
}
