// What the commands on lists share.

/** Looking up so many bytes of a list costs as much as a page view, and one call looks up no more than eight times that. */
const LOOKED_UP_BYTES = 512;
const MAX_LOOK_UP_COST = 8;
/** Only sending so many bytes costs as much. */
const SENT_BYTES = 16_384;

/** A descriptor's `cost`, for a payload that is a JSON array. */
export const listCost = ({ length }: string): number =>
  1 + Math.min(MAX_LOOK_UP_COST, length / LOOKED_UP_BYTES) + length / SENT_BYTES;

/** The fields of a piece whose answer names its items: each as JSON. */
export const namesOf = (items: readonly string[]) => ({ names: items.map((item) => JSON.stringify(item)) });

/** Joins the elements of the pieces' arrays into one JSON array. */
export const joinArray = (parts: readonly string[]): string => `[${parts.filter((text) => text !== '').join(',')}]`;
