import { parseStrings } from '../../protocol.js';
import { type ListCommand, joinArray } from './command.js';

/** The pages of a list that were not yet visited, in its order (white paper, "Content Surfacing"). */
export const featuredpages: ListCommand = {
  keys: ['visited'],
  items: parseStrings,
  arguments: (pages, { bloom, itemKey }, sid) => [
    ...pages.map((page) => bloom.encode(itemKey(sid, page))),
    ...pages.map((page) => JSON.stringify(page)),
  ],
  join: joinArray,
};
