import { isBit, isBoolean, isCount, isListOf } from '../../command/answers.js';
import type { ScriptCommand } from '../../command/descriptor.js';
import { hashingCost } from '../../command/stored-item.js';
import { dedupToken } from './dedup-token.js';

/** What is known of a visitor after a page view (white paper, "Activity Pattern Monitoring & Personalization"). */
export interface PageviewReport {
  /** page views of this session, with this one */
  readonly totalPages: number;
  /** distinct pages, a HyperLogLog's estimate (standard error 0.81 %) */
  readonly uniquePages: number;
  /** was this page seen before this view (a Bloom filter's answer: a false true at its error rate) */
  readonly previouslyVisited: boolean;
  /** was there a view in this minute before this one */
  readonly activityThisMinute: boolean;
  /** the five minutes before the current one, oldest first, 0 or 1 */
  readonly activity: readonly number[];
  /** one unique page, and not visited before */
  readonly newToSite: boolean;
  /** none of the five minutes saw a view */
  readonly inactive: boolean;
}

/** A page view reads the whole ring of days, so beyond this many days its cost grows with them. */
const RING_DAYS = 25;
/** A report says of so many minutes before the current one whether there was a view. */
const MINUTES_REPORTED = 5;

/**
 * Counts a page view. The payload is the page. Its method is in RequestIntelligence, since that counts one view for each
 * request.
 */
export const pageview = {
  name: 'pageview',
  effect: 'writes',
  makes: ['activity', 'pages', 'visited', 'visited-items'],
  keys: ['activity', 'pages', 'visited', 'visited-items', 'gone'],
  mayTakeAll: true,
  uses: {
    activity: ['get', 'set', 'setrange', 'setbit'],
    pages: ['pfadd', 'pfcount'],
    visited: ['filter'],
    'visited-items': ['strlen', 'append'],
    own: ['hkeys'],
    gone: ['get', 'pttl'],
  },
  lua: ['activity-ring.lua', 'pageview.lua'],
  items: 'payload',
  fields({ sid, id, payload, isAnonymous }, { bloom, items }) {
    const page = items.of(sid, payload);
    const item = bloom.scriptItem(page);
    // a field that says nothing is left out, since many messages go in one text
    return { item, token: dedupToken(id), ...(item !== page && { page }), ...(isAnonymous && { isAnonymous }) };
  },
  cost: (payload, { activityDays }) => Math.max(1, activityDays / RING_DAYS) + hashingCost(payload),
  isAnswer(data) {
    if (typeof data !== 'object' || data === null) return false;
    const { totalPages, uniquePages, previouslyVisited, activityThisMinute, activity, newToSite, inactive } =
      data as Record<string, unknown>;
    return (
      [totalPages, uniquePages].every(isCount) &&
      [previouslyVisited, activityThisMinute, newToSite, inactive].every(isBoolean) &&
      isListOf(isBit)(activity) &&
      (activity as unknown[]).length === MINUTES_REPORTED
    );
  },
  methods: {},
  documented: {
    payload:
      'the page, by its [one name](docs/page-views.md#one-page-one-name) as in the lists of `combo` and `featuredpages`: workers compare bytes',
    answer:
      '`{totalPages, uniquePages, previouslyVisited, activityThisMinute, activity: [5 bits], newToSite, inactive}`; none for a request counted before',
  },
} as const satisfies ScriptCommand;
