import { kindOf } from './check-options.js';
import { IntelligentSessionError, OptionError } from '../errors/errors.js';

/** What a public method was given, against what it expects: a coded error says both, and repeats no text. */
export const argumentError = (method: string, expected: string, got: unknown): OptionError =>
  new OptionError(`${method}(): expected ${expected}, got ${kindOf(got)}`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');

/** A method's options: null is as none. */
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

/** Of the store, whose errors a page gets with a status. */
export function checkIsObject(method: string, value: unknown, what: string): void {
  if (typeof value === 'object' && value !== null) return;
  const message = `${method}(): expected ${what}, got ${kindOf(value)}`;
  throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_ARGUMENT', message);
}

export function checkText(method: string, value: unknown, what: string): asserts value is string {
  if (typeof value !== 'string' || value === '') throw argumentError(method, what, value);
}

export function checkTexts(method: string, list: unknown, what = 'a list of texts that are not empty'): string[] {
  const isText = (item: unknown): item is string => typeof item === 'string' && item !== '';
  // every() and find() of a list pass over what was never set, a spread does not
  const items: unknown[] = Array.isArray(list) ? [...list] : [];
  if (Array.isArray(list) && items.every(isText)) return list;
  if (!Array.isArray(list)) throw argumentError(method, what, list);
  const wrong = kindOf(items.find((item) => !isText(item)));
  throw new OptionError(`${method}(): expected ${what}, got ${wrong} among them`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
}
