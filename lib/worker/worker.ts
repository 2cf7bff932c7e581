import { EventEmitter, once } from 'node:events';
import debug from 'debug';
import type { Redis } from 'ioredis';
import { Counter, Registry } from 'prom-client';
import { bloomFault } from '../bloom/bloom-error.js';
import type { BloomFilter } from '../bloom/bloom-filter.js';
import { chooseBloomFilter } from '../bloom/choose.js';
import { IntelligentSessionError, redisFault } from '../errors.js';
import { intelligenceKeys } from '../keys.js';
import { type Message, parseChannel, patternOf } from '../protocol.js';
import { RedisClock } from '../redis/clock.js';
import { addressOf, connect, whenReady } from '../redis/connect.js';
import { Subscriber } from '../redis/subscriber.js';
import type { Command } from './commands/command.js';
import { builtIn } from './commands/index.js';
import { intelligence } from './commands/intelligence.js';
import { type Logger, resolveWorkerOptions, type WorkerOptions } from './options.js';
import { Replies } from './replies.js';

const START_TIMEOUT_MS = 2_000;
const RECONNECT_MS = 2_000;

export interface WorkerEvents {
  /** Listening: at start, and after every reconnection. */
  ready: [];
  /** One message failed; the worker goes on. */
  fault: [error: Error, command: string];
  close: [];
}

/** The session microservice: hears requests through Redis, works on the session's keys, answers through Redis. */
export class Worker extends EventEmitter<WorkerEvents> {
  readonly metrics = new Registry();
  readonly #options: ReturnType<typeof resolveWorkerOptions>;
  readonly #log: Logger;
  readonly #client: Redis;
  readonly #clock: RedisClock;
  readonly #replies: Replies;
  readonly #inHand = new Set<Promise<void>>();
  readonly #messages = new Counter({
    name: 'intelligent_session_worker_messages_total',
    help: 'Messages by command and result (done, failed)',
    labelNames: ['command', 'result'],
    registers: [this.metrics],
  });
  #commands = new Map<string, Command>();
  #subscriber: Subscriber | undefined;
  #bloom: BloomFilter | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: WorkerOptions = {}) {
    super();
    this.#options = resolveWorkerOptions(options);
    const say = debug('intelligent-session:worker');
    this.#log = this.#options.log ?? { info: say, warn: say };
    this.#client = connect(this.#options.redis, 'commands');
    this.#clock = new RedisClock(this.#client);
    this.#replies = new Replies(this.#client, this.#options.namespace, (error) => this.#fault(error, 'reply'));
  }

  /** Which Bloom filter is in use, once started. */
  get bloom(): BloomFilter['implementation'] | undefined {
    return this.#bloom?.implementation;
  }

  /** Resolves when it listens; rejects if Redis does not answer within 2 s (the message names the address). */
  async start(): Promise<this> {
    const { redis, namespace, sessionGlob, bloom, combos, activityDays, commands } = this.#options;
    const { errorRate, capacity, expansion, itemSecret } = this.#options;
    try {
      await whenReady(this.#client, START_TIMEOUT_MS);
      this.#bloom = await chooseBloomFilter(this.#client, bloom, { errorRate, capacity, expansion, itemSecret });
      const shared = intelligence(this.#client, this.#bloom, {
        activityDays,
        combos: new Map(combos.map(({ name, pages }) => [name, pages])),
      });
      this.#commands = new Map([
        ...Object.entries(builtIn).map(([name, make]) => [name, make(shared)] as const),
        ...Object.entries(commands),
      ]);
      const patterns = [...this.#commands.keys()].map((command) => patternOf(namespace, command, sessionGlob));
      this.#subscriber = new Subscriber(redis, patterns);
      this.#subscriber.on('message', (channel: string, payload: string) => this.#take(channel, payload));
      this.#subscriber.on('fault', (error: Error) => this.#fault(error, 'subscribe'));
      await once(this.#subscriber, 'ready', { signal: AbortSignal.timeout(START_TIMEOUT_MS) }).catch(() => {
        throw new IntelligentSessionError(
          'ERR_INTELLIGENT_SESSION_NOT_READY',
          `Redis at ${addressOf(this.#client)} does not let this worker subscribe (ACL?)`,
        );
      });
      this.#subscriber.on('ready', () => this.emit('ready'));
    } catch (error) {
      this.#client.disconnect();
      this.#subscriber?.close();
      throw error;
    }
    this.#log.info(`listening at ${addressOf(this.#client)}, Bloom filters: ${this.#bloom.implementation}`);
    this.emit('ready');
    return this;
  }

  #take(channel: string, payload: string): void {
    const work = this.#handle(channel, payload);
    this.#inHand.add(work);
    work.finally(() => this.#inHand.delete(work));
  }

  async #handle(channel: string, payload: string): Promise<void> {
    let message: Message | undefined;
    try {
      message = parseChannel(this.#options.namespace, channel);
      const command = this.#commands.get(message.command);
      if (!command) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'Unknown command');
      // What was heard while the connection came back waits for it, in its order.
      if (this.#client.status !== 'ready') await whenReady(this.#client, RECONNECT_MS);
      const { sid, request } = message;
      const data = await command({
        command: message.command,
        sid,
        id: request.id,
        payload,
        ttlSeconds: request.ttlSeconds ?? this.#options.ttlSeconds,
        keys: intelligenceKeys(this.#options.namespace, sid),
        awaited: request.inbox !== '' && !this.#late(request.deadlineMs),
        redis: this.#client,
      });
      this.#messages.inc({ command: message.command, result: 'done' });
      if (data !== undefined && !this.#late(request.deadlineMs)) this.#replies.send(message, { data });
    } catch (error) {
      this.#fault(error, message?.command ?? 'unknown');
      const known = error instanceof IntelligentSessionError;
      if (message) this.#replies.send(message, { error: known ? error.message : 'The command failed' });
    }
  }

  #late(deadlineMs: number | undefined): boolean {
    return deadlineMs !== undefined && this.#clock.now() > deadlineMs;
  }

  #fault(cause: unknown, command: string): void {
    const error =
      cause instanceof Error && !('command' in cause) && !/^(ERR|WRONGTYPE)/.test(cause.message)
        ? cause
        : /Bloom|OTHERFORM/.test(cause instanceof Error ? cause.message : '')
          ? bloomFault(cause)
          : redisFault(cause);
    this.#messages.inc({ command, result: 'failed' });
    this.#log.warn(`${command}: ${error.message}`);
    this.emit('fault', error, command);
  }

  /** Takes no more messages, finishes what is in hand (at most `timeout` ms), closes. Can be called twice. */
  close({ timeout = 5_000 }: { timeout?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  async #close(timeout: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeout);
    });
    const finish = async () => {
      await this.#subscriber?.unsubscribe();
      await Promise.allSettled(this.#inHand);
      this.#replies.flush();
      await this.#client.quit().catch(() => {});
    };
    await Promise.race([finish(), patience]);
    clearTimeout(timer);
    this.#subscriber?.close();
    this.#client.disconnect();
    this.emit('close');
  }
}

/** A worker, started: `createWorker({ redis, namespace, commands })`. */
export const createWorker = (options?: WorkerOptions): Promise<Worker> => new Worker(options).start();
