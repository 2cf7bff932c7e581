import { builtIn } from '../intelligence/commands.js';
import type { InboxItem } from '../transport/protocol.js';

/** What the request says that an answer must repeat. */
export interface Expected {
  readonly command: string;
  /** Undefined where each request has a list of its own: only its own answer is pushed there. */
  readonly nonce?: string | undefined;
}

/** Decides whether an answer belongs to a request: whoever may publish can have a worker send an answer to any inbox. */
export class AnswerCheck {
  /**
   * Has a worker repeated a nonce? Until then an answer without a nonce may come from an older worker, which knows of no
   * nonces; from then on every answer must have the right nonce.
   */
  #isNonceRequired = false;

  belongs(answer: InboxItem, { command, nonce }: Expected): boolean {
    if (answer.command !== command) return false;
    if (nonce !== undefined && answer.nonce !== nonce && (answer.nonce !== undefined || this.#isNonceRequired))
      return false;
    if (answer.error !== undefined) return typeof answer.error === 'string';
    const { data = null } = answer;
    if (data !== null && builtIn.get(command)?.isAnswer(data) === false) return false;
    this.#isNonceRequired ||= answer.nonce !== undefined;
    return true;
  }
}
