import { randomBytes, randomUUID } from 'node:crypto';
import debug from 'debug';
import type { Redis } from 'ioredis';
import { checkSessionId, checkTtl, optionsOf } from '../options/check-arguments.js';
import { CommandCounts } from '../intelligence/command-counter.js';
import { IntelligentSessionError, OptionError, redisFault } from '../errors/errors.js';
import { builtIn, isRead } from '../intelligence/commands.js';
import { commandKeys } from '../intelligence/keys.js';
import { isSendable, MAX_ID_LENGTH } from '../redis/keys.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { CLOSE_TIMEOUT_MS, Pending } from '../redis/unfinished-work.js';
import {
  checkCommand,
  DEFAULT_MESSAGE_AGE_SECONDS,
  DEFAULT_PARTITIONS,
  formatPayload,
  formatRequestId,
  type InboxItem,
  PUBLISHED_AGE_SECONDS,
  replyKey,
  requestOf,
} from '../transport/protocol.js';
import { Availability } from '../redis/availability.js';
import { DEFAULT_MAX_WAIT_MS, namespaceOf, type RedisClient, type RedisOption } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { distanceMsOf } from '../redis/liveness.js';
import { LoopTimeout, loopNowMs } from '../redis/loop-clock.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { openTarget, requireOneServer } from '../redis/open-target.js';
import type { RedisTarget } from '../redis/target.js';
import { tellAway } from '../redis/log-availability.js';
import { tellFaults } from '../redis/connection-faults.js';
import { RepeatedLines } from '../errors/deduplicated-log.js';
import { AnswerCheck, type Expected } from './answer-check.js';
import { Circuits, type Target } from './circuit-breaker.js';
import { type Answer, type DegradedReason, type Executor, ExecutorEmitter, MOST_TIMEOUT_MS } from './executor.js';
import { type Held, HeldMessages } from './held-messages.js';
import { Inbox } from '../transport/replies/inbox.js';
import { KeyedItems } from './keyed-items.js';
import { PubSubPublisher } from '../transport/pubsub/publish.js';
import type { OutgoingMessage, Publisher, PublishResult } from '../transport/publisher.js';
import { StreamPublisher } from '../transport/stream/publish.js';
import { Renewals } from './renewals.js';
import { ReplyLists } from '../transport/replies/lists.js';
import { commandFault, Unanswered, WITHOUT_INSIGHT } from './unanswered.js';

export interface ServingOptions {
  readonly namespace?: string | undefined;
  readonly transport?: 'pubsub' | 'stream' | undefined;
  /** of the transport `stream`, as the workers have it @default 16 */
  readonly partitions?: number | undefined;
  /** Messages that a partition of a stream holds at most; more are refused. @default 16384 */
  readonly maxBacklog?: number | undefined;
  /** Bytes that a partition of a stream takes in Redis at most; more are refused. @default 16777216 */
  readonly maxBacklogBytes?: number | undefined;
  /** of the transport `stream`, as the workers have it @default 86400 */
  readonly maxMessageAgeSeconds?: number | undefined;
  /** One list a process, or the white paper's, one a request. @default 'inbox' */
  readonly replies?: 'inbox' | 'list' | undefined;
  /** Blocking connections of `replies: 'list'`. @default 16 */
  readonly replyConnections?: number | undefined;
  /** How long the first connection is waited for, and how long a message that nobody waits for is kept, ms. @default 3000 */
  readonly maxWaitMs?: number | undefined;
  /** Keys pages and notification ids before they are sent, 16 characters at least. @default none */
  readonly itemSecret?: string | undefined;
  /** Warns where Redis is away and nobody listens; false where a store on the same Redis does. @default true */
  readonly tellsAway?: boolean;
}

interface Asked {
  readonly command: string;
  readonly sid: string;
  /** `<command>:<sid>:`, before the request's id */
  readonly start: string;
  readonly payload: string;
  readonly ttlSeconds: number;
  readonly timeoutMs: number;
}

interface Waiter extends Expected {
  readonly payload: string;
  readonly id: string;
  readonly target: Target;
  readonly resolve: (answer: Answer) => void;
  readonly timeout: LoopTimeout;
}

