import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What is done to the bytes of one direction: passed on, kept until later, or dropped. */
type Treatment = 'pass' | 'hold' | 'drop';

interface Pair {
  /** the app's side, and Redis' */
  readonly near: Socket;
  readonly far: Socket;
}

/** A TCP proxy before Redis whose two directions fail apart from each other. */
export class FaultyLink {
  readonly #pairs = new Set<Pair>();
  #requests: Treatment = 'pass';
  #replies: Treatment = 'pass';

  private constructor(
    readonly server: ReturnType<typeof createServer>,
    readonly port: number,
  ) {}

  static async open(target: number): Promise<FaultyLink> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const link = new FaultyLink(server, (server.address() as AddressInfo).port);
    server.on('connection', (near) => link.#join({ near, far: connect(target, '127.0.0.1') }));
    return link;
  }

  #join(pair: Pair): void {
    const { near, far } = pair;
    this.#pairs.add(pair);
    near.on('data', (bytes) => this.#requests === 'pass' && far.write(bytes));
    far.on('data', (bytes) => this.#replies === 'pass' && near.write(bytes));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => {
        if (this.#isHalfOpen && one === far) return;
        this.#pairs.delete(pair);
        other.destroy();
      });
    }
    this.#apply(pair);
  }

  get #isHalfOpen(): boolean {
    return this.#requests === 'drop' && this.#replies === 'drop';
  }

  #apply({ near, far }: Pair): void {
    for (const [socket, treatment] of [
      [near, this.#requests],
      [far, this.#replies],
    ] as const)
      if (treatment === 'hold') socket.pause();
      else socket.resume();
  }

  /** What was held goes on its way when its direction passes again; what was dropped leaves its connections of no use. */
  treat(treatments: { requests?: Treatment; replies?: Treatment }): void {
    const dropped = this.#requests === 'drop' || this.#replies === 'drop';
    this.#requests = treatments.requests ?? 'pass';
    this.#replies = treatments.replies ?? 'pass';
    if (dropped) this.cut();
    for (const pair of this.#pairs) this.#apply(pair);
  }

  /** Ends every connection. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  /** Redis' side ends, and the app is not told; what it sends goes nowhere until treat() is called again. */
  halfOpen(): void {
    this.#requests = this.#replies = 'drop';
    for (const { far } of this.#pairs) far.destroy();
  }

  close(): void {
    this.server.close();
    this.cut();
  }
}
