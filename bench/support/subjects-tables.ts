/** The table of bench/results/subjects.json. */
import { markdown, Results, short } from './results.js';

const subjects = new Results('subjects');
const BLOOMS = ['module', 'fallback'] as const;

/** By the name that stands in the marker before it. */
export function subjectsTables(): Record<string, string> {
  const ofBoth = (title: string, get: (bloom: string) => string) => [title, ...BLOOMS.map(get)];
  const carrying = (site: string) => (bloom: string) =>
    ['a new user', 'a user with 100 pages, 30 notifications']
      .map((user) => short(subjects.number('carrying', { site, bloom, user }, 'ms')))
      .join('; ');
  const commands = (site: string) => (bloom: string) =>
    String(subjects.number('carrying', { site, bloom, user: 'a new user' }, 'commands, each waited for'));
  const memory = (column: string) => (bloom: string) =>
    ['one Redis', 'one Redis, itemSecret']
      .map((site) => short(subjects.number('memory', { bloom, site }, column) / 1000))
      .join('; ');
  const view = (page: string) => (bloom: string) =>
    ['user µs', 'anonymous µs']
      .map((column) => short(subjects.number('a page view', { bloom, page, 'views a call': 32 }, column)))
      .join('; ');
  const cluster = 'a Cluster of three masters';

  return {
    subjects: markdown(
      ['', 'RedisBloom', 'plain Redis'],
      [
        ofBoth(
          'a login carries 128 pages and 50 notifications: time in Redis, ms; to a user who has 100 pages and 30 notifications',
          carrying('one Redis'),
        ),
        ofBoth('the same, with `itemSecret`', carrying('one Redis, itemSecret')),
        ofBoth('the same, in a Cluster of three masters', carrying(cluster)),
        ofBoth('commands for it, in two round trips: one Redis', commands('one Redis')),
        ofBoth('the same in a Cluster, in three round trips', commands(cluster)),
        ofBoth(
          'memory of an anonymous visitor with 100 pages, kB; with `itemSecret`',
          memory('anonymous, 100 pages: bytes'),
        ),
        ofBoth(
          'memory of a user with 100 pages, 30 notifications and 7 days, kB; with `itemSecret`',
          memory('user, 100 pages, 30 notifications, 7 days: bytes'),
        ),
        ofBoth('a page view in a call of 32, time in Redis, µs, new page: user; anonymous visitor', view('new page')),
        ofBoth('the same, page again', view('page again')),
      ],
    ),
  };
}