export const DEFAULT_BACKLOG = 16_384;
export const DEFAULT_BACKLOG_BYTES = 16 * 1024 * 1024;
export const DEFAULT_REPLY_CONNECTIONS = 16;
/** Six digits to the base 36. */
const LAST_NUMBER = 36 ** 6 - 1;
const newSender = (): string => randomBytes(6).toString('base64url');
const NO_JSON = new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'An answer was not JSON');
const say = debug('intelligent-session:serving');

/** undefined: not JSON; its text is nobody's to repeat. */
function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** An OptionError where answers can't come that way. */
export function checkReplies(redis: RedisOption, replies: ServingOptions['replies']): void {
  if (replies === 'list')
    requireOneServer(redis, 'option "replies": lists of each request need one Redis; on a Cluster there is the inbox');
}

/** What an Express process does: sends requests, waits for answers, knows no worker. */
export class ServingLayer extends ExecutorEmitter implements Executor {
  readonly #metrics = new Metrics();
  readonly namespace: string;
  readonly #keys: RedisClient;
  readonly #sending: RedisClient;
  /** of what sends */
  readonly #target: RedisTarget;
  readonly #publisher: Publisher;
  readonly #availability: Availability;
  readonly #inboxAvailability: Availability | undefined;
  /** what was asked or sent while there was no connection */
  readonly #held: HeldMessages;
  /** those of them that wait for an answer, and so for the inbox too */
  readonly #heldAsks = new Set<Held>();
  readonly #inbox: Inbox | undefined;
  readonly #lists: ReplyLists | undefined;
  readonly #renewals: Renewals;
  readonly #messageAgeMs: number;
  readonly #circuits = new Circuits((...change) => this.#circuitChanged(...change));
  readonly #waiting = new Map<string, Waiter>();
  /** what asked for an answer that nobody waits for, by id */
  readonly #probes = new Map<string, Expected & { readonly target: Target }>();
  readonly #answerCheck = new AnswerCheck();
  readonly #items: KeyedItems;
  readonly #refused = new RepeatedLines((text, times) => {
    const message = times === 1 ? text : `${text} (${times} times within a second)`;
    this.emit('fault', new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', message));
  });
  #sender = newSender();
  readonly #requests = new CommandCounts(
    'intelligent_session_requests_total',
    'Requests by command and result (sent, answered, or why not)',
    this.#metrics,
  );
  readonly #unanswered: Unanswered;
  #count = 0;
  #closed = false;
  /** what close() waits for: messages that nobody waits for, and what is to be forgotten */
  readonly #pending: Pending;
  #closing: Promise<void> | undefined;

  constructor(redis: RedisOption, options: ServingOptions = {}) {
    super();
    const {
      namespace: given = '',
      maxMessageAgeSeconds = DEFAULT_MESSAGE_AGE_SECONDS,
      transport = 'pubsub',
      replies = 'inbox',
      replyConnections = DEFAULT_REPLY_CONNECTIONS,
      maxWaitMs = DEFAULT_MAX_WAIT_MS,
    } = options;
    const namespace = namespaceOf(redis, given);
    this.namespace = namespace;
    this.#items = new KeyedItems(options.itemSecret);
    this.#messageAgeMs = (transport === 'stream' ? maxMessageAgeSeconds : PUBLISHED_AGE_SECONDS) * 1000;
    checkReplies(redis, replies);
    const target = openTarget(redis);
    this.#keys = target.client;
    this.#renewals = new Renewals(this.#keys, namespace);
    if (transport === 'stream') {
      const { partitions = DEFAULT_PARTITIONS, maxBacklog = DEFAULT_BACKLOG } = options;
      const { maxBacklogBytes = DEFAULT_BACKLOG_BYTES } = options;
      this.#target = target;
      this.#publisher = new StreamPublisher(target, namespace, {
        partitions,
        maxBacklog,
        maxBacklogBytes,
        messageAgeMs: this.#messageAgeMs,
      });
    } else {
      this.#target = target.publisher();
      this.#publisher = new PubSubPublisher(this.#target, namespace, target.countsSubscribers);
    }
    this.#sending = this.#target.client;
    this.#availability = new Availability(this.#sending, maxWaitMs);
    this.#held = new HeldMessages(maxWaitMs);
    this.#sending.on('ready', () => this.#sendHeld());
    this.#pending = new Pending(this.#sending);
    tellFaults(this.#sending, (error) => this.emit('fault', error));
    const { tellsAway = true } = options;
    const heard = (reason: Error) => this.#closed || this.emit('away', reason) || !tellsAway;
    tellAway(this.#availability, WITHOUT_INSIGHT, heard);
    this.#availability.on('back', () => this.emit('back'));
    const { partitions = DEFAULT_PARTITIONS } = options;
    this.#unanswered = new Unanswered({ target, namespace, transport, partitions });
    if (replies === 'list') this.#lists = new ReplyLists(target, replyConnections);
    else {
      const onItem = (item: InboxItem) => this.#arrived(item);
      this.#inbox = new Inbox(target, namespace, onItem, (cause) => this.#lost(cause));
      this.#inboxAvailability = new Availability(this.#inbox.client, maxWaitMs);
    }
    const gauges = this.#metrics;
    gauges.gauge('intelligent_session_waiting_requests', 'Requests that wait for an answer', () => this.#waiting.size);
    gauges.gauge('intelligent_session_open_circuits', 'Circuits that are open', () => this.#circuits.open);
  }

  /** A registry of prom-client's, an optional peer: where it is not installed, an error with the code `METRICS`. */
  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  /** Not critical: on its way, and on. A fault is an event. */
  send(command: string, sid: string, payload: unknown, ttlSeconds: number): void {
    checkCommand(command);
    checkSessionId('send', sid);
    checkTtl('send', ttlSeconds);
    this.#send(command, sid, formatPayload(this.#items.of(command, sid, payload).payload), ttlSeconds);
  }

  #send(command: string, sid: string, payload: string, ttlSeconds: number): void {
    if (!isSendable(sid)) return void this.#unsendable(command);
    const letter = this.#letter(command, sid, payload, ttlSeconds);
    // behind an ask() that waits for the first connection: a session's messages keep their order
    if (this.#sending.status === 'ready' && this.#heldAsks.size === 0) letter.go();
    else this.#held.add(letter);
  }

  /** A message that nobody waits for: held again where it could not be sent. */
  #letter(command: string, sid: string, payload: string, ttlSeconds: number): Held {
    this.#pending.begin();
    const fail = (posted: PublishResult, error?: unknown) => {
      this.#pending.end();
      if (error !== undefined) this.#degrade(command, this.#closed ? 'closed' : 'redis', error);
      else if (posted === 'shed') this.#degrade(command, 'shed');
      else this.#requests.inc(command, posted);
      if (posted === 'no-worker' && error === undefined) this.#unanswered.noWorker(command);
      if (command === 'pageview' && posted !== 'sent') this.renew(sid, ttlSeconds); // no worker does
    };
    const settle = (posted: PublishResult, error?: unknown) => {
      if (!this.#closed && wasNotSent(error)) this.#held.add(held);
      else fail(posted, error);
    };
    const go = () => {
      // an id of this moment: they ascend in the order in which messages leave
      const request = requestOf(command, sid, formatRequestId({ id: this.#newId(), replyTo: 'nobody', ttlSeconds }));
      this.#publisher.publish({ sid, request, payload, onPublished: settle });
    };
    const held: Held = { go, fail };
    return held;
  }

  #sendHeld(): void {
    if (this.#sending.status !== 'ready' || (this.#heldAsks.size > 0 && !this.#isReady)) return;
    this.#heldAsks.clear();
    this.#held.flush();
  }

  /**
   * Critical: waits for the answer, at most `timeoutMs` (1 to a day) on top of the way to Redis and back, by this process'
   * clock. Never rejects for a fault.
   */
  ask(command: string, sid: string, payload: unknown, ttlSeconds: number, timeoutMs: number): Promise<Answer> {
    checkCommand(command);
    checkSessionId('ask', sid);
    checkTtl('ask', ttlSeconds);
    const { payload: keyed, answer: read } = this.#items.of(command, sid, payload);
    const asked = this.#askKeyed(command, sid, keyed, ttlSeconds, timeoutMs);
    if (!read) return asked;
    return asked.then((answer) => (answer.answered ? { answered: true, data: read(answer.data) } : answer));
  }

  #askKeyed(command: string, sid: string, payload: unknown, ttlSeconds: number, timeoutMs: number): Promise<Answer> {
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1 && timeoutMs <= MOST_TIMEOUT_MS))
      throw new OptionError(
        `ask(): "timeout" should be a number of ms from 1 to ${MOST_TIMEOUT_MS}`,
        'ERR_INTELLIGENT_SESSION_ARGUMENT',
      );
    if (!isSendable(sid)) return Promise.resolve(this.#unsendable(command));
    const start = requestOf(command, sid, '');
    const asked = { command, sid, start, payload: formatPayload(payload), ttlSeconds, timeoutMs };
    if (this.#isReady) return this.#ask(asked);
    return this.#askWhenConnected(asked);
  }

  #askWhenConnected(asked: Asked): Promise<Answer> {
    const { command, sid, payload, ttlSeconds } = asked;
    return new Promise((resolve) => {
      const held: Held = {
        go: () => resolve(this.#ask(asked)),
        fail: (posted, error) => {
          this.#heldAsks.delete(held);
          resolve(this.#degrade(command, this.#closed ? 'closed' : posted === 'shed' ? 'shed' : 'redis', error));
        },
      };
      const giveUp = (error: unknown) => {
        if (!this.#heldAsks.has(held)) return; // it went, or failed
        // what counts is sent when there is a connection again; what only reads is of no use then
        const letter = isRead(command) || this.#closed ? undefined : this.#letter(command, sid, payload, ttlSeconds);
        this.#held.replace(held, letter);
        held.fail('sent', error);
        this.#sendHeld();
      };
      this.#heldAsks.add(held);
      this.#held.add(held);
      this.#firstConnection().then(() => this.#sendHeld(), giveUp);
    });
  }

  #ask(asked: Asked): Promise<Answer> {
    const { command, sid, payload, ttlSeconds } = asked;
    const target = { route: this.#publisher.routeOf(sid), sid, ownCommand: builtIn.has(command) ? undefined : command };
    const how = this.#circuits.ask(target, performance.now());
    if (how === 'wait')
      return this.#lists ? this.#askByList(this.#lists, asked, target) : this.#askByInbox(asked, target);
    if (how === 'probe') this.#probe(asked, target);
    else if (!isRead(command)) this.#send(command, sid, payload, ttlSeconds);
    return Promise.resolve(this.#degrade(command, 'circuit'));
  }

  /**
   * Removes what is kept of a session's intelligence, and leaves word of it for as long as a message of the session's may be on
   * its way: what comes late is not counted. SET and UNLINK, in one round trip.
   */
  forget(sid: string): void {
    checkSessionId('forget', sid);
    this.#renewals.forget(sid);
    const { gone, ...keys } = commandKeys(this.namespace, sid);
    const left = this.#keys.set(gone, '', 'PX', this.#messageAgeMs);
    const forgotten = Promise.all([left, this.#keys.unlink(...Object.values(keys))]);
    this.#pending.track(forgotten.catch((error) => this.#degrade('forget', 'redis', error)));
  }

  /**
   * Lets what is known of a session live as long as the session, where no page view does: nobody waits, and one script at
   * most in a sixteenth of that time.
   */
  renew(sid: string, ttlSeconds: number): void {
    checkSessionId('renew', sid);
    checkTtl('renew', ttlSeconds);
    if (this.#closed || this.#keys.status !== 'ready') return;
    this.#renewals.renew(sid, ttlSeconds)?.catch((error) => this.#degrade('renew', 'redis', error));
  }

  /**
   * Sends what was not sent yet, at most `timeout` ms (5000) and not where Redis is away; answers who waits with nothing;
   * closes the connections. Can be called twice.
   */
  close(options?: { timeout?: number | undefined }): Promise<void> {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    await this.#pending.settled(timeoutMs);
    this.#held.fail(new Error('closed'));
    for (const waiter of [...this.#waiting.values()]) this.#settle(waiter, this.#degrade(waiter.command, 'closed'));
    this.#refused.flush();
    this.#inbox?.close();
    this.#lists?.close();
    endConnection(this.#sending);
    endConnection(this.#keys);
  }

  #askByInbox(asked: Asked, target: Target): Promise<Answer> {
    const { command, start, ttlSeconds, timeoutMs } = asked;
    const [id, nonce] = [this.#newId(), randomUUID()];
    const left = this.#patienceMs(timeoutMs);
    return new Promise((resolve) => {
      const waiter = this.#wait(id, { command, nonce, payload: asked.payload }, target, left, resolve);
      const request = start + this.#inboxRid(id, nonce, left, ttlSeconds);
      this.#post(asked, request, (posted, error) => this.#posted(waiter, posted, error));
    });
  }

  async #askByList(lists: ReplyLists, asked: Asked, target: Target) {
    const { command, sid, start, payload, ttlSeconds, timeoutMs } = asked;
    const left = this.#patienceMs(timeoutMs);
    const untilMs = loopNowMs() + left;
    let client: Redis;
    try {
      client = await lists.take(left);
    } catch {
      if (!isRead(command)) this.#send(command, sid, payload, ttlSeconds);
      return this.#degrade(command, 'busy');
    }
    return new Promise<Answer>((resolve) => {
      const id = this.#newId();
      const waiter = this.#wait(id, { command, payload }, target, untilMs - loopNowMs(), resolve);
      const rid = formatRequestId({ id, replyTo: 'list' });
      this.#post(asked, start + rid, (posted, error) => this.#posted(waiter, posted, error));
      lists
        .wait(client, replyKey(this.namespace, { command, sid, rid }), untilMs)
        .then((text) => {
          if (text === null) return;
          // this form says no ttl, and the worker has kept it for its own
          this.#renewals.forget(sid);
          if (!isRead(command)) this.renew(sid, ttlSeconds);
          const data = parseAnswer(text);
          if (data !== undefined) this.#arrived({ id, command, data });
          // nothing else comes to this list
          if (this.#waiting.has(id))
            this.#settle(waiter, this.#degrade(command, 'failed', data === undefined && NO_JSON));
        })
        .catch((error) => this.#posted(waiter, 'sent', error));
    });
  }

  /** What counts and could not be sent goes when the connection is back, though nobody waits for its answer any longer. */
  #post({ command, sid, payload, ttlSeconds }: Asked, request: string, settle: OutgoingMessage['onPublished']): void {
    this.#publisher.publish({
      sid,
      request,
      payload,
      onPublished: (posted, error) => {
        settle(posted, error);
        if (!this.#closed && !isRead(command) && wasNotSent(error)) this.#send(command, sid, payload, ttlSeconds);
      },
    });
  }

  /** On top of the way to Redis and back, and of a worker's that is as far away from it and has just begun to read. */
  #patienceMs(timeoutMs: number): number {
    return timeoutMs + 4 * distanceMsOf(this.#target);
  }

  #wait(
    id: string,
    expected: Pick<Waiter, 'command' | 'nonce' | 'payload'>,
    target: Target,
    left: number,
    resolve: (answer: Answer) => void,
  ): Waiter {
    const { command, nonce, payload } = expected;
    const timeout = new LoopTimeout(() => this.#timedOut(waiter), left);
    const waiter: Waiter = { id, command, nonce, payload, target, resolve, timeout };
    this.#waiting.set(id, waiter);
    return waiter;
  }

  #settle(waiter: Waiter, answer: Answer): void {
    waiter.timeout.clear();
    this.#waiting.delete(waiter.id);
    waiter.resolve(answer);
  }

  #timedOut(waiter: Waiter): void {
    this.#settle(waiter, this.#degrade(waiter.command, 'timeout'));
    this.#circuits.timedOut(waiter.target);
  }

  /** What is known once a message has been sent: whether there is anything to wait for. */
  #posted(waiter: Waiter, posted: PublishResult, error?: unknown): void {
    if ((posted === 'sent' && error === undefined) || !this.#waiting.has(waiter.id)) return;
    const reason = error !== undefined || posted === 'sent' ? 'redis' : posted;
    this.#settle(waiter, this.#degrade(waiter.command, reason, error));
  }

  /** A message that asks for an answer, though nobody waits: it closes the circuit. */
  #probe(asked: Asked, target: Target): void {
    const { command, sid, start, payload, ttlSeconds, timeoutMs } = asked;
    const id = this.#newId();
    const nonce = this.#lists ? undefined : randomUUID();
    const left = this.#patienceMs(timeoutMs);
    const settle = (_: PublishResult, error?: unknown) => {
      if (error !== undefined) this.emit('fault', redisFault(error));
    };
    if (this.#probes.size > 100) this.#probes.clear();
    this.#probes.set(id, { command, nonce, target });
    if (!this.#lists) {
      this.#post(asked, start + this.#inboxRid(id, nonce, left, ttlSeconds), settle);
      return;
    }
    const rid = formatRequestId({ id, replyTo: 'list' });
    const key = replyKey(this.namespace, { command, sid, rid });
    const wait = async (lists: ReplyLists) => {
      const client = await lists.take(left).catch(() => undefined);
      if (!client) {
        if (!isRead(command)) this.#send(command, sid, payload, ttlSeconds);
        return;
      }
      this.#post(asked, start + rid, settle);
      if ((await lists.wait(client, key, loopNowMs() + left)) !== null) this.#arrived({ id, command });
    };
    wait(this.#lists).catch((error) => this.emit('fault', redisFault(error)));
  }

  #inboxRid(id: string, nonce: string | undefined, left: number, ttlSeconds: number): string {
    const inbox = this.#inbox?.name;
    const replyTo = inbox === undefined ? 'nobody' : { inbox };
    const rid = { id, replyTo, budgetMs: Math.ceil(left), ttlSeconds } as const;
    return formatRequestId(nonce === undefined ? rid : { ...rid, nonce });
  }

  /** In ascending order: a worker knows by that what it has counted. */
  #newId(): string {
    if (++this.#count > LAST_NUMBER) [this.#sender, this.#count] = [newSender(), 1];
    return `${this.#sender}~${this.#count.toString(36)}`;
  }

  get #isReady(): boolean {
    return (
      this.#sending.status === 'ready' && (this.#inbox === undefined || this.#inbox.name !== undefined) && !this.#closed
    );
  }

  /** The first connections are waited for; one that was lost is not. */
  async #firstConnection(): Promise<void> {
    for (const availability of [this.#availability, this.#inboxAvailability]) {
      if (this.#closed) throw new Error('closed');
      const { state } = availability ?? {};
      if (state === 'lost' || state === 'away') throw new Error('not connected');
      await availability?.ready();
    }
    if (!this.#isReady) throw new Error('not connected');
  }

  #arrived(item: InboxItem): void {
    const { id, data, error } = item;
    const waiter = this.#waiting.get(id);
    const asked = waiter ?? this.#probes.get(id);
    if (!asked) return; // too late, or not ours
    if (!this.#answerCheck.belongs(item, asked)) {
      // who waits goes on waiting for its own answer
      this.#requests.inc(asked.command, 'refused');
      this.#refused.add('An answer was refused: it is not of the request that it names');
      return;
    }
    this.#circuits.answered(asked.target);
    this.#probes.delete(id);
    if (!waiter) return;
    if (error !== undefined) {
      this.#settle(
        waiter,
        this.#degrade(waiter.command, 'failed', commandFault(waiter.command, waiter.payload, error)),
      );
      return;
    }
    this.#requests.inc(waiter.command, 'answered');
    this.#settle(waiter, { answered: true, data });
  }

  /** An id of the application's own genid(): the page is not to blame. */
  #unsendable(command: string): Answer {
    const message = `A session id has 1 to ${MAX_ID_LENGTH} characters`;
    this.emit('fault', new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', message));
    return this.#degrade(command, 'session-id');
  }

  #lost(cause?: unknown): void {
    if (cause !== undefined) this.emit('fault', redisFault(cause));
    for (const waiter of [...this.#waiting.values()]) this.#settle(waiter, this.#degrade(waiter.command, 'redis'));
  }

  protected override get connected(): boolean | undefined {
    return this.#closed ? undefined : this.#sending.status === 'ready';
  }

  #circuitChanged(state: 'open' | 'closed', ownCommand?: string, oneSession = false): void {
    say('circuit %s', state);
    if (state === 'open') this.#unanswered.noAnswer(ownCommand, oneSession);
    this.emit('circuit', state);
    if (state === 'open') this.#target.leaveReplica().catch((error) => this.emit('fault', redisFault(error)));
  }

  #degrade(command: string, reason: DegradedReason, cause?: unknown): Answer {
    this.#requests.inc(command, reason);
    if (reason === 'no-worker') this.#unanswered.noWorker(command);
    say('%s: %s', command, reason);
    this.emit('degraded', command, reason);
    if (cause) this.emit('fault', redisFault(cause));
    return { answered: false };
  }
}
