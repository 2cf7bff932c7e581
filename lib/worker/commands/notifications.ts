import { parseStrings } from '../../protocol.js';
import type { BuiltIn } from './command.js';

/** Which notifications this visitor has seen (white paper, "Group Notifications"). */
export const notifications: BuiltIn = {
  keys: ['notified'],
  arguments: (payload, { bloom, itemKey }, { sid }) => {
    const ids = parseStrings(payload);
    return [
      ...ids.map((id) => bloom.encode(itemKey(sid, id))),
      ...ids.map((id) => `{"id":${JSON.stringify(id)},"seen":`),
    ];
  },
};
