import { IntelligentSessionError } from '../../errors/errors.js';

/** How many pages or ids a list has at most: more would keep Redis from everybody else for long. */
export const MAX_ITEMS = 10_000;

function parseJson(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'the payload is not JSON');
  }
}

/** Reads a payload that should be a JSON array of strings. Throws a coded error where it is not, or has too many. */
export function parseStrings(payload: string): string[] {
  const list = parseJson(payload);
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'expected an array of strings');
  if (list.length > MAX_ITEMS)
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `a list has at most ${MAX_ITEMS} items`);
  return list;
}
