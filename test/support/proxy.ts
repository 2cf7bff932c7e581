import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy in front of a server that can be held (bytes wait), released and cut: a network that fails. */
export class FaultyProxy {
  readonly #sockets = new Set<Socket>();
  /** The connections to the server. */
  readonly #upstreams = new Set<Socket>();
  /** How long the first answers of a new connection wait. */
  handshakeMs = 0;
  /** Do new connections end at once? */
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
    server.on('connection', (client) => {
      if (proxy.refuses) return client.destroy();
      const upstream = connect(target, '127.0.0.1');
      proxy.#upstreams.add(upstream);
      upstream.on('close', () => proxy.#upstreams.delete(upstream));
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
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
        upstream.pause();
        setTimeout(() => upstream.resume(), proxy.handshakeMs);
      }
    });
    return proxy;
  }

  /** Nothing goes through, in neither direction, and no connection ends. */
  hold(): void {
    this.#held = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What is sent goes through; answers wait, and are lost by a cut. The first `exempt` connections are left alone. */
  holdAnswers(exempt = 0): void {
    for (const socket of [...this.#upstreams].slice(exempt)) socket.pause();
  }

  /** Lets through what waits, and all that follows. */
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
