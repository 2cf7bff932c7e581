import { Task } from '../intelligence/task.js';
import { answerOf, answerText, errorText, type Message } from './protocol.js';

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
  /** undefined: nobody waits */
  readonly replyTo: ReturnType<typeof answerOf>;

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
    this.replyTo = answerOf(context.namespace, message);
  }

  get awaited(): boolean {
    return this.replyTo !== undefined;
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
    if (this.replyTo) this.context.replies.push(this.replyTo, answerText(this.replyTo.head, json));
  }

  /** The paper's list has no place for an error: its asker's own timer ends the wait. */
  refuse(why: string): void {
    if (this.replyTo && this.replyTo.head !== '')
      this.context.replies.push(this.replyTo, errorText(this.replyTo.head, why));
  }
}
