import { isListOf, isCount, isText } from '../../command/answers.js';
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
  /** What the application's own commands keep, by the names that they declare. */
  readonly ownKeys: readonly ExplainedKey[];
  /** How long it is kept from now on, seconds. */
  readonly keptForSeconds: number;
}

/** A key that a command of the application's declares. */
export interface ExplainedKey {
  readonly name: string;
  readonly type: 'string' | 'hyperloglog' | 'set' | 'zset' | 'hash' | 'list';
  /** How many items it has, of a string how many bytes, of a HyperLogLog its estimate. */
  readonly size: number;
  /**
   * What is in it: a string's text; a list's or a set's items; `[field, value]` of a hash, `[member, score]` of a sorted set, the highest
   * first. 100 items and 256 bytes of each text at most. A HyperLogLog has none, nor has what comes after 64 kB of others.
   */
  readonly value?: string | readonly string[] | readonly (readonly [string, string])[];
}

/** How many days cost Redis, which runs a BITCOUNT for each, as much as one page view. */
const DAYS_OF_A_VIEW = 25;
const TYPES: readonly unknown[] = ['string', 'hyperloglog', 'set', 'zset', 'hash', 'list'];
const isItem = (value: unknown): boolean =>
  isText(value) || (isListOf(isText)(value) && (value as unknown[]).length === 2);

function isExplainedKey(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false;
  const { name, type, size, value } = data as Record<string, unknown>;
  if (!isText(name) || !TYPES.includes(type) || !isCount(size)) return false;
  return value === undefined || isText(value) || isListOf(isItem)(value);
}

const isPair = (value: unknown): boolean => Array.isArray(value) && value.length === 2 && value.every(isCount);

/**
 * Answers with all data that is kept about a subject, without a payload. Its method is in RequestIntelligence, which adds what
 * it knows of sessions.
 */
export const explain = {
  name: 'explain',
  effect: 'reads',
  makes: [],
  keys: ['activity', 'notified', 'own'],
  uses: { activity: ['get', 'bitcount', 'pttl'], notified: ['filter'], own: ['hkeys', 'pttl'] },
  lua: ['explain-own.lua', 'explain.lua'],
  items: 'none',
  fields: () => ({}),
  cost: (_, { activityDays }) => 1 + activityDays / DAYS_OF_A_VIEW,
  isAnswer(data) {
    if (typeof data !== 'object' || data === null) return false;
    const { pageViews, uniquePages, notificationsRead, days, ownKeys, keptForSeconds } = data as Record<
      string,
      unknown
    >;
    const figures = [pageViews, uniquePages, notificationsRead, keptForSeconds];
    return figures.every(isCount) && isListOf(isPair)(days) && isListOf(isExplainedKey)(ownKeys);
  },
  methods: {},
  documented: {
    payload: 'none',
    answer:
      '`{pageViews, uniquePages, notificationsRead, days: [[day since 1970, minutes]], ownKeys: [{name, type, size, value}], keptForSeconds}`',
  },
} as const satisfies ScriptCommand;
