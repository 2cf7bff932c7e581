import { parseStrings } from '../../protocol.js';
import type { BuiltIn } from './command.js';

/** The pages of a list that were not yet visited, in its order (white paper, "Content Surfacing"). */
export const featuredpages: BuiltIn = {
  keys: ['visited'],
  arguments: (payload, { bloom, itemKey }, { sid }) => {
    const pages = parseStrings(payload);
    return [...pages.map((page) => bloom.encode(itemKey(sid, page))), ...pages.map((page) => JSON.stringify(page))];
  },
};
