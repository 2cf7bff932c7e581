import { keyItem } from '../intelligence/command/stored-item.js';
import { builtIn } from '../intelligence/commands.js';
import { formatPayload } from '../transport/protocol.js';

/** What is sent in a payload's place, and how its answer is read. */
interface Keyed {
  readonly payload: unknown;
  /** Gives an answer that has keyed items in it in the words of who asked; what was not asked about is left out. */
  readonly readAnswer?: (data: unknown) => unknown;
}

/** Keys the pages and notification ids of built-in commands before they are sent, with an HMAC each; without a key, none. */
export function keyItems(itemKey: string | undefined, command: string, sid: string, payload: unknown): Keyed {
  if (itemKey === undefined) return { payload };
  const descriptor = builtIn.get(command);
  // It refuses a payload that is too large before that costs an HMAC for each item.
  if (descriptor && descriptor.items !== 'none') formatPayload(payload);
  if (descriptor?.items === 'payload') return { payload: keyItem(itemKey, sid, String(payload)) };
  // A text in a list's place is the name of a combo.
  if (descriptor?.items !== 'list' || !Array.isArray(payload)) return { payload };
  const items = new Map(payload.map((item: string) => [keyItem(itemKey, sid, item), item]));
  const itemOf = (key: string) => items.get(key);
  return {
    payload: [...items.keys()],
    readAnswer: (data) => (Array.isArray(data) ? (descriptor.unkeyed?.(data, itemOf) ?? data) : data),
  };
}
