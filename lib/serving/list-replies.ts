import type { Redis } from 'ioredis';
import { IntelligentSessionError } from '../errors/errors.js';
import { loopNowMs } from '../redis/loop-clock.js';
import type { RedisTarget } from '../redis/target.js';
import { formatRequestId, replyKey, type RequestId } from '../transport/protocol.js';
import { ReplyLists } from '../transport/replies/lists.js';
import type { RequestReplies, RequestSender } from './request-replies.js';
import type { SentRequest } from './waiting-requests.js';

const NO_JSON = new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'An answer was not JSON');

/** Each answer comes to a list of its request's own, as in the white paper, at which a connection from a pool waits. */
export class ListReplies implements RequestReplies {
  /** A connection is made when a request needs one. */
  readonly canAsk = true;
  readonly #lists: ReplyLists;
  #isClosed = false;

  constructor(
    target: RedisTarget,
    readonly sender: RequestSender,
    connections: number,
  ) {
    this.#lists = new ReplyLists(target, connections);
  }

  request(request: SentRequest, patienceMs: number): void {
    void this.#request(request, patienceMs);
  }

  async #request(request: SentRequest, patienceMs: number): Promise<void> {
    const { sender } = this;
    const { question, answered } = request;
    const { command, sid, ttlSeconds, isAnonymous, sentMs } = question;
    const untilMs = loopNowMs() + patienceMs;
    let client: Redis;
    try {
      client = await this.#lists.take(patienceMs);
    } catch (error) {
      sender.sendUnlessRead(question);
      const isUnreachable = error instanceof IntelligentSessionError;
      const reason = this.#isClosed ? 'closed' : isUnreachable ? 'redis' : 'busy';
      answered?.(sender.outcomes.unanswered(command, reason));
      return;
    }
    const id = sender.ids.next();
    sender.waiting.add(id, undefined, request, untilMs - loopNowMs());
    // The white paper's form has an id alone: the ttl is sent only where another field is.
    const hasFields = isAnonymous || sentMs !== undefined;
    const requestId: RequestId = { id, replyTo: 'list', isAnonymous, sentMs, ...(hasFields && { ttlSeconds }) };
    sender.publish(request, requestId);
    const key = replyKey(sender.namespace, { command, sid, rid: formatRequestId(requestId) });
    try {
      const text = await this.#lists.wait(client, key, untilMs);
      if (text === null) return; // The timer of `waiting` tells it.
      sender.answeredWithoutTtl(question);
      const data = parseAnswer(text);
      if (data !== undefined) sender.waiting.answered({ id, command, data });
      // Ends a request whose answer was refused: nothing else comes to this list.
      sender.waiting.unanswered(id, 'failed', data === undefined ? NO_JSON : undefined);
    } catch (error) {
      sender.waiting.unanswered(id, 'redis', error);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#lists.close();
  }
}

/** Gives undefined where a text is no JSON: the error would repeat a part of it. */
function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
