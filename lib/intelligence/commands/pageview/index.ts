import { isBit, isBoolean, isCount, isListOf } from '../../command/answers.js';
import type { ScriptCommand } from '../../command/descriptor.js';
import { hashingCost } from '../../command/stored-item.js';
import { dedupToken } from './dedup-token.js';

/** What is known of a visitor after a page view (white paper, "Activity Pattern Monitoring & Personalization"). */
export interface PageviewReport {
  /** page views of this session, or of the user who is logged in, with this one */
  readonly totalPages: number;
  /** distinct pages, a HyperLogLog's estimate (standard error 0.81 %) */
  readonly uniquePages: number;
  /** was this page visited before this view (a Bloom filter's answer: a false true at its error rate) */
  readonly previouslyVisited: boolean;
  /** was there a view in this minute before this one */
  readonly activityThisMinute: boolean;
  /** the five minutes before the current one, the oldest first: 1 where there was a view, else 0 */
  readonly activity: readonly number[];
  /** is this the first page: there is one distinct page, and it was not visited before */
  readonly newToSite: boolean;
  /** was there no view in these five minutes */
  readonly inactive: boolean;
}

/** A page view reads the whole ring of days (option `activityDays`): of so many it costs as much as of a few, of more by their number. */
const DAYS_OF_A_VIEW = 25;
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
    const stored = items.of(sid, payload);
    const item = bloom.scriptItem(stored);
    // a field that says nothing is left out, since many messages go in one text
    return {
      item,
      token: dedupToken(id),
      ...(item !== stored && { page: stored }),
      ...(isAnonymous && { isAnonymous }),
    };
  },
  cost: (payload, { activityDays }) => Math.max(1, activityDays / DAYS_OF_A_VIEW) + hashingCost(payload),
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
