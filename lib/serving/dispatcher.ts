import { LRUCache } from 'lru-cache';
import { isUserSubject } from '../intelligence/command/subject.js';
import { isRead } from '../intelligence/commands.js';
import type { ItemKey } from '../intelligence/item-key.js';
import { optionsOf } from '../options/check-arguments.js';
import type { RedisClient } from '../redis/connect.js';
import { isSendable } from '../redis/keys.js';
import type { ServerClock } from '../redis/server-clock.js';
import { formatPayload } from '../transport/protocol.js';
import { CLOSE_TIMEOUT_MS, UnfinishedWork } from '../redis/unfinished-work.js';
import type { Answer, DegradedReason, Message, Question, SendOptions } from './executor.js';
import { type HeldRequest, HeldRequests } from './held-requests.js';
import { keyItems } from './keyed-items.js';
import type { Outcomes } from './outcomes.js';
import { checkRequest } from './request-arguments.js';

/** For how many users it is remembered when this process erased their data. */
const REMEMBERED_ERASURES = 1_000;

/** What became of a message whose answer nobody waits for; `unsent`: the connection was lost first, so it can be sent again. */
export type SendResult = 'sent' | 'unsent' | DegradedReason;

/** Carries requests out once there is a connection: RemoteExecutor sends them to workers, LocalExecutor runs them itself. */
export interface Carrier {
  /** Can messages be sent? */
  canSend(): boolean;
  /** Can messages be sent, and can their answers arrive? */
  canAsk(): boolean;
  /** Is there no first connection yet, or is what has to be known before the first message being read? Then ask() waits. */
  isConnecting(): boolean;
  /** Why nothing can be sent, though there is a connection; undefined where there is none. */
  whyHeld(): Error | undefined;
  send(message: Message, finished: (result: SendResult, cause?: unknown) => void): void;
  ask(question: Question, answered: (answer: Answer) => void): void;
}

/**
 * Checks requests, and hands them to the carrier in the order in which they were made. While there is no connection, messages whose
 * answers nobody waits for are held for `holdMs`. A call of ask() waits for the process's first connection only. If a connection was
 * lost, the call is answered at once as degraded, and if its command writes, the message is sent, or held, without anybody waiting for it.
 */
export class Dispatcher {
  readonly #held: HeldRequests;
  /** By the users whose data this process has erased: the earliest sending time that their messages may say, see erased(). */
  readonly #earliestMs = new LRUCache<string, number>({ max: REMEMBERED_ERASURES });
  /** Messages whose answers nobody waits for, and the removals that have begun: close() waits for all of them. */
  readonly #unfinished: UnfinishedWork;
  /** From then on ask() is answered at once, and nothing is sent in its place. send() goes on: responses end that have begun before. */
  #isClosing = false;
  #closing: Promise<void> | undefined;

  constructor(
    client: RedisClient,
    readonly carrier: Carrier,
    readonly outcomes: Outcomes,
    /** The key by which pages and notification ids are keyed before they are sent. Nothing is sent before it is known. */
    readonly itemKey: ItemKey,
    holdMs: number,
    readonly clock: ServerClock,
  ) {
    this.#held = new HeldRequests(holdMs, () => carrier.whyHeld());
    this.#unfinished = new UnfinishedWork(client);
  }

  send(command: string, sid: string, payload: unknown, options: SendOptions): void {
    checkRequest('send', command, sid, options);
    const { ttlSeconds, isAnonymous = false } = options;
    const sentMs = this.#sentNow(sid, isAnonymous);
    const message = ({ text }: KeyedText) => ({ command, sid, payload: text, ttlSeconds, isAnonymous, sentMs });
    if (!this.itemKey.isKnown) {
      const keyed = this.#keyedLater(command, sid, payload);
      return this.#send(command, sid, () => message(keyed()));
    }
    const made = message(this.#keyed(command, sid, payload));
    this.#send(command, sid, () => made);
  }

  ask(
    command: string,
    sid: string,
    payload: unknown,
    options: SendOptions & { readonly timeoutMs: number },
  ): Promise<Answer> {
    checkRequest('ask', command, sid, options);
    const { ttlSeconds, timeoutMs, isAnonymous = false } = options;
    const sentMs = this.#sentNow(sid, isAnonymous);
    const question = ({ text }: KeyedText) => {
      return { command, sid, payload: text, ttlSeconds, timeoutMs, isAnonymous, sentMs };
    };
    if (!this.itemKey.isKnown) {
      const keyed = this.#keyedLater(command, sid, payload);
      const asked = this.#ask(command, sid, () => question(keyed()));
      return asked.then((answer) => (answer.answered ? readBy(keyed(), answer) : answer));
    }
    const keyed = this.#keyed(command, sid, payload);
    const made = question(keyed);
    const asked = this.#ask(command, sid, () => made);
    return keyed.readAnswer ? asked.then((answer) => readBy(keyed, answer)) : asked;
  }

  /** What is sent in a payload's place: its pages and ids are keyed. */
  #keyed(command: string, sid: string, payload: unknown): KeyedText {
    const { payload: keyed, readAnswer } = keyItems(this.itemKey.value, command, sid, payload);
    return { text: formatPayload(keyed), readAnswer };
  }

