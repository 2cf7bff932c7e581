import type { BuiltIn } from './command.js';
import { markOf } from './mark.js';

/** What is known of a visitor after a page view (white paper, "Activity Pattern Monitoring & Personalization"). */
export interface PageviewReport {
  /** page views of this session, this one among them */
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

/** Counts a page view. The payload: the page. */
export const pageview: BuiltIn = {
  keys: ['activity', 'pages', 'visited', 'notified', 'gone'],
  arguments: (payload, { bloom, activityDays, itemKey }, { sid, request }) => {
    const page = itemKey(sid, payload);
    return [bloom.encode(page), page, markOf(request.id), activityDays];
  },
};
