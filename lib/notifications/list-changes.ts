import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { redisFault } from '../errors/errors.js';
import { endConnection, reconnect } from '../redis/end-connection.js';
import type { RedisTarget } from '../redis/target.js';
import { type Change, changesChannel, parseChange, type Recipient } from '../transport/protocol.js';

export type ChangeListener = (change: Change) => void;

interface ListChangesEvents {
  /** All followed channels are subscribed to. Messages that were published while they were not are lost. */
  ready: [];
  /** The subscription is lost: no messages arrive until `ready`. */
  lost: [];
  /** A subscription was refused, and is tried again. Each reason is reported once until all channels are subscribed to. */
  fault: [error: Error];
}

/** After so long a subscription is tried again that was refused, as by an ACL, or by a server that was busy with a script. */
const RETRY_MS = 2_000;

/** A channel that somebody listens to. */
interface Followed {
  readonly listeners: Set<ChangeListener>;
  /** Is the channel subscribed to, so that its messages arrive? */
  isHeard: boolean;
}

/**
 * Receives the messages about changes of notification lists, over one connection of the process, whatever the number of lists and of
 * listeners. The connection is opened when the first list is followed. In a Cluster it goes to any node: every node gets all messages.
 */
export class ListChanges extends EventEmitter<ListChangesEvents> {
  readonly #followed = new Map<string, Followed>();
  #client: Redis | undefined;
  /** The message of the fault that was reported last. */
  #reported: string | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** It is private, so that console.log of an object that has this one shows no password of the connection's. */
  readonly #target: RedisTarget;

  constructor(
    target: RedisTarget,
    readonly namespace: string,
  ) {
    super();
    this.#target = target;
  }

  /** How many channels are followed. */
  get size(): number {
    return this.#followed.size;
  }

  /** Calls `listener` with each message about a list, or about what a subject has read. Returns a function that ends this. */
  follow(to: Recipient, listener: ChangeListener): () => void {
    const channel = this.#channelOf(to);
    let followed = this.#followed.get(channel);
    if (!followed) {
      followed = { listeners: new Set(), isHeard: false };
      this.#followed.set(channel, followed);
      if (!this.#isClosed) this.#subscribe([channel]);
    }
    const { listeners } = followed;
    // A listener that was passed to follow() twice is called twice.
    const wrapper: ChangeListener = (change) => listener(change);
    listeners.add(wrapper);
    return () => {
      if (!listeners.delete(wrapper) || listeners.size > 0 || this.#followed.get(channel)?.listeners !== listeners)
        return;
      this.#followed.delete(channel);
      if (this.#client?.status === 'ready') this.#client.unsubscribe(channel).catch(() => {}); // If the connection is lost, the subscription is, too.
    };
  }

  /** Does every message about this recipient's list arrive that is published from now on? */
  isHeard(to: Recipient): boolean {
    return this.#followed.get(this.#channelOf(to))?.isHeard ?? false;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    if (this.#client) endConnection(this.#client);
  }

  #channelOf(to: Recipient): string {
    return changesChannel(this.namespace, to, this.#target.database);
  }

  #open(): Redis {
    const client = this.#target.connect('subscriber');
    client.on('messageBuffer', (channel: Buffer, text: Buffer) => this.#hear(channel.toString(), text.toString()));
    client.on('ready', () => this.#subscribe([...this.#followed.keys()]));
    client.on('close', () => this.#lose());
    return client;
  }

  /** Subscribes; called also when a lost connection is back, since ioredis' own resubscribing can fail without an error. */
  #subscribe(channels: readonly string[]): void {
    this.#client ??= this.#open();
    const client = this.#client;
    if (client.status !== 'ready' || channels.length === 0) return;
    const followed = channels.map((channel) => this.#followed.get(channel));
    client.subscribe(...channels).then(
      () => {
        // A channel that was left meanwhile and is followed anew is another entry here: only its own SUBSCRIBE makes it heard.
        for (const one of followed) if (one) one.isHeard = true;
        if (![...this.#followed.values()].every(({ isHeard }) => isHeard)) return;
        this.#reported = undefined;
        this.emit('ready');
      },
      (cause: unknown) => {
        if (this.#isClosed) return;
        // a script holds Redis up: a new connection is ready when it has ended, and subscribes to all channels
        if (/^BUSY/.test((cause as Error).message)) reconnect(client);
        const error = redisFault(cause);
        if (error.message !== this.#reported) this.emit('fault', error);
        this.#reported = error.message;
        this.#retry ??= setTimeout(() => this.#subscribeUnheard(), RETRY_MS).unref();
      },
    );
  }

  #subscribeUnheard(): void {
    this.#retry = undefined;
    this.#subscribe([...this.#followed].flatMap(([channel, { isHeard }]) => (isHeard ? [] : [channel])));
  }

  #lose(): void {
    const wasHeard = [...this.#followed.values()].some(({ isHeard }) => isHeard);
    for (const followed of this.#followed.values()) followed.isHeard = false;
    if (wasHeard) this.emit('lost');
  }

  #hear(channel: string, text: string): void {
    const change = parseChange(text);
    const followed = change && this.#followed.get(channel);
    if (followed) for (const listener of [...followed.listeners]) listener(change);
  }
}
