import { IntelligentSessionError } from '../../errors.js';
import { parseStrings } from '../../protocol.js';
import type { BuiltIn } from './command.js';

/** 1 if every page of the combo was visited. The payload: a JSON array of pages, or the name of a combo. */
export const combo: BuiltIn = {
  keys: ['visited'],
  arguments: (payload, { bloom, combos, itemKey }, { sid }) => {
    const pages = payload.startsWith('[') ? parseStrings(payload) : combos.get(payload);
    if (!pages) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'no combo of that name');
    return pages.map((page) => bloom.encode(itemKey(sid, page)));
  },
};
