import { OptionError } from '../errors/errors.js';
import { describeValue } from './check-options.js';

/** The error for an argument of a public method: it says what was expected, and of the given value no more than its kind. */
export const argumentError = (method: string, expected: string, given: unknown): OptionError =>
  errorOf(method, expected, describeValue(given));

const errorOf = (method: string, expected: string, given: string): OptionError =>
  new OptionError(`${method}(): expected ${expected}, got ${given}`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');

/** The options that a method was given; undefined and null count as none. */
export function optionsOf<T extends object>(method: string, options: T | null | undefined): Partial<T> {
  if (options === undefined || options === null) return {};
  if (typeof options !== 'object' || Array.isArray(options)) throw argumentError(method, 'options, an object', options);
  return options;
}

export function checkSessionId(method: string, sid: unknown): asserts sid is string {
  if (typeof sid !== 'string') throw argumentError(method, "a session's id, a text", sid);
}

export function checkTtl(method: string, ttlSeconds: unknown): void {
  if (typeof ttlSeconds !== 'number' || Number.isNaN(ttlSeconds))
    throw argumentError(method, 'a number of seconds', ttlSeconds);
}

export function checkList(method: string, list: unknown): asserts list is readonly unknown[] {
  if (!Array.isArray(list)) throw argumentError(method, 'a list', list);
}

export function checkIsObject(method: string, value: unknown, expected: string): void {
  if (typeof value !== 'object' || value === null) throw argumentError(method, expected, value);
}

export function checkText(method: string, value: unknown, expected: string): asserts value is string {
  if (!isText(value)) throw argumentError(method, expected, value);
}

export function checkTexts(method: string, list: unknown, expected = 'a list of texts that are not empty'): string[] {
  if (!Array.isArray(list)) throw argumentError(method, expected, list);
  // every() passes over items that were never set; in a spread they are undefined, and refused
  const items: unknown[] = [...list];
  if (items.every(isText)) return list;
  throw errorOf(method, expected, `${describeValue(items.find((item) => !isText(item)))} among them`);
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
