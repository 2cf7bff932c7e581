import { isDeepStrictEqual } from 'node:util';
import createDebug from 'debug';
import { Redis, type RedisOptions } from 'ioredis';
import { faultText, hidePasswords, safeText } from '../errors/errors.js';
import { watchLiveness } from './liveness.js';

const debug = createDebug('intelligent-session:sentinel');

/** How long it may take to connect to a Sentinel. */
const CONNECT_MS = 1000;
/** The pause before the next Sentinel of the list is tried, and the longer pause at the end of the list. */
const NEXT_SENTINEL_MS = 50;
const NEXT_ROUND_MS = 500;
/** How long a Sentinel may still give the old master's address: it hears of a failover within 2 s, or later if it is busy. */
const SENTINELS_LAG_MS = 5000;

/** A client of ours, and the master's address (host:port, before natMap) that it connected to last. */
interface Member {
  readonly client: Redis;
  address: string | undefined;
}

/** The watches in use: clients of the same Sentinels and master share one. */
const watches: SentinelWatch[] = [];

/**
 * Connects to the master that Sentinels name. As long as such clients are open, this process has one connection to one of the
 * Sentinels, and on `+switch-master` it reconnects every such client: an old master that comes back takes writes for some ten
 * seconds, until Sentinels make it a replica, and then loses them. A client that asks for a replica needs no watch: a failover
 * leaves it usable.
 */
export function connectBySentinel(options: RedisOptions & { replyMapping: 'legacy' }): Redis {
  if (options.role === 'slave') return new Redis(options);
  const { natMap } = options;
  hidePasswords(options.sentinelPassword); // faultText() leaves it out of messages from now on
  const watch = SentinelWatch.of(options);
  const client: Redis = new Redis({
    ...options,
    // ioredis calls this once or more before it connects, and connects to what the last call gave; null stands for the address
    // as it was given
    natMap: (given: string) => {
      member.address = watch.newestOf(given);
      const mapped = typeof natMap === 'function' ? natMap(member.address) : natMap?.[member.address];
      return mapped ?? (member.address === given ? null : hostAndPort(member.address));
    },
  });
  const member: Member = { client, address: undefined };
  watch.join(member);
  return askAllSentinels(client);
}

/**
 * Gives each new connection the whole list of Sentinels, from the one behind the last that answered. ioredis itself goes on where
 * it was in the list, and at the list's end emits an error that no Sentinel can be reached, though all of them can.
 */
function askAllSentinels(client: Redis): Redis {
  const { sentinelIterator: list } = (client as unknown as { connector: PrivateConnector }).connector;
  if (!list) return client; // the caller's option `Connector`
  return client.on('reconnecting', () => {
    list.sentinels.push(...list.sentinels.splice(0, list.cursor));
    list.cursor = 0;
  });
}

/** What ioredis' connector keeps: the Sentinels, and how many of them it has asked. */
interface PrivateConnector {
  readonly sentinelIterator?: { readonly sentinels: unknown[]; cursor: number };
}

class SentinelWatch {
  readonly #members = new Set<Member>();
  readonly #access: ReturnType<typeof accessOf>;
  /** The last failover, which counts until all Sentinels should have heard of it. */
  #lastFailover: { readonly from: string; readonly to: string; readonly untilMs: number } | undefined;
  #sentinel: Redis | undefined;
  /** How many attempts to connect to a Sentinel there were since the start. */
  #attempts = 0;
  #nextAttempt: NodeJS.Timeout | undefined;

  private constructor(options: RedisOptions) {
    this.#access = accessOf(options);
  }

