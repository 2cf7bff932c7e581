// Predicates of which each command's isAnswer() is made; and errors that a worker sends in an answer's place.

export const isBit = (value: unknown): boolean => value === 0 || value === 1;
/** A count, of views, items, seconds or days: a whole number from 0. */
export const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
export const isBoolean = (value: unknown): boolean => typeof value === 'boolean';
export const isText = (value: unknown): value is string => typeof value === 'string';
export const isListOf = (is: (value: unknown) => boolean) => (data: unknown) => Array.isArray(data) && data.every(is);

/** A worker's errors, which the serving process recognizes and says in its own words (command-fault.ts). */
export const NO_COMMAND = 'Unknown command';
export const NO_COMBO = 'no combo of that name';
export const FAILED_COMMAND = 'The command failed';
