import { builtIn } from '../intelligence/commands.js';
import { formatPayload } from '../transport/protocol.js';
import { keyItem } from '../intelligence/command/keyed-item.js';

/** A message with its items keyed, and how its answer is read. */
interface Keyed {
  readonly payload: unknown;
  /** The answer in the asker's own words, where it has keyed items in it. What it did not ask about is left out. */
  answer?(data: unknown): unknown;
}

/** Keys the pages and notification ids of built-in commands before they are sent (option `itemSecret`), an HMAC each. */
export class KeyedItems {
  constructor(readonly secret: string | undefined) {}

  of(command: string, sid: string, payload: unknown): Keyed {
    const { secret } = this;
    if (secret === undefined) return { payload };
    const descriptor = builtIn.get(command);
    if (descriptor?.items !== undefined) formatPayload(payload); // refuses what is too large, before it costs an HMAC
    if (descriptor?.items === 'payload') return { payload: keyItem(secret, sid, String(payload)) };
    // a text is a combo's name
    if (descriptor?.items !== 'list' || !Array.isArray(payload)) return { payload };
    const names = new Map(payload.map((item: string) => [keyItem(secret, sid, item), item]));
    const nameOf = (key: string) => names.get(key);
    return {
      payload: [...names.keys()],
      answer: (data) => (Array.isArray(data) ? (descriptor.unkeyed?.(data, nameOf) ?? data) : data),
    };
  }
}
