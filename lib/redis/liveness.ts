import type { Redis } from 'ioredis';
import { loopNowMs, onLoopTick } from './loop-clock.js';

/** A connection on which nothing has arrived for so long is asked with a PING: sooner where commands wait for answers. */
const PING_BUSY_MS = 500;
const PING_IDLE_MS = 1_000;
/** A PING that has no answer after so long, while nothing else arrives either, means a dead connection. */
const UNANSWERED_MS = 1_500;
/** A blocking command answers at least twice a second, and so does a handshake: nothing at all for so long is the same. */
const SILENT_MS = 2_000;
/** How long the network may take to connect. */
const CONNECT_MS = 3_000;
/** The distance is the shortest of so many round trips: the others were waiting for something. */
const ROUND_TRIPS = 8;
const MEASURE_EVERY_MS = 10_000;

/** What a connection that was judged dead ends with. */
export class DeadConnectionError extends Error {
  override readonly name = 'DeadConnectionError';
  constructor(silentMs: number) {
    super(`nothing was received for ${Math.round(silentMs)} ms, and a PING got no answer`);
  }
}

/**
 * Ends connections on which nothing arrives any more, so that ioredis makes new ones: by an unanswered PING, never because
 * one command is slow. All times are the loop's (loop-clock.ts), so a stall of this process is not held against Redis.
 */
export class Liveness {
  readonly #stop: () => void;
  readonly #roundTripsMs: number[] = [];
  /** The shortest of the last round trips, ms: how far away Redis is, whatever it is busy with. */
  distanceMs = 0;
  #stream: Redis['stream'] | undefined;
  #bytesRead = 0;
  /** since when nothing was received */
  #silentSinceMs = loopNowMs();
  #pingSentMs: number | undefined;
  #measuredMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly client: Redis,
    /** a connection that waits in blocking commands can't be asked with a PING */
    readonly blocking: boolean,
  ) {
    this.#stop = onLoopTick(() => this.#check());
    client.on('end', this.#stop);
    let connectedMs = loopNowMs();
    client.on('connect', () => {
      connectedMs = loopNowMs();
      this.#roundTripsMs.length = 0; // perhaps another server
    });
    client.on('ready', () => {
      // two round trips: HELLO, and INFO for the ready check
      this.#roundTrip((loopNowMs() - connectedMs) / 2);
      if (!blocking) this.#ping();
    });
  }

  #check(): void {
    const { client } = this;
    const { stream } = client;
    const nowMs = loopNowMs();
    if (stream !== this.#stream || stream?.bytesRead !== this.#bytesRead) {
      if (stream !== this.#stream) this.#pingSentMs = undefined;
      this.#stream = stream;
      this.#bytesRead = stream?.bytesRead ?? 0;
      this.#silentSinceMs = nowMs;
    }
    if (!stream || stream.destroyed) {
      this.#silentSinceMs = nowMs;
      return;
    }
    const silentMs = nowMs - this.#silentSinceMs;
    if (client.status === 'connecting') {
      if (silentMs >= CONNECT_MS) stream.destroy(new DeadConnectionError(silentMs));
    } else if (client.status !== 'ready' || this.blocking) {
      if (silentMs >= SILENT_MS) stream.destroy(new DeadConnectionError(silentMs));
    } else if (this.#pingSentMs === undefined) {
      const waiting = (client as unknown as { commandQueue: { length: number } }).commandQueue.length > 0;
      if (silentMs >= (waiting ? PING_BUSY_MS : PING_IDLE_MS) || nowMs - this.#measuredMs >= MEASURE_EVERY_MS)
        this.#ping();
    } else if (silentMs >= UNANSWERED_MS && nowMs - this.#pingSentMs >= UNANSWERED_MS) {
      stream.destroy(new DeadConnectionError(silentMs));
    }
  }

  #ping(): void {
    const sentMs = loopNowMs();
    const done = () => {
      if (this.#pingSentMs === sentMs) this.#pingSentMs = undefined;
    };
    this.#pingSentMs = sentMs;
    this.#measuredMs = sentMs;
    this.client.ping().then(() => {
      done();
      this.#roundTrip(loopNowMs() - sentMs);
    }, done);
  }

  #roundTrip(ms: number): void {
    this.#roundTripsMs.push(ms);
    if (this.#roundTripsMs.length > ROUND_TRIPS) this.#roundTripsMs.shift();
    this.distanceMs = Math.min(...this.#roundTripsMs);
  }
}
