// What the commands on lists share.

/** So many bytes of a list cost as much to look up as a page view. The piece that one call looks up costs eight at most. */
const LOOKED_UP_BYTES = 512;
const MAX_LOOK_UP_COST = 8;
/** To send so many bytes costs as much as a page view. */
const SENT_BYTES = 16_384;

/** A descriptor's `cost`, for a payload that is a JSON array. */
export const listCost = ({ length }: string): number =>
  1 + Math.min(MAX_LOOK_UP_COST, length / LOOKED_UP_BYTES) + length / SENT_BYTES;

/** The `fieldsOf` of a command whose answer names items: each as JSON, which its Lua copies. */
export const namesOf = (items: readonly string[]) => ({ names: items.map((item) => JSON.stringify(item)) });

/** Joins the pieces' answers, which are elements without brackets or empty, into one JSON array. */
export const joinArray = (parts: readonly string[]): string => `[${parts.filter((text) => text !== '').join(',')}]`;
