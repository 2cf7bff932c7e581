import { keyItem } from '../intelligence/command/stored-item.js';
import { builtIn } from '../intelligence/commands.js';
import { formatPayload } from '../transport/protocol.js';

interface Keyed {
  /** What is sent in the caller's payload's place. */
  readonly payload: unknown;
  /** Puts the caller's pages and ids in an answer in the place of the keyed ones; what was not asked about is left out. */
  readonly readAnswer?: (data: unknown) => unknown;
}

/** Keys the pages and notification ids of built-in commands before they are sent, an HMAC each. Without a key it keys none. */
export function keyItems(itemKey: string | undefined, command: string, sid: string, payload: unknown): Keyed {
  if (itemKey === undefined) return { payload };
  const descriptor = builtIn.get(command);
  // Called for its check alone: a payload that is too large is refused before it costs an HMAC for each item.
  if (descriptor && descriptor.items !== 'none') formatPayload(payload);
  if (descriptor?.items === 'payload') return { payload: keyItem(itemKey, sid, String(payload)) };
  // A text in a list's place is the name of a combo, and no item.
  if (descriptor?.items !== 'list' || !Array.isArray(payload)) return { payload };
  const items = new Map(payload.map((item: string) => [keyItem(itemKey, sid, item), item]));
  const itemOf = (key: string) => items.get(key);
  return {
    payload: [...items.keys()],
    readAnswer: (data) => (Array.isArray(data) ? (descriptor.unkeyed?.(data, itemOf) ?? data) : data),
  };
}
