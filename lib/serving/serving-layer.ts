import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import debug from 'debug';
import type { Redis } from 'ioredis';
import { Counter, Gauge, Registry } from 'prom-client';
import { OptionError, redisFault } from '../errors.js';
import { intelligenceKeys } from '../keys.js';
import {
  checkCommand,
  DEFAULT_PARTITIONS,
  formatPayload,
  formatRequestId,
  type InboxItem,
  isRead,
  replyKey,
} from '../protocol.js';
import { RedisClock } from '../redis/clock.js';
import {
  connect,
  connectCommands,
  isCluster,
  type RedisClient,
  type RedisOption,
  whenReady,
} from '../redis/connect.js';
import { Circuits } from './circuit.js';
import { Inbox } from './inbox.js';
import { type Outbox, type Posted, PubSubOutbox, StreamOutbox } from './outbox.js';
import { ReplyLists } from './reply-lists.js';

/**
 * Why a request went unanswered: no worker listens; none answered in time; none has for some time, so that nobody waited
 * (circuit); the stream is full (shed); every connection of the list form is taken (busy); Redis; the command failed; closed.
 */
export type DegradedReason = 'no-worker' | 'timeout' | 'circuit' | 'shed' | 'busy' | 'redis' | 'failed' | 'closed';

export type Answer = { readonly answered: true; readonly data: unknown } | { readonly answered: false };

export interface ServingEvents {
  degraded: [command: string, reason: DegradedReason];
  /** Requests wait no longer for an answer ('open'), or do again. */
  circuit: [state: 'open' | 'closed'];
  fault: [error: Error];
}

export interface ServingOptions {
  readonly namespace?: string;
  readonly transport?: 'pubsub' | 'stream';
  /** of the transport `stream`, as the workers have it @default 16 */
  readonly partitions?: number;
  /** Messages that a partition of a stream holds at most; more are refused. @default 16384 */
  readonly maxBacklog?: number;
  /** One list a process, or the white paper's, one a request. @default 'inbox' */
  readonly replies?: 'inbox' | 'list';
  /** Blocking connections of `replies: 'list'`. @default 16 */
  readonly replyConnections?: number;
}

interface Waiter {
  readonly command: string;
  readonly route: string;
  readonly settle: (answer: Answer) => void;
  readonly timer: NodeJS.Timeout;
}

export const DEFAULT_BACKLOG = 16_384;
export const DEFAULT_REPLY_CONNECTIONS = 16;
const SEND_WAIT_MS = 250;
const say = debug('intelligent-session:serving');

