import { parseStrings } from '../../protocol.js';
import type { Command } from './command.js';
import { type Intelligence, whichSeen } from './intelligence.js';

/** The pages of a list that were not yet visited, in its order (white paper, "Content Surfacing"). */
export const featuredpages =
  (of: Intelligence): Command =>
  async ({ payload, keys }) => {
    const pages = parseStrings(payload);
    const visited = await whichSeen(of, keys.visited, pages);
    return pages.filter((_, i) => !visited[i]);
  };
