import { IntelligentSessionError } from '../../errors.js';
import type { Command } from './command.js';
import type { Intelligence } from './intelligence.js';

/** The last minutes before the current one, oldest first, 0 or 1. The payload: how many. */
export const activity =
  (of: Intelligence): Command =>
  async ({ payload, keys }) => {
    const most = of.activityDays * 1440;
    if (!/^[1-9]\d{0,5}$/.test(payload) || Number(payload) > most)
      throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `expected 1 to ${most} minutes`);
    return Array.from(await of.activity.run(of.redis, [keys.activity, payload, of.activityDays]), Number);
  };
