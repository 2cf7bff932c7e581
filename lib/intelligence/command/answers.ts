// The shapes of answers are checked with these; the texts are what a worker answers where it has no result.

export const isBit = (value: unknown): boolean => value === 0 || value === 1;
export const isNumber = (value: unknown): boolean => typeof value === 'number';
export const isBoolean = (value: unknown): boolean => typeof value === 'boolean';
export const isText = (value: unknown): value is string => typeof value === 'string';
export const isListOf = (is: (value: unknown) => boolean) => (data: unknown) => Array.isArray(data) && data.every(is);

/** Errors that a worker answers with, for the other side to say in its own words. */
export const NO_COMMAND = 'Unknown command';
export const NO_COMBO = 'no combo of that name';
export const FAILED_COMMAND = 'The command failed';
