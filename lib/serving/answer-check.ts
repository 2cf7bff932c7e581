import { builtIn } from '../intelligence/commands.js';
import type { InboxItem } from '../transport/protocol.js';

/** What an answer must agree with. */
export interface Expected {
  readonly command: string;
  /** what the request said; undefined with a list a request, whose name nobody else's answer has */
  readonly nonce?: string | undefined;
}

/** Decides whether what came to an inbox answers a request: whoever may publish can make a worker answer there. */
export class AnswerCheck {
  /** Does a worker repeat nonces? From then on every answer must; until then it may be an older one's, that knows of none. */
  #required = false;

  belongs(item: InboxItem, { command, nonce }: Expected): boolean {
    if (item.command !== command) return false;
    if (nonce !== undefined && item.nonce !== nonce && (item.nonce !== undefined || this.#required)) return false;
    if (item.error !== undefined) return typeof item.error === 'string';
    const { data = null } = item;
    if (data !== null && builtIn.get(command)?.isAnswer(data) === false) return false;
    this.#required ||= item.nonce !== undefined;
    return true;
  }
}
