import type { Availability } from '../redis/availability.js';
import type { RequestId } from '../transport/protocol.js';
import type { Message } from './executor.js';
import type { Outcomes } from './outcomes.js';
import type { RequestIds } from './request-ids.js';
import type { SentRequest, WaitingRequests } from './waiting-requests.js';

/** How answers come to an Express process: one implementation for each form of the option `replies`. */
export interface RequestReplies {
  /** Can answers arrive, once there is a connection that sends? */
  readonly canAsk: boolean;
  /** The availability of the connection by which answers arrive, where that is one, and always the same. */
  readonly availability?: Availability;
  /** Sends a request, whose answer is waited for `patienceMs` at most. */
  request(request: SentRequest, patienceMs: number): void;
  close(): void;
}

/** What both forms need of the executor. */
export interface RequestSender {
  readonly namespace: string;
  readonly ids: RequestIds;
  readonly waiting: WaitingRequests;
  readonly outcomes: Outcomes;
  /** Sends a request whose answer is expected. */
  publish(request: SentRequest, requestId: RequestId): void;
  /** Nobody waits for this answer any longer: what writes is sent all the same. */
  sendUnlessRead(message: Message): void;
  /** A worker has answered that was not told for how long the session is kept. */
  answeredWithoutTtl(message: Message): void;
  /** No answer can arrive to any of the requests that wait. */
  lost(cause?: unknown): void;
}
