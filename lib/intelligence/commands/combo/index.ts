import { IntelligentSessionError } from '../../errors.js';
import { NO_COMBO, parseStrings } from '../../protocol.js';
import type { ListCommand } from './command.js';

/** 1 if every page of the combo was visited. The payload: a JSON array of pages, or the name of a combo. */
export const combo: ListCommand = {
  keys: ['visited'],
  items: (payload, { combos }) => {
    const pages = payload.startsWith('[') ? parseStrings(payload) : combos.get(payload);
    if (!pages) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', NO_COMBO);
    return pages;
  },
  arguments: (pages, { bloom, itemKey }, sid) => pages.map((page) => bloom.encode(itemKey(sid, page))),
  join: () => '1', // the first page that was not visited is the answer at once
};
