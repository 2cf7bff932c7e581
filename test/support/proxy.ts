import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy in front of a server that can be held (bytes wait), released and cut: a network that fails. */
export class FaultyProxy {
  readonly #sockets = new Set<Socket>();
  readonly #answering = new Set<Socket>();
  /** For so long the first answers of a new connection wait. */
  handshakeMs = 0;
  /** New connections end at once. */
  refuses = false;
  #held = false;

  private constructor(
    readonly server: ReturnType<typeof createServer>,
    readonly url: string,
  ) {}

  static async open(target: number): Promise<FaultyProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new FaultyProxy(server, `redis://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('connection', (near) => {
      if (proxy.refuses) return near.destroy();
      const far = connect(target, '127.0.0.1');
      proxy.#answering.add(far);
      far.on('close', () => proxy.#answering.delete(far));
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        proxy.#sockets.add(from);
        from.on('data', (bytes) => to.write(bytes));
        from.on('error', () => {});
        from.on('close', () => {
          proxy.#sockets.delete(from);
          to.destroy();
        });
        if (proxy.#held) from.pause();
      }
      if (proxy.handshakeMs > 0) {
        far.pause();
        setTimeout(() => far.resume(), proxy.handshakeMs);
      }
    });
    return proxy;
  }

  /** Nothing goes through, in neither direction, and no connection ends. */
  hold(): void {
    this.#held = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What is sent goes through; what is answered waits, and is lost by a cut; not on the first `but` connections. */
  holdAnswers(but = 0): void {
    for (const socket of [...this.#answering].slice(but)) socket.pause();
  }

  release(): void {
    this.#held = false;
    for (const socket of this.#sockets) socket.resume();
  }

  /** Ends every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.server.close();
    this.cut();
  }
}
