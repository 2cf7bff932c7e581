/** Tables of bench/results/store.json, redirect.json and real-life.json. */
import { CONNECT_REDIS, markdown, Results, short, whole } from './results.js';

const store = new Results('store');
const redirect = new Results('redirect');
const life = new Results('real-life');

export const network = (side: string): number =>
  store.number('a millisecond of network', { side }, 'p50 ms of a reading request');

export const concurrent = (side: string, column: string): number =>
  store.number('concurrent requests', { side }, column);

export const LOST = 'lost of 20 changes each';
export const ALIVE = 'alive after their logout';

const NEAR = 'ours, near cache';

/** By the name that stands in the marker before each. */
export function storeTables(): Record<string, string> {
  const storeSides = [CONNECT_REDIS, 'connect-redis 8', 'MemoryStore', 'ours', NEAR];
  const perStore = (title: string, get: (side: string) => string | number, ...without: string[]) => [
    title,
    ...storeSides.map((side) => (without.includes(side) ? '' : get(side))),
  ];
  const counted = (side: string, request: string) => {
    const where = { side, request };
    const title = 'commands and round trips';
    return `${store.number(title, where, 'commands a request')}, ${store.number(title, where, 'round trips waited for')}`;
  };
  const longestScan = (side: string) => short(store.number('length()', { side }, 'longest SCAN in Redis, ms'));
  const requests = (side: string, column: string) => short(store.number('requests a second', { side }, column));

  const out = (away: string, side: string, login: string, column: string) =>
    redirect.number('logged out', { Redis: away, side, login }, column);
  const redirected = (side: string, title: string) =>
    ['here', '1 ms away'].flatMap((away) =>
      ['regenerate()', 'assignment'].map((login) => [
        title,
        away,
        login === 'regenerate()' ? '`regenerate()`' : 'an assignment',
        out(away, side, login, 'out, another process'),
        out(away, side, login, 'out, another process, 32 at once'),
      ]),
    );

  return {
    store: markdown(
      ['', ...storeSides],
      [
        perStore(
          'commands, and round trips waited for: a request that reads',
          (side) => counted(side, 'reads'),
          'MemoryStore',
        ),
        perStore('the same: a request that changes the session', (side) => counted(side, 'changes'), 'MemoryStore'),
        perStore(
          'median of a reading request, 1 ms of network each way, ms',
          (side) => short(network(side)),
          'MemoryStore',
        ),
        perStore('reading requests a second, 64 connections', (side) => requests(side, 'reads a second')),
        perStore('changing requests a second', (side) => requests(side, 'changes a second')),
        perStore(`1,000 sessions, 20 changes of each at once: lost`, (side) => whole(concurrent(side, LOST))),
        perStore('1,000 logouts during a slow request: sessions alive after', (side) => whole(concurrent(side, ALIVE))),
        perStore('`length()` of a million sessions: longest SCAN in Redis, ms', longestScan, 'MemoryStore', NEAR),
      ],
    ),
    redirect: markdown(
      ['', 'Redis', 'login by', 'logged out, of 200', 'the same, 32 at once'],
      [
        ...redirected(CONNECT_REDIS, CONNECT_REDIS),
        ...redirected('ours', 'ours'),
        ...redirected('ours, users', 'ours, with `user`'),
      ],
    ),
    trouble: markdown(
      [
        'trouble',
        '',
        'answered',
        'of these without a session',
        'of these without the figures of `pageview()`',
        'failed',
        'slowest, ms',
      ],
      life
        .table('5 rounds')
        .map((row) => [
          String(row.trouble),
          String(row.side),
          whole(Number(row.answered)),
          whole(Number(row.without)),
          row.side === CONNECT_REDIS ? '' : whole(Number(row.unreported)),
          whole(Number(row.failed)),
          whole(Number(row.slowestMs)),
        ]),
    ),
  };
}
