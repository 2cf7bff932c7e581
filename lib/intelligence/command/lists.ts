/** What commands on lists have in common. */

/** Of a payload: what one script call looks up of it at most, and what it costs to send the rest. */
const MOST = 8;
const BYTES = 512;
const SENT_BYTES = 16_384;

/** A descriptor's `cost` of a payload that is a JSON array. */
export const listCost = ({ length }: string): number => 1 + Math.min(MOST, length / BYTES) + length / SENT_BYTES;

/** Each item as JSON, for an answer that names it. */
export const namesOf = (items: readonly string[]) => ({ names: items.map((item) => JSON.stringify(item)) });

export const joinArray = (parts: readonly string[]): string => `[${parts.filter((text) => text !== '').join(',')}]`;
