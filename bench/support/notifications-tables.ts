/** The tables of bench/results/notifications.json. */
import { markdown, Results, type Row, short, whole } from './results.js';

const notifications = new Results('notifications');

/** By the name that stands in the marker before it. */
export function notificationsTables(): Record<string, string> {
  const rows = notifications.table('publishing: beside rows');
  const lists = notifications.table('publishing: to a group');
  const number = (row: Row, beginning: string) =>
    Number(Object.entries(row).find(([column]) => column.startsWith(beginning))?.[1]);
  const ofEach = (title: string, get: (row: Row) => string) => [title, ...rows.map(get)];
  const ofLists = (column: string) => lists.map((row) => short(number(row, column))).join('; ');
  const nobody = rows.slice(1).map(() => '');
  return {
    'notifications-publishing': markdown(
      ['', ...rows.map(({ side }) => String(side))],
      [
        ofEach('writes to publish to 1,000,000 users', (row) => whole(number(row, 'writes'))),
        ofEach('time to publish to 1,000,000 users, s', (row) => short(number(row, 's to publish'))),
        ofEach('memory a user, of 30 notifications, bytes', (row) => short(number(row, 'bytes a user'))),
        [
          'calls a publication; its write commands, to a list that is not full; full',
          `${ofLists('calls')} (${ofLists('write')})`,
          ...nobody,
        ],
        ['ms a publication, median, list of 50; full, of 100', ofLists('ms, median'), ...nobody],
        ['Redis’ own time for it, µs', ofLists('Redis’ own'), ...nobody],
      ],
    ),
    'notifications-reading': markdown(
      ['', 'server', 'round trips', 'Redis’ own time, µs', 'ms a question, median', 'p99'],
      notifications
        .table('reading: ')
        .map((row) => [
          String(row.side),
          String(row.server),
          whole(number(row, 'round trips')),
          short(number(row, 'Redis’ own')),
          short(number(row, 'ms a question')),
          short(number(row, 'ms, p99')),
        ]),
    ),
    'notifications-wrong': markdown(
      ['unread ones', 'read as seen', 'read ones that read as unread'],
      notifications
        .table('marks: wrong')
        .map((row) => ['unread', 'wrong “seen”', 'wrong “unread”'].map((column) => whole(number(row, column)))),
    ),
    'notifications-memory': markdown(
      ['what a user does', 'bytes at the end', 'bytes at most'],
      notifications
        .table('marks: memory')
        .map((row) => [String(row.habit), whole(number(row, 'bytes at the end')), whole(number(row, 'bytes at most'))]),
    ),
    'notifications-marks-kept': markdown(
      ['', 'acknowledged', 'lost', 'told as unknown, or not durable', 'acknowledged a second'],
      notifications
        .table('marks: acknowledged')
        .map((row) => [
          String(row.what),
          whole(number(row, 'acknowledged')),
          whole(number(row, 'lost')),
          whole(number(row, 'told')),
          short(number(row, 'acknowledged a second')),
        ]),
    ),
    'notifications-badges': markdown(
      ['open browsers', 'publish to badge, p50, ms', 'p99', 'connections that listen', 'event loop delay, p99, ms'],
      notifications
        .table('live: a publication')
        .map((row) => [
          whole(number(row, 'browsers')),
          short(number(row, 'p50')),
          short(number(row, 'p99')),
          whole(number(row, 'connections')),
          short(number(row, 'event loop delay')),
        ]),
    ),
    'notifications-streams': markdown(
      ['', 'open streams', 'heap of each, bytes', 'publish to all: p50, ms', 'last', 'longest event loop delay, ms'],
      notifications.table('live: open').map((row) => {
        const figure = (column: string) => (Number.isNaN(number(row, column)) ? '' : short(number(row, column)));
        return [
          String(row.stream),
          whole(number(row, 'streams')),
          whole(number(row, 'heap')),
          ...['publish to all: p50', 'publish to all: last', 'event loop delay'].map(figure),
        ];
      }),
    ),
    'notifications-kept': markdown(
      ['', 'acknowledged', 'lost', 'told as unknown, or not durable', 'acknowledged a second'],
      notifications
        .table('kept: ')
        .map((row) => [
          String(row.what),
          whole(number(row, 'acknowledged')),
          whole(number(row, 'lost')),
          whole(number(row, 'told')),
          short(number(row, 'acknowledged a second')),
        ]),
    ),
  };
}
