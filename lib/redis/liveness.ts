import { TLSSocket } from 'node:tls';
import type { Redis } from 'ioredis';
import { loopNowMs, onLoopTick } from './loop-clock.js';
import type { RedisTarget } from './target.js';

/** A PING is sent when nothing has arrived for this long: BUSY while commands wait for answers, IDLE while none does. */
const PING_BUSY_MS = 500;
const PING_IDLE_MS = 1_000;
/** When neither a PING's answer nor anything else has arrived for this long, the connection counts as dead. */
const UNANSWERED_MS = 1_500;
/** A connection in a blocking command (0.5 s at most) or in a handshake counts as dead after this much silence. */
const SILENT_MS = 2_000;
/** How long connecting may take where `connectTimeout` has ioredis' default: then the caller is taken not to have set it. */
const CONNECT_MS = 3_000;
const IOREDIS_DEFAULT_CONNECT_MS = 10_000;
/** The distance to Redis is the shortest of the last this many round trips: the longer ones waited for something else. */
const ROUND_TRIPS = 8;
/** A round trip is measured at least this often, also while much arrives; not while a blocking command waits. */
const MEASURE_INTERVAL_MS = 10_000;

/** The error with which a dead connection is ended. */
export class DeadConnectionError extends Error {
  override readonly name = 'DeadConnectionError';
  constructor(silentMs: number, reason: string) {
    super(`nothing was received for ${Math.round(silentMs)} ms: ${reason}`);
  }
}

function reasonOfSilence(stream: Redis['stream'], wasPinged: boolean): string {
  if (stream.connecting) return 'the connection was not accepted';
  // a Redis without TLS may read the beginning of a handshake as an unfinished command, and wait for the rest of it
  if (stream instanceof TLSSocket && stream.getPeerFinished() === undefined)
    return 'TLS was asked for, and the other side does not speak TLS';
  return wasPinged ? 'a PING got no answer' : 'a command got no answer';
}

/**
 * Ends connections on which nothing arrives any more, so that ioredis makes new ones. The reason is always that nothing
 * arrived at all, no answer to a PING either; how long a command takes is not looked at. Times are the event loop's
 * (loop-clock.ts), so that a stall of this process does not count.
 */
class Liveness {
  readonly #stop: () => void;
  readonly #roundTripsMs: number[] = [];
  /** The distance to Redis: the shortest of the last round trips, ms, so that the time of a busy Redis does not count. */
  distanceMs = 0;
  #stream: Redis['stream'] | undefined;
  #bytesRead = 0;
  /** When this connection last received something. */
  #silentSinceMs = loopNowMs();
  /** The last time at which no command waited for an answer. */
  #lastIdleMs = loopNowMs();
  /** When a PING was sent, if nothing has arrived since. That a time limit has rejected the PING is no answer. */
  #pingSentMs: number | undefined;
  #lastPingMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly client: Redis,
    /** Is it a connection for blocking commands? While it waits in one, it answers no PING. */
    readonly blocking: boolean,
  ) {
    this.#stop = onLoopTick(() => this.#check());
    client.on('end', this.#stop);
    let connectedMs = loopNowMs();
    client.on('connect', () => {
      connectedMs = loopNowMs();
      this.#roundTripsMs.length = 0; // this may be another server, at another distance
    });
    client.on('ready', () => {
      // since `connect` there were two round trips: HELLO, and INFO for the ready check
      this.#noteRoundTrip((loopNowMs() - connectedMs) / 2);
      if (!blocking) this.#ping();
    });
  }

  #check(): void {
    const { client } = this;
    const { stream } = client;
    const nowMs = loopNowMs();
    if (stream !== this.#stream || stream?.bytesRead !== this.#bytesRead) {
      this.#pingSentMs = undefined;
      this.#stream = stream;
      this.#bytesRead = stream?.bytesRead ?? 0;
      this.#silentSinceMs = nowMs;
    }
    if (!stream || stream.destroyed) {
      this.#silentSinceMs = nowMs;
      return;
    }
    const silentMs = nowMs - this.#silentSinceMs;
    const isAnswerDue = (client as unknown as { commandQueue: { length: number } }).commandQueue.length > 0;
    if (!isAnswerDue) this.#lastIdleMs = nowMs;
    if (client.status === 'connecting') {
      // a limit that the caller has set is kept by ioredis
      if (silentMs >= CONNECT_MS && client.options.connectTimeout === IOREDIS_DEFAULT_CONNECT_MS)
        this.#destroy(silentMs);
    } else if (client.status !== 'ready' || !stream.writable) {
      // Where the other side has ended the connection, no command can be written, and the socket closes only once the other
      // side has read what was written before.
      if (silentMs >= SILENT_MS) this.#destroy(silentMs);
    } else if (this.#pingSentMs !== undefined) {
      if (Math.min(silentMs, nowMs - this.#pingSentMs) >= UNANSWERED_MS) this.#destroy(silentMs);
    } else if (this.blocking && isAnswerDue) {
      if (Math.min(silentMs, nowMs - this.#lastIdleMs) >= SILENT_MS) this.#destroy(silentMs);
    } else if (
      silentMs >= (isAnswerDue ? PING_BUSY_MS : PING_IDLE_MS) ||
      nowMs - this.#lastPingMs >= MEASURE_INTERVAL_MS
    ) {
      this.#ping();
    }
  }

  #destroy(silentMs: number): void {
    const { stream } = this.client;
    stream.destroy(new DeadConnectionError(silentMs, reasonOfSilence(stream, this.#pingSentMs !== undefined)));
  }

  #ping(): void {
    const sentMs = loopNowMs();
    this.#pingSentMs = sentMs;
    this.#lastPingMs = sentMs;
    this.client.ping().then(
      () => this.#noteRoundTrip(loopNowMs() - sentMs),
      () => {},
    );
  }

  #noteRoundTrip(ms: number): void {
    this.#roundTripsMs.push(ms);
    if (this.#roundTripsMs.length > ROUND_TRIPS) this.#roundTripsMs.shift();
    this.distanceMs = Math.min(...this.#roundTripsMs);
  }
}

const watched = new WeakMap<Redis, Liveness>();

/** Watches a connection until it has ended for good; `blocking` says that it waits in blocking commands. */
export function watchLiveness(client: Redis, blocking = false): void {
  watched.set(client, new Liveness(client, blocking));
}

type Servers = Pick<RedisTarget, 'masters'>;

/**
 * The distance to Redis in ms: the shortest of the last round trips; where there are several servers, that to the farthest
 * one.
 */
export const distanceMsOf = (target: Servers): number =>
  Math.max(0, ...target.masters().map((client) => watched.get(client)?.distanceMs ?? 0));

/** A new connection takes some four round trips: TCP, TLS, AUTH and INFO. */
export const CONNECT_ROUND_TRIPS = 4;
/** About the longest pause before ioredis connects again (retryStrategy in roles.ts). */
const RECONNECT_PAUSE_MS = 250;

/** How long a lost connection may take until it is ready again, ms. */
export const reconnectMsOf = (target: Servers & Pick<RedisTarget, 'connectRoundTrips'>): number =>
  RECONNECT_PAUSE_MS + target.connectRoundTrips * distanceMsOf(target);
