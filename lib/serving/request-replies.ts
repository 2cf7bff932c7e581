import type { Availability } from '../redis/availability.js';
import type { RequestId } from '../transport/protocol.js';
import type { Message } from './executor.js';
import type { Outcomes } from './outcomes.js';
import type { RequestIds } from './request-ids.js';
import type { SentRequest, WaitingRequests } from './waiting-requests.js';

/** How answers come to an Express process: one implementation for each form of the option `replies`. */
export interface RequestReplies {
  /** Can answers arrive? Whether requests can be sent is known elsewhere. */
  readonly canAsk: boolean;
  /** The availability of the connection by which answers arrive; undefined where each request takes one from a pool. */
  readonly availability?: Availability;
  /** Sends a request, whose answer is waited for `patienceMs` at most. */
  request(request: SentRequest, patienceMs: number): void;
  close(): void;
}

/** What both forms of replies need of the executor. */
export interface RequestSender {
  readonly namespace: string;
  readonly ids: RequestIds;
  readonly waiting: WaitingRequests;
  readonly outcomes: Outcomes;
  /** Sends a request whose answer is expected. */
  publish(request: SentRequest, requestId: RequestId): void;
  /** For a question that was not sent, and whose caller has been answered: what writes is sent all the same. */
  sendUnlessRead(message: Message): void;
  /** To be called where a worker has answered that may not know how long what it keeps is to live. */
  answeredWithoutTtl(message: Message): void;
  /** To be called when no request that waits can get an answer any longer; `cause` is told as a fault. */
  lost(cause?: unknown): void;
}