  static of(options: RedisOptions): SentinelWatch {
    const access = accessOf(options);
    const known = watches.find((watch) => isDeepStrictEqual(watch.#access, access));
    if (known) return known;
    const watch = new SentinelWatch(options);
    watches.push(watch);
    return watch;
  }

  join(member: Member): void {
    this.#members.add(member);
    const { client } = member;
    // the client may have been connecting to the old master when the failover was announced
    client.on('ready', () => {
      if (member.address !== undefined && this.newestOf(member.address) !== member.address) leave(client);
    });
    client.once('end', () => {
      this.#members.delete(member);
      if (this.#members.size === 0) this.#close();
    });
    if (!this.#sentinel && !this.#nextAttempt) this.#connect();
  }

  /** Gives `address`; but for the old master's, which a Sentinel without the news still gives, the new master's. */
  newestOf(address: string): string {
    const { from, to, untilMs } = this.#lastFailover ?? {};
    return to !== undefined && address === from && performance.now() < (untilMs as number) ? to : address;
  }

  #connect(): void {
    this.#nextAttempt = undefined;
    const { sentinels, username, password, tls, family } = this.#access;
    const { host, port, family: sentinelFamily } = sentinels[this.#attempts++ % sentinels.length] ?? {};
    const ipFamily = sentinelFamily ?? family;
    const sentinel = new Redis({
      host: host ?? '127.0.0.1',
      port: port ?? 26379,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...(tls && { tls }),
      ...(ipFamily !== undefined && { family: ipFamily }),
      // RESP2, which every Sentinel speaks
      protocol: 2,
      replyMapping: 'legacy',
      enableReadyCheck: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: CONNECT_MS,
      // a lost connection is not made again: the next Sentinel is tried
      retryStrategy: () => null,
    });
    this.#sentinel = sentinel;
    watchLiveness(sentinel); // ends the connection of a Sentinel that is silent
    sentinel
      // where no Sentinel answers, the clients themselves report it
      .on('error', (error) => debug('%s:%s: %s', host, port, faultText(error)))
      .on('message', (_channel: string, text: string) => this.#hear(text))
      .on('ready', () => void this.#listen(sentinel))
      .on('end', () => {
        if (this.#sentinel !== sentinel) return;
        this.#sentinel = undefined;
        const pauseMs = this.#attempts % sentinels.length === 0 ? NEXT_ROUND_MS : NEXT_SENTINEL_MS;
        this.#nextAttempt = setTimeout(() => this.#connect(), pauseMs).unref();
      });
  }

  /**
   * Asks for the master and subscribes without waiting in between, so that hardly a failover falls between the two; in this order,
   * since a RESP2 subscriber may not ask.
   */
  async #listen(sentinel: Redis): Promise<void> {
    try {
      const { name } = this.#access;
      const asked = sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name) as Promise<[string, string] | null>;
      const [master] = await Promise.all([asked, sentinel.subscribe('+switch-master')]);
      if (!master) throw new Error(`this Sentinel knows no master "${name}"`);
      this.#moveTo(this.newestOf(master.join(':')));
    } catch (error) {
      debug('%s', faultText(error));
      sentinel.disconnect();
    }
  }

  /** Takes a message of `+switch-master`: `<name> <old host> <old port> <new host> <new port>`. */
  #hear(text: string): void {
    const [name, oldHost, oldPort, host, port] = text.split(' ');
    if (name !== this.#access.name) return;
    debug('%s', safeText(text));
    const to = `${host}:${port}`;
    this.#lastFailover = { from: `${oldHost}:${oldPort}`, to, untilMs: performance.now() + SENTINELS_LAG_MS };
    this.#moveTo(to);
  }

  /**
   * Ends the connections to other addresses, also those that are still being made: a machine that is gone answers nothing. Their
   * unanswered commands fail and are not sent again (roles.ts): what an old master confirms may be lost. A client that is just
   * asking Sentinels is looked at when it is ready (join()).
   */
  #moveTo(master: string): void {
    for (const { client, address } of this.#members) if (address !== master) leave(client);
  }

  #close(): void {
    clearTimeout(this.#nextAttempt);
    this.#nextAttempt = undefined;
    const sentinel = this.#sentinel;
    this.#sentinel = undefined;
    sentinel?.disconnect();
    const index = watches.indexOf(this);
    if (index !== -1) watches.splice(index, 1);
  }
}

/**
 * What an old master still answers must not be believed, so the connection, if there is one, is destroyed rather than ended;
 * ioredis then connects again.
 */
const leave = (client: Redis): void => void (client.stream as Redis['stream'] | undefined)?.destroy();

/** The options that clients of one watch have in common. ioredis, too, takes `family` for Sentinels and master. */
const accessOf = (options: RedisOptions) => ({
  sentinels: options.sentinels ?? [],
  name: options.name ?? '',
  username: options.sentinelUsername,
  password: options.sentinelPassword,
  tls: options.sentinelTLS,
  family: options.family,
});

function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}