/** What an Express process does: sends requests, waits for answers, knows no worker. */
export class ServingLayer extends EventEmitter<ServingEvents> {
  readonly metrics = new Registry();
  readonly namespace: string;
  readonly #keys: RedisClient;
  readonly #sending: RedisClient;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox | undefined;
  readonly #lists: ReplyLists | undefined;
  readonly #clock: RedisClock;
  readonly #circuits = new Circuits((state) => this.#circuitChanged(state));
  readonly #waiting = new Map<string, Waiter>();
  /** what asked for an answer that nobody waits for, by id: its route */
  readonly #probes = new Map<string, string>();
  readonly #process = randomBytes(6).toString('base64url');
  readonly #requests = new Counter({
    name: 'intelligent_session_requests_total',
    help: 'Requests by command and result (sent, answered, or why not)',
    labelNames: ['command', 'result'],
    registers: [this.metrics],
  });
  #count = 0;
  #closed = false;
  #started = false;

  constructor(redis: RedisOption, options: ServingOptions = {}) {
    super();
    const {
      namespace = '',
      transport = 'pubsub',
      replies = 'inbox',
      replyConnections = DEFAULT_REPLY_CONNECTIONS,
    } = options;
    this.namespace = namespace;
    if (replies === 'list' && isCluster(redis))
      throw new OptionError('option "replies": lists of each request need one Redis; on a Cluster there is the inbox');
    this.#keys = connectCommands(redis);
    if (transport === 'stream') {
      const { partitions = DEFAULT_PARTITIONS, maxBacklog = DEFAULT_BACKLOG } = options;
      this.#sending = this.#keys;
      this.#outbox = new StreamOutbox(this.#keys, namespace, { partitions, maxBacklog });
    } else {
      // through one node, so that a session's messages keep their order
      const client = isCluster(this.#keys) ? connect(redis, 'commands', this.#keys) : (this.#keys as Redis);
      this.#sending = client;
      this.#outbox = new PubSubOutbox(client, namespace, !isCluster(this.#keys));
    }
    this.#sending.once('ready', () => {
      this.#started = true;
    });
    this.#clock = new RedisClock(this.#keys);
    if (replies === 'list') this.#lists = new ReplyLists(redis, replyConnections);
    else {
      const onItem = (item: InboxItem) => this.#arrived(item);
      this.#inbox = new Inbox(redis, this.#keys, namespace, onItem, () => this.#lost());
    }
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.metrics],
        collect() {
          this.set(value());
        },
      });
    gauge('intelligent_session_waiting_requests', 'Requests that wait for an answer', () => this.#waiting.size);
    gauge('intelligent_session_open_circuits', 'Circuits that are open', () => this.#circuits.open);
  }

  /** Not critical: on its way, and on. A fault is an event. */
  send(command: string, sid: string, payload: unknown, ttlSeconds: number): void {
    checkCommand(command);
    const text = formatPayload(payload);
    const rid = formatRequestId({ id: this.#newId(), inbox: '', ttlSeconds });
    const settle = (posted: Posted, error?: unknown) => {
      if (error !== undefined) this.#degrade(command, 'redis', error);
      else if (posted === 'shed') this.#degrade(command, 'shed');
      else this.#requests.inc({ command, result: posted });
    };
    const letter = { command, sid, rid, payload: text, settle };
    if (this.#isReady) this.#outbox.post(letter);
    else
      this.#ready(SEND_WAIT_MS).then(
        () => this.#outbox.post(letter),
        (error) => this.#degrade(command, 'redis', error),
      );
  }

  /** Critical: waits for the answer, at most `timeoutMs` by this process' clock. Never rejects for a fault. */
  async ask(command: string, sid: string, payload: unknown, ttlSeconds: number, timeoutMs: number): Promise<Answer> {
    checkCommand(command);
    const text = formatPayload(payload);
    let left = timeoutMs;
    if (!this.#isReady) {
      const started = performance.now();
      try {
        await this.#ready(timeoutMs);
      } catch (error) {
        return this.#degrade(command, this.#closed ? 'closed' : 'redis', error);
      }
      left -= performance.now() - started;
    }
    const route = this.#outbox.routeOf(sid);
    const how = this.#circuits.ask(route, performance.now());
    if (how === 'wait')
      return this.#lists
        ? this.#askByList(this.#lists, { command, sid, payload: text, ttlSeconds, left, route })
        : this.#askByInbox({ command, sid, payload: text, ttlSeconds, left, route });
    if (how === 'probe') this.#probe({ command, sid, payload: text, ttlSeconds, left: timeoutMs, route });
    else if (!isRead(command)) this.send(command, sid, text, ttlSeconds);
    return this.#degrade(command, 'circuit');
  }

  /** Removes what is kept of a session's intelligence: one UNLINK. */
  forget(sid: string): void {
    const keys = Object.values(intelligenceKeys(this.namespace, sid));
    this.#keys.unlink(...keys).catch((error) => this.#degrade('forget', 'redis', error));
  }

  /** Answers who waits with nothing, closes the connections. Can be called twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const { command, settle } of [...this.#waiting.values()]) settle(this.#degrade(command, 'closed'));
    this.#inbox?.close();
    this.#lists?.close();
    this.#sending.disconnect();
    this.#keys.disconnect();
  }

  #askByInbox({ command, sid, payload, ttlSeconds, left, route }: Asked): Promise<Answer> {
    const id = this.#newId();
    const deadlineMs = Math.ceil(this.#clock.now() + left);
    const rid = formatRequestId({ id, inbox: this.#inbox?.name ?? '', deadlineMs, ttlSeconds });
    return this.#wait(id, { command, route, left }, (settle) =>
      this.#outbox.post({ command, sid, rid, payload, settle }),
    );
  }

  async #askByList(lists: ReplyLists, { command, sid, payload, ttlSeconds, left, route }: Asked): Promise<Answer> {
    const untilMs = performance.now() + left;
    let client: Redis;
    try {
      client = await lists.take(left);
    } catch {
      if (!isRead(command)) this.send(command, sid, payload, ttlSeconds);
      return this.#degrade(command, 'busy');
    }
    const id = this.#newId();
    const rid = formatRequestId({ id });
    const key = replyKey(this.namespace, { command, sid, rid, request: { id } });
    return this.#wait(id, { command, route, left: untilMs - performance.now() }, (settle) => {
      this.#outbox.post({ command, sid, rid, payload, settle });
      lists.wait(client, key, untilMs).then(
        (text) => {
          if (text !== null) this.#arrived({ id, command, data: JSON.parse(text) });
        },
        (error) => this.#waiting.get(id)?.settle(this.#degrade(command, 'redis', error)),
      );
    });
  }

  #wait(
    id: string,
    { command, route, left }: Pick<Asked, 'command' | 'route' | 'left'>,
    post: (settle: (posted: Posted, error?: unknown) => void) => void,
  ): Promise<Answer> {
    return new Promise<Answer>((resolve) => {
      const settle = (answer: Answer) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(answer);
      };
      const timer = setTimeout(() => {
        settle(this.#degrade(command, 'timeout'));
        this.#circuits.timedOut(route);
      }, left);
      this.#waiting.set(id, { command, route, settle, timer });
      post((posted, error) => {
        if ((posted === 'sent' && error === undefined) || !this.#waiting.has(id)) return;
        settle(this.#degrade(command, error === undefined ? (posted as 'no-worker' | 'shed') : 'redis', error));
      });
    });
  }

  /** A message that asks for an answer, though nobody waits: it closes the circuit. */
  #probe({ command, sid, payload, ttlSeconds, left, route }: Asked): void {
    const id = this.#newId();
    const settle = (_: Posted, error?: unknown) => {
      if (error !== undefined) this.emit('fault', redisFault(error));
    };
    const deadlineMs = Math.ceil(this.#clock.now() + left);
    if (this.#probes.size > 100) this.#probes.clear();
    this.#probes.set(id, route);
    if (this.#lists) {
      const rid = formatRequestId({ id });
      const key = replyKey(this.namespace, { command, sid, rid, request: { id } });
      const wait = async (lists: ReplyLists) => {
        const client = await lists.take(left);
        this.#outbox.post({ command, sid, rid, payload, settle });
        if ((await lists.wait(client, key, performance.now() + left)) !== null) this.#arrived({ id, command });
      };
      wait(this.#lists).catch((error) => this.emit('fault', redisFault(error)));
      return;
    }
    const rid = formatRequestId({ id, inbox: this.#inbox?.name ?? '', deadlineMs, ttlSeconds });
    this.#outbox.post({ command, sid, rid, payload, settle });
  }

  #newId(): string {
    return `${this.#process}.${(++this.#count).toString(36)}`;
  }

  get #isReady(): boolean {
    return (
      this.#sending.status === 'ready' && (this.#inbox === undefined || this.#inbox.name !== undefined) && !this.#closed
    );
  }

  /** At first the connections may still be on their way; once lost, nobody waits for them. */
  async #ready(timeoutMs: number): Promise<void> {
    if (this.#closed) throw new Error('closed');
    if (this.#started && this.#sending.status !== 'ready') throw new Error('not connected');
    const waitMs = this.#started ? Math.min(timeoutMs, 20) : timeoutMs;
    await Promise.all([whenReady(this.#sending, waitMs), this.#inbox && whenReady(this.#inbox.client, waitMs)]);
  }

  #arrived({ id, data, error }: InboxItem): void {
    const waiter = this.#waiting.get(id);
    const route = waiter?.route ?? this.#probes.get(id);
    if (route !== undefined) this.#circuits.answered(route);
    this.#probes.delete(id);
    if (!waiter) return; // too late, or not ours
    if (error !== undefined) {
      waiter.settle(this.#degrade(waiter.command, 'failed', new Error(error)));
      return;
    }
    this.#requests.inc({ command: waiter.command, result: 'answered' });
    waiter.settle({ answered: true, data });
  }

  #lost(): void {
    for (const { command, settle } of [...this.#waiting.values()]) settle(this.#degrade(command, 'redis'));
  }

  #circuitChanged(state: 'open' | 'closed'): void {
    say('circuit %s', state);
    this.emit('circuit', state);
    // a connection to a server that has become a replica hears no error of a PUBLISH
    if (state === 'open' && !isCluster(this.#sending))
      this.#sending.role().then(
        ([role]) => {
          if (role !== 'master') (this.#sending as Redis).disconnect(true);
        },
        (error) => this.emit('fault', redisFault(error)),
      );
  }

  #degrade(command: string, reason: DegradedReason, cause?: unknown): Answer {
    this.#requests.inc({ command, result: reason });
    say('%s: %s', command, reason);
    this.emit('degraded', command, reason);
    if (cause !== undefined) this.emit('fault', redisFault(cause));
    return { answered: false };
  }
}

interface Asked {
  readonly command: string;
  readonly sid: string;
  readonly payload: string;
  readonly ttlSeconds: number;
  readonly left: number;
  readonly route: string;
}
