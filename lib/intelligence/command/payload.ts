import { IntelligentSessionError } from '../../errors/errors.js';

/** How many pages or ids a list has at most: more would hold Redis for long. */
export const MAX_ITEMS = 10_000;

function parseJson(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'the payload is not JSON');
  }
}

/** Reads a JSON array of strings. Throws a coded error where the payload is none, or too long. */
export function parseStrings(payload: string): string[] {
  const list = parseJson(payload);
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'expected an array of strings');
  if (list.length > MAX_ITEMS)
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `a list has at most ${MAX_ITEMS} items`);
  return list;
}
