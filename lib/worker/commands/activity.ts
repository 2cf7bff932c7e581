import { IntelligentSessionError } from '../../errors.js';
import type { BuiltIn } from './command.js';

/** The last minutes before the current one, oldest first, 0 or 1. The payload: how many. */
export const activity: BuiltIn = {
  keys: ['activity'],
  arguments: (payload, { activityDays }) => {
    const most = activityDays * 1440;
    if (!/^[1-9]\d{0,5}$/.test(payload) || Number(payload) > most)
      throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `expected 1 to ${most} minutes`);
    return [payload, activityDays];
  },
};
