import { Task } from '../intelligence/task.js';
import { answerText, errorText, type Message, type ReplyList, replyListOf } from './protocol.js';

/** What a worker's messages have in common. */
export interface MessageContext {
  readonly namespace: string;
  /** of a session whose message does not say */
  readonly ttlSeconds: number;
  /** of a stream's message */
  readonly maxMessageAgeSeconds: number;
  /** takes answers on their way, an element of the list at `key` each */
  readonly replies: { push(to: { key: string; ttlMs: number }, text: string): void };
}

/** A message from elsewhere: its answer goes back through Redis. */
export class WorkerTask extends Task {
  /** Has a script taken its entry off the group's list? */
  acknowledged = false;
  /** Where its answer goes; undefined: nobody waits. */
  readonly replyList: ReplyList | undefined;

  constructor(
    readonly message: Message,
    payload: string,
    heardMs: number,
    readonly context: MessageContext,
    /** of a stream: which, and the entry's id */
    readonly entry?: { readonly stream: string; readonly id: string },
  ) {
    const { command, sid, request } = message;
    super(command, sid, request.id, payload, request.ttlSeconds ?? context.ttlSeconds, heardMs);
    this.replyList = replyListOf(context.namespace, message);
  }

  get awaited(): boolean {
    return this.replyList !== undefined;
  }

  get isLate(): boolean {
    const { budgetMs } = this.message.request;
    return this.awaited && budgetMs !== undefined && performance.now() - this.heardMs > budgetMs;
  }

  /** A stream's counts from when it was added. */
  override get isExpired(): boolean {
    const ageMs = performance.now() - this.heardMs;
    return this.entry !== undefined && ageMs > this.context.maxMessageAgeSeconds * 1000;
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
