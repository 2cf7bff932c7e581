import { IntelligentSessionError, redisFault } from '../errors/errors.js';
import { DeduplicatedLog } from '../errors/deduplicated-log.js';
import { LoopTimeout } from '../redis/loop-clock.js';
import type { InboxItem } from '../transport/protocol.js';
import { AnswerCheck, type Expected } from './answer-check.js';
import type { CircuitBreakers, CircuitNames } from './circuit-breaker.js';
import { commandFault } from './command-fault.js';
import type { Answer, DegradedReason, Question } from './executor.js';
import type { ExecutorEmitter } from './executor-emitter.js';
import type { Outcomes } from './outcomes.js';

/** The most half-open trials (circuit-breaker.ts) that are remembered until their answers come; beyond it all are forgotten. */
const MAX_TRIALS = 100;

/** A request that was sent, and whose answer may come. */
export interface SentRequest {
  readonly question: Question;
  readonly circuits: CircuitNames;
  /** Is called with the answer. A half-open trial has no such function: nobody waits for its answer, which only closes the circuit. */
  readonly answered?: (answer: Answer) => void;
}

interface Waiting {
  readonly request: SentRequest;
  readonly expected: Expected;
  readonly timeout?: LoopTimeout;
}

/** Keeps each request that was sent by its id, until its answer has come, its time is up, or it is known that no answer comes. */
export class WaitingRequests {
  readonly #waiting = new Map<string, Waiting>();
  readonly #trials = new Map<string, Waiting>();
  readonly #answerCheck = new AnswerCheck();
  readonly #refusals: DeduplicatedLog;

  constructor(
    readonly outcomes: Outcomes,
    readonly breakers: CircuitBreakers,
    readonly events: ExecutorEmitter,
  ) {
    this.#refusals = new DeduplicatedLog((text, times) => {
      const message = times === 1 ? text : `${text} (${times} times within a second)`;
      events.emit('fault', new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', message));
    });
  }

  /** How many requests wait for an answer, without half-open trials. */
  get size(): number {
    return this.#waiting.size;
  }

  add(id: string, nonce: string | undefined, request: SentRequest, timeoutMs: number): void {
    const expected = { command: request.question.command, nonce };
    if (request.answered) {
      const timeout = new LoopTimeout(() => this.#timedOut(id, request), timeoutMs);
      this.#waiting.set(id, { request, expected, timeout });
    } else {
      if (this.#trials.size >= MAX_TRIALS) this.#trials.clear();
      this.#trials.set(id, { request, expected });
    }
  }

  /**
   * Takes an answer that has arrived. One that is not the request's own, or not of the form that its command gives, is refused, and the
   * request goes on waiting.
   */
  answered(item: InboxItem): void {
    const { id, data = null, error } = item;
    const waiting = this.#waiting.get(id) ?? this.#trials.get(id);
    if (!waiting) return; // The answer came too late, or to a request that never was.
    const { question, circuits, answered } = waiting.request;
    const { command, payload } = question;
    if (!this.#answerCheck.belongs(item, waiting.expected)) {
      this.outcomes.count(command, 'refused');
      this.#refusals.add('An answer was refused: it is not of the request that it names');
      return;
    }
    this.breakers.answered(circuits);
    if (!answered) this.#trials.delete(id);
    else if (error === undefined) this.#end(id, this.outcomes.answered(command, data));
    else this.unanswered(id, 'failed', commandFault(command, payload, error));
  }

  /** Ends a request that gets no answer. Nobody waits for a trial's, so of a trial only the cause is told. */
  unanswered(id: string, reason: DegradedReason, cause?: unknown): void {
    const waiting = this.#waiting.get(id);
    if (waiting) this.#end(id, this.outcomes.unanswered(waiting.request.question.command, reason, cause));
    else if (this.#trials.delete(id) && cause !== undefined) this.events.emit('fault', redisFault(cause));
  }

  /** Ends all requests that wait. Half-open trials stay, since nobody waits for them: MAX_TRIALS bounds them. */
  allUnanswered(reason: DegradedReason): void {
    for (const id of [...this.#waiting.keys()]) this.unanswered(id, reason);
  }

  close(): void {
    this.allUnanswered('closed');
    this.#refusals.flush();
  }

  #timedOut(id: string, { question, circuits }: SentRequest): void {
    const answer = this.outcomes.unanswered(question.command, 'timeout');
    // Before the answer is given, so that whoever gets it finds the circuit open.
    this.breakers.timedOut(circuits);
    this.#end(id, answer);
  }

  #end(id: string, answer: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.timeout?.clear();
    waiting?.request.answered?.(answer);
  }
}
