// What the commands on lists share.

/**
 * To look up so many bytes of a list costs Redis as much as a page view. One call looks up no more than costs eight page views.
 */
const LOOKED_UP_BYTES = 512;
const MAX_LOOK_UP_COST = 8;
/** To send so many bytes, without a look-up, costs as much as a page view. */
const SENT_BYTES = 16_384;

/** A descriptor's `cost`, in page views, for a payload that is a JSON array. */
export const listCost = ({ length }: string): number =>
  1 + Math.min(MAX_LOOK_UP_COST, length / LOOKED_UP_BYTES) + length / SENT_BYTES;

/** What a command whose answer names items adds to the message of a piece: each item as JSON, which its Lua only copies. */
export const namesOf = (items: readonly string[]) => ({ names: items.map((item) => JSON.stringify(item)) });

/**
 * Joins the answers to the pieces into one JSON array. Each has elements without brackets; it is empty where a piece has none
 * to tell.
 */
export const joinArray = (parts: readonly string[]): string => `[${parts.filter((text) => text !== '').join(',')}]`;
