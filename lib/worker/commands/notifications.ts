import { parseStrings } from '../../protocol.js';
import type { Command } from './command.js';
import { type Intelligence, whichSeen } from './intelligence.js';

/** Which notifications this visitor has seen (white paper, "Group Notifications"). */
export const notifications =
  (of: Intelligence): Command =>
  async ({ payload, keys }) => {
    const ids = parseStrings(payload);
    const seen = await whichSeen(of, keys.notified, ids);
    return ids.map((id, i) => ({ id, seen: seen[i] }));
  };
