import { IntelligentSessionError } from '../../errors/errors.js';

/** Of a list of pages or ids: more would hold Redis for long. */
export const MAX_ITEMS = 10_000;

function parseJson(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'the payload is not JSON');
  }
}

/** A payload that is a JSON array of strings, or a coded error. */
export function parseStrings(payload: string): string[] {
  const list = parseJson(payload);
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'expected an array of strings');
  if (list.length > MAX_ITEMS)
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `a list has at most ${MAX_ITEMS} items`);
  return list;
}
