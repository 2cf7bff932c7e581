import { IntelligentSessionError } from '../../errors.js';
import { loadScript } from '../../redis/load-script.js';
import { Script } from '../../redis/run-script.js';
import type { Intelligence } from './command.js';

/** As activity-ring.lua has them. */
const [HEAD, DAY, MINUTES] = [207, 180, 1440];

/** Redis' clock in seconds, and what stands in `activity`. */
export const readActivity = new Script<[seconds: Buffer, data: Buffer | null]>(loadScript('lib/scripts/activity.lua'));

/** How many minutes a payload asks for. */
export function minutesOf(payload: string, { activityDays }: Intelligence): number {
  const most = activityDays * MINUTES;
  if (!/^[1-9]\d{0,5}$/.test(payload) || Number(payload) > most)
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `expected 1 to ${most} minutes`);
  return Number(payload);
}

/**
 * The last minutes before the current one, oldest first, a JSON array of 0 and 1. Redis gives the bytes and this process
 * reads the bits: a year of them would hold Redis for a third of a second.
 */
export function activityText(data: Buffer | null, seconds: number, minutes: number, activityDays: number): string {
  const now = Math.floor(seconds / 60);
  let bitAt = (_minute: number): number => 0;
  if (data && data.length > 0) {
    if (data.length < HEAD || (data.length - HEAD) % DAY !== 0)
      throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_REDIS', 'WRONGTYPE the activity is damaged');
    const [first, last, slots] = [data.readUInt32LE(0), data.readUInt32LE(4), activityDays + 1];
    // a ring of another option `activityDays` is none of this one's
    if ((data.length - HEAD) / DAY === Math.min(last - first + 1, slots))
      bitAt = (minute) => {
        const day = Math.floor(minute / MINUTES);
        if (day < first || day > last || last - day >= slots) return 0;
        const at = minute % MINUTES;
        const byte = data[HEAD + ((day - first) % slots) * DAY + (at >> 3)] ?? 0;
        return (byte >> (7 - (at & 7))) & 1;
      };
  }
  const bits = Buffer.alloc(2 * minutes + 1, ',');
  bits[0] = 0x5b;
  for (let i = 0; i < minutes; i++) bits[2 * i + 1] = 0x30 + bitAt(now - minutes + i);
  bits[2 * minutes] = 0x5d;
  return bits.toString('latin1');
}
