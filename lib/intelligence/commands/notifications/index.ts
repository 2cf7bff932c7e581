import { parseStrings } from '../../protocol.js';
import { type ListCommand, joinArray } from './command.js';

/** Which notifications this visitor has seen (white paper, "Group Notifications"). */
export const notifications: ListCommand = {
  keys: ['notified'],
  items: parseStrings,
  arguments: (ids, { bloom, itemKey }, sid) => [
    ...ids.map((id) => bloom.encode(itemKey(sid, id))),
    ...ids.map((id) => `{"id":${JSON.stringify(id)},"seen":`),
  ],
  join: joinArray,
};
