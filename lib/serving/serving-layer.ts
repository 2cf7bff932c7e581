import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import debug from 'debug';
import type { Redis } from 'ioredis';
import { Counter, Registry } from 'prom-client';
import { redisFault } from '../errors.js';
import { intelligenceKeys } from '../keys.js';
import { channelOf, checkCommand, formatPayload, formatRequestId, type InboxItem } from '../protocol.js';
import { RedisClock } from '../redis/clock.js';
import { connect, type RedisOption, whenReady } from '../redis/connect.js';
import { Inbox } from './inbox.js';

/** Why a request went unanswered. */
export type DegradedReason = 'no-worker' | 'timeout' | 'redis' | 'failed' | 'closed';

export type Answer = { readonly answered: true; readonly data: unknown } | { readonly answered: false };

export interface ServingEvents {
  degraded: [command: string, reason: DegradedReason];
  fault: [error: Error];
}

interface Waiter {
  readonly command: string;
  readonly settle: (answer: Answer) => void;
  readonly timer: NodeJS.Timeout;
}

const say = debug('intelligent-session:serving');

/** What an Express process does: sends requests, waits for answers, knows no worker. */
export class ServingLayer extends EventEmitter<ServingEvents> {
  readonly metrics = new Registry();
  readonly #client: Redis;
  readonly #inbox: Inbox;
  readonly #clock: RedisClock;
  readonly #waiting = new Map<string, Waiter>();
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

  constructor(
    readonly redis: RedisOption,
    readonly namespace: string,
  ) {
    super();
    this.#client = connect(redis, 'commands');
    this.#client.once('ready', () => {
      this.#started = true;
    });
    this.#clock = new RedisClock(this.#client);
    this.#inbox = new Inbox(
      redis,
      namespace,
      (item) => this.#arrived(item),
      () => this.#lost(),
    );
  }

  /** Not critical: PUBLISH, and on. A fault is an event. */
  send(command: string, sid: string, payload: unknown, ttlSeconds: number): void {
    const { channel, text } = this.#message(command, sid, payload, { inbox: '', ttlSeconds });
    void this.#ready(250)
      .then(() => this.#client.publish(channel, text))
      .then(
        () => this.#requests.inc({ command, result: 'sent' }),
        (error) => this.#degrade(command, 'redis', error),
      );
  }

  /** Critical: PUBLISH, and wait for the answer, at most `timeoutMs` by this process' clock. Never rejects for a fault. */
  async ask(command: string, sid: string, payload: unknown, ttlSeconds: number, timeoutMs: number): Promise<Answer> {
    const started = performance.now();
    checkCommand(command);
    const text = formatPayload(payload);
    try {
      await this.#ready(timeoutMs);
    } catch (error) {
      return this.#degrade(command, this.#closed ? 'closed' : 'redis', error);
    }
    const inbox = this.#inbox.name as string;
    const left = timeoutMs - (performance.now() - started);
    const deadlineMs = Math.ceil(this.#clock.now() + left);
    const { channel, id } = this.#message(command, sid, text, { inbox, deadlineMs, ttlSeconds });
    return new Promise<Answer>((resolve) => {
      const settle = (answer: Answer) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(answer);
      };
      const timer = setTimeout(() => settle(this.#degrade(command, 'timeout')), Math.max(0, left));
      this.#waiting.set(id, { command, settle, timer });
      this.#client.publish(channel, text).then(
        (listeners) => {
          if (listeners === 0 && this.#waiting.has(id)) settle(this.#degrade(command, 'no-worker'));
        },
        (error) => {
          if (this.#waiting.has(id)) settle(this.#degrade(command, 'redis', error));
        },
      );
    });
  }

  /** Removes what is kept of a session's intelligence: one UNLINK. */
  forget(sid: string): void {
    const keys = Object.values(intelligenceKeys(this.namespace, sid));
    this.#client.unlink(...keys).catch((error) => this.#degrade('forget', 'redis', error));
  }

  /** Answers who waits with nothing, closes the connections. Can be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { command, settle } of [...this.#waiting.values()]) settle(this.#degrade(command, 'closed'));
    this.#inbox.close();
    this.#client.disconnect();
  }

  #message(
    command: string,
    sid: string,
    payload: unknown,
    request: { inbox: string; ttlSeconds: number; deadlineMs?: number },
  ) {
    checkCommand(command);
    const id = `${this.#process}.${(++this.#count).toString(36)}`;
    const channel = channelOf(this.namespace, command, sid, formatRequestId({ id, ...request }));
    return { id, channel, text: formatPayload(payload) };
  }

  /** At first the connections may still be on their way; once lost, nobody waits for them. */
  async #ready(timeoutMs: number): Promise<void> {
    if (this.#client.status === 'ready' && this.#inbox.name !== undefined) return;
    if (this.#started || this.#closed) {
      if (this.#client.status === 'ready' && !this.#closed)
        await whenReady(this.#inbox.client, Math.min(timeoutMs, 20));
      else throw new Error('not connected');
    }
    await Promise.all([whenReady(this.#client, timeoutMs), whenReady(this.#inbox.client, timeoutMs)]);
  }

  #arrived({ id, data, error }: InboxItem): void {
    const waiter = this.#waiting.get(id);
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

  #degrade(command: string, reason: DegradedReason, cause?: unknown): Answer {
    this.#requests.inc({ command, result: reason });
    say('%s: %s', command, reason);
    this.emit('degraded', command, reason);
    if (cause !== undefined) this.emit('fault', redisFault(cause));
    return { answered: false };
  }
}
