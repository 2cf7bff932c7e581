import { hi, lo, murmurHash64A } from '../../bloom/murmur-hash.js';
import type { Command } from './command.js';
import type { Intelligence } from './intelligence.js';

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

export const pageview =
  (of: Intelligence): Command =>
  async ({ payload, id, ttlSeconds, keys }): Promise<PageviewReport | undefined> => {
    const reply = await of.pageview.run(of.redis, [
      keys.views,
      keys.pages,
      keys.visited,
      keys.activity,
      keys.notified,
      of.bloom.encode(payload),
      of.bloom.blind(payload),
      ttlSeconds * 1000,
      markOf(id),
      of.activityDays,
    ]);
    const [totalPages, uniquePages, visited, thisMinute, ...activity] = reply;
    if (totalPages === undefined || uniquePages === undefined) return undefined;
    const previouslyVisited = visited === 1;
    return {
      totalPages,
      uniquePages,
      previouslyVisited,
      activityThisMinute: thisMinute === 1,
      activity,
      newToSite: uniquePages === 1 && !previouslyVisited,
      inactive: activity.every((bit) => bit === 0),
    };
  };

/** Six bytes that tell a request from the session's last ones: one that comes twice is counted once. */
function markOf(id: string): Buffer {
  murmurHash64A(Buffer.from(id), 0, 0);
  const mark = Buffer.allocUnsafe(8);
  mark.writeInt32LE(lo, 0);
  mark.writeInt32LE(hi, 4);
  return mark.subarray(0, 6);
}
