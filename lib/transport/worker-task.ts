import { Task } from '../intelligence/task.js';
import { answerText, errorText, type Message, type ReplyList, replyListOf } from './protocol.js';

/** What all messages of a worker have in common. */
export interface MessageContext {
  readonly namespace: string;
  /** How long the intelligence of a session is kept whose message does not say. */
  readonly ttlSeconds: number;
  /** A message that was in its stream for longer is not worked on. */
  readonly maxMessageAgeSeconds: number;
  /** Takes answers on their way. */
  readonly replies: { push(list: ReplyList, text: string): void };
}

/** A message from another process: its answer goes back through Redis. */
export class WorkerTask extends Task {
  /** Has a script taken its entry off the group's list? */
  acknowledged = false;
  /** Where its answer goes; undefined where nobody waits. */
  readonly replyList: ReplyList | undefined;

  constructor(
    readonly message: Message,
    payload: string,
    heardMs: number,
    readonly context: MessageContext,
    /** Of a message from a stream: the stream's key, and the entry's id. */
    readonly entry?: { readonly stream: string; readonly id: string },
  ) {
    const { command, sid, request } = message;
    const ttlSeconds = request.ttlSeconds ?? context.ttlSeconds;
    super(command, sid, request.id, payload, ttlSeconds, heardMs, request.isAnonymous);
    this.replyList = replyListOf(context.namespace, message);
  }

  get awaited(): boolean {
    return this.replyList !== undefined;
  }

  get isExpired(): boolean {
    const { budgetMs } = this.message.request;
    return this.awaited && budgetMs !== undefined && performance.now() - this.heardMs > budgetMs;
  }

  override get isTooOld(): boolean {
    const ageMs = performance.now() - this.heardMs;
    return this.entry !== undefined && ageMs > this.context.maxMessageAgeSeconds * 1000;
  }

  /** What its sender says, and not later than it was added to its stream. */
  override get sentMs(): number | undefined {
    const { sentMs } = this.message.request;
    if (!this.entry) return sentMs;
    return Math.min(sentMs ?? Number.POSITIVE_INFINITY, Number.parseInt(this.entry.id, 10));
  }

  override get isKept(): boolean {
    return this.entry !== undefined;
  }

  answer(json: string): void {
    this.#push(this.replyList && answerText(this.replyList, json));
  }

  refuse(why: string): void {
    this.#push(this.replyList && errorText(this.replyList, why));
  }

  #push(text: string | undefined): void {
    if (this.replyList && text !== undefined) this.context.replies.push(this.replyList, text);
  }
}