  /**
   * The same where the key is not known yet: the returned function is to be called when it is. The payload is made a text at
   * once, so that a wrong one throws here, and what the caller changes in it later is not sent.
   */
  #keyedLater(command: string, sid: string, payload: unknown): () => KeyedText {
    const text = formatPayload(payload);
    let keyed: KeyedText | undefined;
    return () => {
      keyed ??= this.#keyed(command, sid, typeof payload === 'string' ? text : JSON.parse(text));
      return keyed;
    };
  }

  /**
   * The time of sending, ms since 1970. A user goes on after their data were erased: by this time a worker tells messages that
   * were sent before the erasure from later ones. An anonymous visitor's message may be worked on for a user later.
   */
  #sentNow(sid: string, isAnonymous: boolean): number | undefined {
    const sentMs = isAnonymous || isUserSubject(sid) ? this.clock.atLeastMs : undefined;
    return sentMs === undefined ? undefined : Math.max(Math.floor(sentMs), this.#earliestMs.get(sid) ?? 0);
  }

  /**
   * A user's data were erased before Redis' clock showed `shownMs` (since 1970): what is sent from here on says a later time.
   */
  erased(sid: string, shownMs: number): void {
    this.#earliestMs.set(sid, Math.floor(shownMs) + 1);
  }

  #send(command: string, sid: string, message: () => Message): void {
    if (!isSendable(sid)) return void this.outcomes.unsendable(command);
    const request = this.#withoutWaiter(command, message);
    // Where other requests are held, this one goes behind them, so that a session's messages keep their order.
    if (this.#held.isEmpty && this.carrier.canSend()) request.go();
    else this.#held.add(request);
  }

  #ask(command: string, sid: string, question: () => Question): Promise<Answer> {
    if (!isSendable(sid)) return Promise.resolve(this.outcomes.unsendable(command));
    if (this.#isClosing) return Promise.resolve(this.outcomes.unanswered(command, 'closed'));
    // Where answers can arrive nothing is held: connectionChanged() has sent it.
    if (this.carrier.canAsk()) return new Promise((resolve) => this.carrier.ask(question(), resolve));
    if (this.carrier.isConnecting())
      return new Promise((resolve) => this.#held.add(this.#withWaiter(command, question, resolve)));
    if (!isRead(command)) this.#send(command, sid, question);
    return Promise.resolve(this.outcomes.unanswered(command, 'redis'));
  }

  /** Sends a question that was not sent while somebody waited for its answer, if its command writes: a mere read would be of no use. */
  sendUnlessRead(message: Message): void {
    if (!isRead(message.command) && !this.#isClosing) this.#send(message.command, message.sid, () => message);
  }

  /** To be called when what the carrier can do has changed. */
  connectionChanged(): void {
    if (!this.carrier.canAsk() && !this.carrier.isConnecting()) this.#held.stopWaiting();
    // A held request whose answer is awaited stays, with all behind it, until answers can arrive, too.
    if (this.carrier.canAsk() || (this.carrier.canSend() && !this.#held.isAwaited)) this.#held.flush();
  }

  /** Makes close() wait for this work. */
  track(work: Promise<unknown>): void {
    this.#unfinished.track(work);
  }

  /** Waits for the unfinished work, then fails the requests that are still held, and calls `end`, once. */
  close(options: { timeout?: number | undefined } | undefined, end: () => void): Promise<void> {
    const { timeout = CLOSE_TIMEOUT_MS } = optionsOf('close', options);
    this.#closing ??= this.#close(timeout, end);
    return this.#closing;
  }

  async #close(timeoutMs: number, end: () => void): Promise<void> {
    this.#isClosing = true;
    await this.#unfinished.settled(timeoutMs);
    this.#held.close();
    end();
  }

  #withoutWaiter(command: string, message: () => Message): HeldRequest {
    this.#unfinished.begin();
    const fail: HeldRequest['fail'] = (reason, cause) => {
      this.#unfinished.end();
      this.outcomes.unanswered(command, reason, cause);
    };
    const request: HeldRequest = {
      go: () =>
        withMade(message, fail, (made) =>
          this.carrier.send(made, (result, cause) => {
            if (result === 'unsent' && !this.#isClosing) return this.#held.add(request);
            this.#unfinished.end();
            // That no worker listens is only counted (and warned of on the console): no page lacks an answer.
            if (result === 'sent' || result === 'no-worker') this.outcomes.count(command, result);
            else this.outcomes.unanswered(command, result === 'unsent' ? 'closed' : result, cause);
          }),
        ),
      fail,
    };
    return request;
  }

  #withWaiter(command: string, question: () => Question, answered: (answer: Answer) => void): HeldRequest {
    const fail: HeldRequest['fail'] = (reason, cause) => answered(this.outcomes.unanswered(command, reason, cause));
    return {
      go: () => withMade(question, fail, (made) => this.carrier.ask(made, answered)),
      fail,
      stopWaiting: () => {
        answered(this.outcomes.unanswered(command, 'redis'));
        return isRead(command) ? undefined : this.#withoutWaiter(command, question);
      },
    };
  }
}

interface KeyedText {
  /** What is sent in a payload's place. */
  readonly text: string;
  /** Puts the caller's own pages and ids in an answer in the place of the keyed ones; undefined where it has none. */
  readonly readAnswer: ((data: unknown) => unknown) | undefined;
}

/** An answer with the pages and ids that the caller asked about in the place of the keyed ones. */
const readBy = ({ readAnswer }: KeyedText, answer: Answer): Answer =>
  answer.answered && readAnswer ? { answered: true, data: readAnswer(answer.data) } : answer;

/** Makes a message that was held, and uses it. Where its payload is too large once its pages are keyed, the request fails. */
function withMade<T>(make: () => T, fail: HeldRequest['fail'], use: (made: T) => void): void {
  let made: T;
  try {
    made = make();
  } catch (error) {
    return fail('failed', error as Error);
  }
  use(made);
}
