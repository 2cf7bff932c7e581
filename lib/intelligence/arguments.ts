import { kindOf } from '../check-options.js';
import { OptionError } from '../errors.js';

/** Checks what a method of `req.intelligence` was given: a wrong argument is an OptionError that says what came. */
export function checkText(method: string, value: unknown, what: string): asserts value is string {
  if (typeof value !== 'string' || value === '') throw wrong(method, what, kindOf(value));
}

export function checkTexts(method: string, list: unknown, what = 'a list of texts that are not empty'): string[] {
  const isText = (item: unknown): item is string => typeof item === 'string' && item !== '';
  if (Array.isArray(list) && list.every(isText)) return list;
  const got = Array.isArray(list) ? `${kindOf(list.find((item) => !isText(item)))} among them` : kindOf(list);
  throw wrong(method, what, got);
}

const wrong = (method: string, what: string, got: string): OptionError =>
  new OptionError(`${method}(): expected ${what}, got ${got}`, 'ERR_INTELLIGENT_SESSION_ARGUMENT');
