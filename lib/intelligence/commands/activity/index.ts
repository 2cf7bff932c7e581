import { optionsOf } from '../../../options/check-arguments.js';
import { IntelligentSessionError, newerVersion, OptionError } from '../../../errors/errors.js';
import { isBit, isListOf } from '../../command/answers.js';
import type { Asking, Intelligence, ReadCommand } from '../../command/descriptor.js';

/** As activity-ring.lua has them. */
const [VERSION, HEAD, DAY, MINUTES] = [1, 208, 180, 1440];
/** So many minutes cost this process as much as a page view. */
const MINUTES_OF_A_VIEW = 10_080;

/** A bit a minute before the current one. The payload: how many. */
export const activity = {
  name: 'activity',
  effect: 'reads',
  makes: [],
  keys: ['activity'],
  uses: { activity: ['get'] },
  lua: ['activity.lua'],
  items: 'none',
  read(payload, of) {
    const minutes = minutesOf(payload, of);
    return ([seconds, data]) => activityText(data ?? null, Number(seconds), minutes, of.activityDays);
  },
  cost: (payload) => 1 + (/^\d{1,6}$/.test(payload) ? Number(payload) / MINUTES_OF_A_VIEW : 0),
  isAnswer: isListOf(isBit),
  methods: {
    /** A bit a minute before the current one, oldest first. Degraded: undefined. */
    async activity(this: Asking, options?: { minutes?: number | undefined }): Promise<number[] | undefined> {
      const { minutes = 60 } = optionsOf('activity', options);
      if (!Number.isInteger(minutes) || minutes < 1)
        throw new OptionError(
          'activity(): "minutes" should be a whole number from 1',
          'ERR_INTELLIGENT_SESSION_ARGUMENT',
        );
      return (await this.ask('activity', String(minutes))) as number[] | undefined;
    },
  },
  documented: { payload: 'how many minutes, 1 to 1,440 a day kept (10,080)', answer: 'as many bits, oldest first' },
} as const satisfies ReadCommand;

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
    if (data[0] !== VERSION) throw newerVersion('the activity');
    if (data.length < HEAD || (data.length - HEAD) % DAY !== 0)
      throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_REDIS', 'WRONGTYPE the activity is damaged');
    const [first, last, slots] = [data.readUInt32LE(1), data.readUInt32LE(5), activityDays + 1];
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
