import { IntelligentSessionError } from '../../errors.js';
import { parseStrings } from '../../protocol.js';
import type { Command } from './command.js';
import { type Intelligence, whichSeen } from './intelligence.js';

/** 1 if every page of the combo was visited. The payload: a JSON array of pages, or the name of a combo. */
export const combo =
  (of: Intelligence): Command =>
  async ({ payload, keys }) => {
    const pages = payload.startsWith('[') ? parseStrings(payload) : of.combos.get(payload);
    if (!pages) throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', 'no combo of that name');
    const visited = await whichSeen(of, keys.visited, pages);
    return visited.length > 0 && visited.every(Boolean) ? 1 : 0;
  };
