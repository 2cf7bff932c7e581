import { isListOf, isNumber } from '../../command/answers.js';
import type { ScriptCommand } from '../../command/descriptor.js';

/** All that is kept of a visitor or a user, as figures: pages and notifications themselves can't be read from it. */
export interface Explained {
  /** page views */
  readonly pageViews: number;
  /** distinct pages, a HyperLogLog's estimate (standard error 0.81 %) */
  readonly uniquePages: number;
  /** notifications that were read, as a Bloom filter counts them */
  readonly notificationsRead: number;
  /** The days with a page view of those that are kept: days since 1970, and in how many minutes there was one. */
  readonly days: readonly (readonly [day: number, minutes: number])[];
  /** How long it is kept from now on, seconds. */
  readonly keptForSeconds: number;
}

/** Each day costs a BITCOUNT. */
const DAYS_OF_A_VIEW = 25;
const isPair = (value: unknown): boolean => Array.isArray(value) && value.length === 2 && value.every(isNumber);

/** Says all that is kept of somebody. It has no payload. Its method is in RequestIntelligence, which knows of sessions as well. */
export const explain = {
  name: 'explain',
  effect: 'reads',
  makes: [],
  keys: ['activity', 'notified'],
  uses: { activity: ['get', 'bitcount', 'pttl'], notified: ['filter'] },
  lua: ['explain.lua'],
  items: 'none',
  fields: (_, { activityDays }) => ({ days: activityDays }),
  cost: (_, { activityDays }) => 1 + activityDays / DAYS_OF_A_VIEW,
  isAnswer(data) {
    if (typeof data !== 'object' || data === null) return false;
    const { pageViews, uniquePages, notificationsRead, days, keptForSeconds } = data as Record<string, unknown>;
    return [pageViews, uniquePages, notificationsRead, keptForSeconds].every(isNumber) && isListOf(isPair)(days);
  },
  methods: {},
  documented: {
    payload: 'none',
    answer: '`{pageViews, uniquePages, notificationsRead, days: [[day since 1970, minutes]], keptForSeconds}`',
  },
} as const satisfies ScriptCommand;
