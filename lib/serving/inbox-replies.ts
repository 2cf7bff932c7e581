import { randomUUID } from 'node:crypto';
import { Availability } from '../redis/availability.js';
import type { RedisTarget } from '../redis/target.js';
import { Inbox } from '../transport/replies/inbox.js';
import type { RequestReplies, RequestSender } from './request-replies.js';
import type { SentRequest } from './waiting-requests.js';

/**
 * All answers come to one list of the process, its inbox. Each request has a time limit, and a nonce that its answer repeats.
 */
export class InboxReplies implements RequestReplies {
  readonly availability: Availability;
  readonly #inbox: Inbox;

  constructor(
    target: RedisTarget,
    readonly sender: RequestSender,
    maxWaitMs: number,
  ) {
    const { namespace, waiting } = sender;
    const onItem = waiting.answered.bind(waiting);
    this.#inbox = new Inbox(target, namespace, onItem, (cause) => sender.lost(cause));
    this.availability = new Availability(this.#inbox.client, maxWaitMs);
  }

  get canAsk(): boolean {
    return this.#inbox.name !== undefined;
  }

  request(request: SentRequest, patienceMs: number): void {
    const { ids, waiting } = this.sender;
    const { ttlSeconds, isAnonymous, sentMs } = request.question;
    const [id, nonce] = [ids.next(), randomUUID()];
    waiting.add(id, nonce, request, patienceMs);
    // Without an inbox no answer can come: the message is sent for what it does.
    const inbox = this.#inbox.name;
    const replyTo = inbox === undefined ? 'nobody' : { inbox };
    const budgetMs = Math.ceil(patienceMs);
    this.sender.publish(request, { id, replyTo, budgetMs, ttlSeconds, nonce, isAnonymous, sentMs });
  }

  close(): void {
    this.#inbox.close();
  }
}
