import { Task } from '../intelligence/task.js';
import { answerText, errorText, type Message, type ReplyList, replyListOf } from './protocol.js';

/** What all messages of a worker have in common. */
export interface MessageContext {
  readonly namespace: string;
  /** How long what is known of a session is kept where its message does not say how long. */
  readonly ttlSeconds: number;
  /** Pushes answers to their lists. */
  readonly replies: { push(list: ReplyList, text: string): void };
}

/**
 * A message from another process: its answer goes back through Redis. On one Redis the script itself pushes most answers
 * (acknowledge-and-push.lua); those that this process makes are pushed here.
 */
export class WorkerTask extends Task {
  /** Has the script that worked on the message acknowledged its stream entry (XACK)? Else the source does so when it is finished. */
  acknowledged = false;
  /** The list that the answer is pushed to; undefined where nobody waits. */
  readonly replyList: ReplyList | undefined;

  constructor(
    readonly message: Message,
    payload: string,
    /** When the message was heard, or its entry added to its stream, by performance.now(). */
    heardMs: number,
    readonly context: MessageContext,
    /** The stream's key and the entry's id; undefined for a message that came by pub/sub. */
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

  /**
   * What the sender says, but no later than when the entry was added to its stream: an entry's id begins with that time, in ms since
   * 1970 by the clock of the stream's node.
   */
  override get sentMs(): number | undefined {
    const { sentMs } = this.message.request;
    if (!this.entry) return sentMs;
    return Math.min(sentMs ?? Number.POSITIVE_INFINITY, Number.parseInt(this.entry.id, 10));
  }

  override get isInStream(): boolean {
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
