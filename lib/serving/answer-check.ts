import { builtIn } from '../intelligence/commands.js';
import type { InboxItem } from '../transport/protocol.js';

/** What an answer must agree with. */
export interface Expected {
  readonly command: string;
  /** The nonce of the request; undefined where each request has a list of its own, whose name nobody else's answer has. */
  readonly nonce?: string | undefined;
}

/** Decides whether an answer belongs to a request: whoever may publish can make a worker answer to any inbox. */
export class AnswerCheck {
  /**
   * Has a worker repeated a nonce? Until then an answer without one may be that of an older worker, which knows of none; from
   * then on every answer must have the right one.
   */
  #isNonceRequired = false;

  belongs(item: InboxItem, { command, nonce }: Expected): boolean {
    if (item.command !== command) return false;
    if (nonce !== undefined && item.nonce !== nonce && (item.nonce !== undefined || this.#isNonceRequired))
      return false;
    if (item.error !== undefined) return typeof item.error === 'string';
    const { data = null } = item;
    if (data !== null && builtIn.get(command)?.isAnswer(data) === false) return false;
    this.#isNonceRequired ||= item.nonce !== undefined;
    return true;
  }
}
