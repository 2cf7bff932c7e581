import debug from 'debug';
import { redisFault } from '../errors/errors.js';
import { builtIn, isRead } from '../intelligence/commands.js';
import { ItemKey } from '../intelligence/item-key.js';
import { Metrics, type PromRegistry } from '../metrics/metrics.js';
import { Availability } from '../redis/availability.js';
import { DEFAULT_MAX_WAIT_MS, namespaceOf, type RedisClient, type RedisOption } from '../redis/connect.js';
import { endConnection } from '../redis/end-connection.js';
import { distanceMsOf } from '../redis/liveness.js';
import { wasNotSent } from '../redis/lost-connection.js';
import { openTarget } from '../redis/open-target.js';
import { ServerClock } from '../redis/server-clock.js';
import type { RedisTarget } from '../redis/target.js';
import {
  DEFAULT_PARTITIONS,
  formatRequestId,
  messageAgeMsOf,
  type RequestId,
  requestOf,
} from '../transport/protocol.js';
import type { Publisher } from '../transport/publisher.js';
import { CircuitBreakers, type CircuitScope } from './circuit-breaker.js';
import { Dispatcher, type SendResult } from './dispatcher.js';
import { CarriesUnderWay } from './carries-under-way.js';
import type { Answer, Executor, Message, Question } from './executor.js';
import { ExecutorEmitter } from './executor-emitter.js';
import { InboxReplies } from './inbox-replies.js';
import { KeptIntelligence } from './kept-intelligence.js';
import { ListReplies } from './list-replies.js';
import { Outcomes } from './outcomes.js';
import {
  checkReplies,
  DEFAULT_REPLY_CONNECTIONS,
  publisherOf,
  type RemoteExecutorOptions,
} from './remote-executor-options.js';
import { RequestIds } from './request-ids.js';
import type { RequestReplies, RequestSender } from './request-replies.js';
import { UnansweredWarnings } from './unanswered-warnings.js';
import { type SentRequest, WaitingRequests } from './waiting-requests.js';

const log = debug('intelligent-session:serving');
/** The pause before the item key is read again, where it could not be read. */
const KEY_RETRY_MS = 1_000;

/**
 * Sends commands to workers that it does not know, and waits for their answers: each for a limited time, and behind circuit
 * breakers, which spare requests the wait for a worker that does not answer.
 */
