import { optionsOf } from '../../../options/check-arguments.js';
import { IntelligentSessionError, newerVersion, OptionError } from '../../../errors/errors.js';
import { isBit, isListOf } from '../../command/answers.js';
import type { CommandCaller, CommandContext, ReadCommand } from '../../command/descriptor.js';

/**
 * The string that activity-ring.lua writes: its version, the offsets of two numbers in it, and the lengths of its parts, in
 * bytes.
 */
const ACTIVITY_VERSION = 1;
const FIRST_DAY_AT = 1;
const LAST_DAY_AT = 5;
const HEAD_BYTES = 208;
const DAY_BYTES = 180;
const MINUTES_A_DAY = 1440;
/** How many minutes cost this process, when it answers them, as much as one page view. */
const MINUTES_OF_A_VIEW = 10_080;

/** Answers in which of the last minutes there was a page view (white paper, "Activity Pattern Monitoring"). The payload is the number of minutes. */
export const activity = {
  name: 'activity',
  effect: 'reads',
  makes: [],
  keys: ['activity'],
  uses: { activity: ['get'] },
  lua: ['activity.lua'],
  items: 'none',
  read(payload, context) {
    const minutes = minutesOf(payload, context);
    return ([seconds, data]) => activityText(data ?? null, Number(seconds), minutes, context.activityDays);
  },
  cost: (payload) => 1 + (/^\d{1,6}$/.test(payload) ? Number(payload) / MINUTES_OF_A_VIEW : 0),
  isAnswer: isListOf(isBit),
  methods: {
    /**
     * In which of the last `minutes` (60) there was a page view: an array of 0 and 1, the oldest minute first, without the current
     * one. At most 1,440 for each day that is kept (option `activityDays`). Degraded: undefined. TIME and GET, in one script.
     */
    async activity(this: CommandCaller, options?: { minutes?: number | undefined }): Promise<number[] | undefined> {
      const { minutes = 60 } = optionsOf('activity', options);
      if (!Number.isInteger(minutes) || minutes < 1)
        throw new OptionError(
          'activity(): "minutes" should be a whole number from 1',
          'ERR_INTELLIGENT_SESSION_ARGUMENT',
        );
      return ((await this.ask('activity', String(minutes))) ?? undefined) as number[] | undefined;
    },
  },
  documented: { payload: 'how many minutes, 1 to 1,440 a day kept (10,080)', answer: 'as many bits, oldest first' },
} as const satisfies ReadCommand;

/** How many minutes a payload asks for. */
export function minutesOf(payload: string, { activityDays }: CommandContext): number {
  const most = activityDays * MINUTES_A_DAY;
  if (!/^[1-9]\d{0,5}$/.test(payload) || Number(payload) > most)
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_MESSAGE', `expected 1 to ${most} minutes`);
  return Number(payload);
}

/**
 * The last minutes before the current one, the oldest first, as a JSON array of 0 and 1. Redis returns the bytes, and this process
 * reads the bits: reading the bits of a year would keep Redis busy for a third of a second.
 */
export function activityText(data: Buffer | null, seconds: number, minutes: number, activityDays: number): string {
  const now = Math.floor(seconds / 60);
  const bitAt = data && data.length > 0 ? bitsOf(data, activityDays) : () => 0;
  const text = Buffer.alloc(2 * minutes + 1, ',');
  text.write('['); // the commas stay at the even places
  for (let i = 0; i < minutes; i++) text[2 * i + 1] = ZERO + bitAt(now - minutes + i);
  text.write(']', 2 * minutes);
  return text.toString('latin1');
}

const ZERO = '0'.charCodeAt(0);

/** Returns a function that says of a minute, counted since 1970, whether this activity has a page view in it: 1 or 0. */
function bitsOf(data: Buffer, activityDays: number): (minute: number) => number {
  if (data[0] !== ACTIVITY_VERSION) throw newerVersion('the activity');
  if (data.length < HEAD_BYTES || (data.length - HEAD_BYTES) % DAY_BYTES !== 0)
    throw new IntelligentSessionError('ERR_INTELLIGENT_SESSION_REDIS', 'WRONGTYPE the activity is damaged');
  const firstDay = data.readUInt32LE(FIRST_DAY_AT);
  const lastDay = data.readUInt32LE(LAST_DAY_AT);
  const slots = activityDays + 1; // as in activity-ring.lua, where the reason stands
  // a ring that was made with another option `activityDays` can't be read with this one
  if ((data.length - HEAD_BYTES) / DAY_BYTES !== Math.min(lastDay - firstDay + 1, slots)) return () => 0;
  return (minute) => {
    const day = Math.floor(minute / MINUTES_A_DAY);
    if (day < firstDay || day > lastDay || lastDay - day >= slots) return 0;
    const ofDay = minute % MINUTES_A_DAY;
    const byte = data[HEAD_BYTES + ((day - firstDay) % slots) * DAY_BYTES + (ofDay >> 3)] ?? 0;
    return (byte >> (7 - (ofDay & 7))) & 1; // SETBIT counts a byte's bits from the highest
  };
}