export class RemoteExecutor extends ExecutorEmitter implements Executor {
  readonly namespace: string;
  readonly itemKey: ItemKey;
  readonly #metrics = new Metrics();
  readonly #outcomes = new Outcomes(this, this.#metrics, log);
  readonly #ids = new RequestIds();
  /** Tells on the console why requests go unanswered. */
  readonly #warnings: UnansweredWarnings;
  readonly #breakers = new CircuitBreakers({
    opened: (scope) => this.#circuitOpened(scope),
    closed: () => this.#circuitChanged('closed'),
  });
  readonly #waiting = new WaitingRequests(this.#outcomes, this.#breakers, this);
  /** The client for the keys with what is kept of sessions. */
  readonly #keys: RedisClient;
  /** Where messages are sent to, and workers listen. */
  readonly #target: RedisTarget;
  /** The client that sends messages. With the transport `stream` it is #keys. */
  readonly #sending: RedisClient;
  readonly #publisher: Publisher;
  readonly #replies: RequestReplies;
  /** The availability of the connection that sends, and of the inbox's (with `replies: 'list'` there is none). */
  readonly #availabilities: readonly Availability[];
  readonly #keysAvailability: Availability;
  readonly #carries = new CarriesUnderWay();
  readonly #dispatcher: Dispatcher;
  readonly #kept: KeptIntelligence;
  #keyRetry: NodeJS.Timeout | undefined;
  /** Why the item key could not be read, though Redis can be reached. */
  #keyFault: Error | undefined;
  #isClosed = false;

  constructor(redis: RedisOption, options: RemoteExecutorOptions = {}) {
    super();
    const { namespace: given = '', transport = 'pubsub', replies = 'inbox', tellsAway } = options;
    const { partitions = DEFAULT_PARTITIONS, maxWaitMs = DEFAULT_MAX_WAIT_MS } = options;
    const namespace = namespaceOf(redis, given);
    checkReplies(redis, replies);
    const target = openTarget(redis);
    this.namespace = namespace;
    this.#keys = target.client;
    this.#warnings = new UnansweredWarnings({ target, namespace, transport, partitions });
    this.#target = transport === 'stream' ? target : target.publisher();
    this.#publisher = publisherOf(this.#target, namespace, target.countsSubscribers, options);
    this.#sending = this.#target.client;
    const sendingAvailability = new Availability(this.#sending, maxWaitMs);
    this.tellOf(sendingAvailability, tellsAway);
    const sender = this.#requestSender();
    this.#replies =
      replies === 'list'
        ? new ListReplies(target, sender, options.replyConnections ?? DEFAULT_REPLY_CONNECTIONS)
        : new InboxReplies(target, sender, maxWaitMs);
    const { availability } = this.#replies;
    this.#availabilities = availability ? [sendingAvailability, availability] : [sendingAvailability];
    const carrier = {
      canSend: () => this.isConnected && this.itemKey.isKnown,
      canAsk: () => this.isConnected && this.itemKey.isKnown && this.#replies.canAsk,
      isConnecting: () => this.#isConnecting(),
      whyHeld: () => (this.isConnected && !this.itemKey.isKnown ? this.#keyFault : undefined),
      send: (message: Message, finished: (result: SendResult, cause?: unknown) => void) =>
        this.#send(message, finished),
      ask: (question: Question, answered: (answer: Answer) => void) => this.#ask(question, answered),
    };
    this.#keysAvailability = transport === 'stream' ? sendingAvailability : new Availability(this.#keys, maxWaitMs);
    this.itemKey = new ItemKey(this.#keysAvailability, namespace, options.itemSecret, {
      loadEnded: () => this.#dispatcher.connectionChanged(),
      replaced: (error) => this.emit('fault', error),
    });
    const clock = new ServerClock(this.#keys, target.sharesCalls && options.hasUsers === true);
    this.#dispatcher = new Dispatcher(this.#sending, carrier, this.#outcomes, this.itemKey, maxWaitMs, clock);
    for (const availability of this.#availabilities) {
      availability.on('back', () => this.#dispatcher.connectionChanged());
      availability.on('away', () => this.#dispatcher.connectionChanged());
    }
    this.#kept = new KeptIntelligence(
      this.#keysAvailability,
      namespace,
      this.#dispatcher,
      this.#outcomes,
      messageAgeMsOf(options),
    );
    this.#keys.on('ready', () => this.#readKey());
    if (this.#keys.status === 'ready') this.#readKey();
    const metrics = this.#metrics;
    metrics.gauge('intelligent_session_waiting_requests', 'Requests that wait for an answer', () => this.#waiting.size);
    metrics.gauge('intelligent_session_open_circuits', 'Circuits that are open', () => this.#breakers.open);
  }

  get metrics(): PromRegistry {
    return this.#metrics.registry;
  }

  addMetrics(metrics: Metrics): void {
    this.#metrics.include(metrics);
  }

  send(...request: Parameters<Executor['send']>): void {
    this.#dispatcher.send(...request);
  }

  ask(...request: Parameters<Executor['ask']>): Promise<Answer> {
    return this.#dispatcher.ask(...request);
  }

  forget(sid: string): Promise<boolean> {
    return this.#kept.forget(sid);
  }

  renew(sid: string, ttlSeconds: number): void {
    this.#kept.renew(sid, ttlSeconds);
  }

  close(options?: { timeout?: number | undefined }): Promise<void> {
    return this.#dispatcher.close(options, () => {
      this.#isClosed = true;
      clearTimeout(this.#keyRetry);
      this.itemKey.close();
      this.#waiting.close();
      this.#replies.close();
      endConnection(this.#sending);
      endConnection(this.#keys);
    });
  }

  #send(message: Message, finished: (result: SendResult, cause?: unknown) => void): void {
    const { command, sid, ttlSeconds, isAnonymous, sentMs } = message;
    // The id is made when the message is sent, since ids have to ascend in the order in which messages are sent.
    const requestId: RequestId = { id: this.#ids.next(), replyTo: 'nobody', ttlSeconds, isAnonymous, sentMs };
    this.#publish(message, requestId, (result, error) => {
      if (error !== undefined) return finished(wasNotSent(error) ? 'unsent' : 'redis', error);
      // The message reaches no worker, which would renew what is kept of the session.
      if (result !== 'sent' && command === 'pageview') this.renew(sid, ttlSeconds);
      finished(result);
    });
  }

  #ask(question: Question, answered: (answer: Answer) => void): void {
    const { command, sid } = question;
    const ownCommand = builtIn.has(command) ? undefined : command;
    const circuits = { route: this.#publisher.routeOf(sid), sid, ownCommand };
    const admitted = this.#breakers.admit(circuits, performance.now());
    if (admitted === 'wait')
      return this.#request({ question, circuits, answered: this.#carries.noted(question, answered) });
    if (admitted === 'trial') this.#request({ question, circuits });
    else this.#dispatcher.sendUnlessRead(question);
    answered(this.#outcomes.unanswered(command, 'circuit'));
  }

  #request(request: SentRequest): void {
    this.#replies.request(request, this.#patienceMs(request.question));
  }

  /** What ListReplies or InboxReplies need of this executor. */
  #requestSender(): RequestSender {
    return {
      namespace: this.namespace,
      ids: this.#ids,
      waiting: this.#waiting,
      outcomes: this.#outcomes,
      publish: (request, requestId) => this.#publishRequest(request, requestId),
      sendUnlessRead: (message) => this.#dispatcher.sendUnlessRead(message),
      answeredWithoutTtl: ({ command, sid, ttlSeconds }) => {
        // The worker has used a default ttl of its own: what is kept gets the session's.
        this.#kept.renewNext(sid);
        if (!isRead(command)) this.renew(sid, ttlSeconds);
      },
      lost: (cause) => {
        if (cause !== undefined) this.emit('fault', redisFault(cause));
        this.#waiting.allUnanswered('redis');
      },
    };
  }

  /** Sends a request whose answer is expected. */
  #publishRequest({ question, circuits }: SentRequest, requestId: RequestId): void {
    const { id } = requestId;
    this.#publish(question, requestId, (result, error) => {
      if (error !== undefined) this.#waiting.unanswered(id, 'redis', error);
      else if (result !== 'sent') this.#waiting.unanswered(id, result);
      // Nobody has to be spared a wait where it is known at once that there is no worker, and the next worker is to be asked at once.
      if (result === 'no-worker' && circuits.ownCommand === undefined) this.#breakers.answered(circuits);
      // The message is sent when the connection is back, though nobody waits for its answer any longer.
      if (wasNotSent(error)) this.#dispatcher.sendUnlessRead(question);
    });
  }

  #publish(
    { command, sid, payload }: Message,
    requestId: RequestId,
    onPublished: (result: 'sent' | 'no-worker' | 'shed', error?: unknown) => void,
  ): void {
    this.#publisher.publish({
      sid,
      request: requestOf(command, sid, formatRequestId(requestId)),
      payload,
      onPublished: (result, error) => {
        if (result === 'no-worker' && error === undefined) this.#warnings.noWorker(command);
        // Others are there, so nobody is warned; but who waited for the next worker would mostly wait in vain.
        onPublished(result === 'passing' ? 'no-worker' : result, error);
      },
    });
  }

  /**
   * How long an answer is waited for: the timeout and five round trips to Redis, for a worker that is as far from Redis as this
   * process. The first is the request's way to Redis and the answer's way back; the second the message's way to the worker, and
   * its script call's way to Redis, which pushes the answer. For up to two more the message waits until round trips of the
   * worker have ended: a read of its stream, and a script call with an earlier message of the session. The fifth is needed
   * where a page view is sent again with all keys (script-messages.ts). Behind a login there are up to five more: two of the
   * carry, and three for the page view before it and for waiting until the worker may make another call for each.
   */
  #patienceMs({ sid, timeoutMs }: Question): number {
    return timeoutMs + (this.#carries.has(sid) ? 10 : 5) * distanceMsOf(this.#target);
  }

  /** There is a connection: reads the item key, by which pages are keyed. No message is sent before it is known. */
  #readKey(): void {
    if (this.itemKey.isKnown || this.#isClosed) return;
    this.itemKey.load().catch((error: unknown) => {
      if (this.#isClosed) return;
      this.#keyFault = redisFault(error);
      this.emit('fault', this.#keyFault);
      clearTimeout(this.#keyRetry);
      this.#keyRetry = setTimeout(() => this.#readKey(), KEY_RETRY_MS).unref();
    });
  }

  #isConnecting(): boolean {
    const states = this.#availabilities.map(({ state }) => state);
    return (
      (this.itemKey.isComing || states.includes('connecting')) &&
      states.every((state) => state === 'connecting' || state === 'ready')
    );
  }

  protected override get isConnected(): boolean {
    return this.#sending.status === 'ready';
  }

  protected override get isClosed(): boolean {
    return this.#isClosed;
  }

  #circuitOpened(scope: CircuitScope): void {
    this.#warnings.noAnswer(scope);
    this.#circuitChanged('open');
    // Answers may be missing since this server has become a replica, which takes messages though no worker listens there.
    this.#target.leaveReplica().catch((error) => this.emit('fault', redisFault(error)));
  }

  #circuitChanged(state: 'open' | 'closed'): void {
    log('circuit %s', state);
    this.emit('circuit', state);
  }
}
