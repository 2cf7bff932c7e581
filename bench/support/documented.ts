/** The figures of bench/results as README and docs/figures.md show them: tables in Markdown, and plots. */
import { descriptors } from '../../lib/intelligence/commands.js';
import { bloomTables } from './bloom-tables.js';
import { notificationsTables } from './notifications-tables.js';
import { optionTables } from './option-tables.js';
import { plot } from './plot.js';
import { CONNECT_REDIS, markdown, PATTERN, PUBSUB, Results, type Row, short, whole } from './results.js';
import { asks, commands, rate, servingTables } from './serving-tables.js';
import { ALIVE, concurrent, LOST, network, storeTables } from './store-tables.js';
import { subjectsTables } from './subjects-tables.js';

/** README's. */
function mainTable(): string {
  const sessions = concurrent('ours', 'sessions');
  return markdown(
    ['', 'compared with', '', 'intelligent-session'],
    [
      [
        'answered page views a second',
        'a blocked connection for each request',
        short(asks(PATTERN, 256, 'asks a second')),
        rate(PUBSUB, 256),
      ],
      ['Redis commands for each of them', 'the same', commands(PATTERN, 256), commands(PUBSUB, 256)],
      [
        'median of a page that reads its session, Redis 1 ms away',
        'connect-redis 9',
        `${short(network(CONNECT_REDIS))} ms`,
        `${short(network('ours'))} ms`,
      ],
      [
        `changes lost, of ${whole(sessions * 20)} made at once`,
        'connect-redis 9',
        whole(concurrent(CONNECT_REDIS, LOST)),
        concurrent('ours', LOST),
      ],
      [
        `sessions alive after ${whole(sessions)} logouts`,
        'connect-redis 9',
        whole(concurrent(CONNECT_REDIS, ALIVE)),
        concurrent('ours', ALIVE),
      ],
    ],
  );
}

/** The plots, by their file in docs/plots. */
export function plots(): Readonly<Record<string, string>> {
  const serving = new Results('serving');
  const store = new Results('store');
  const bloom = new Results('bloom');
  const curves = serving.table('asks a second over');
  const waiting = Object.keys(curves[0] ?? {}).filter((key) => /^\d+$/.test(key));
  const asks = serving.table('asks a second, one').filter((row) => row.waiting === 256);
  const network = store.table('a millisecond of network');
  const checks = (side: string) => bloom.table('a check of a grown filter').filter((row) => row.side === side);
  const column = (rows: readonly Row[], name: string) => rows.map((row) => Number(row[name]));
  return {
    'serving.svg': plot({
      title: 'Page views a second that are waited for: one serving process, one worker, two cores',
      ...{ x: 'requests that wait', y: 'a second', xs: waiting },
      series: Object.fromEntries(curves.map((row) => [String(row.side), waiting.map((n) => Number(row[n]))])),
    }),
    'cpu.svg': plot({
      title: 'CPU time for each page view that is waited for, 256 waiting',
      ...{ x: '', y: 'µs', xs: asks.map((row) => String(row.side)), type: 'bar', stacked: true },
      series: {
        'serving process': column(asks, 'CPU µs an ask: serving'),
        worker: column(asks, 'worker'),
        Redis: column(asks, 'Redis'),
      },
    }),
    'reading.svg': plot({
      title: 'A page that reads its session, 1 ms of network to Redis each way',
      ...{ x: '', y: 'median, ms', xs: network.map((row) => String(row.side)), type: 'bar' },
      series: { 'median of a request': column(network, 'p50 ms of a reading request') },
    }),
    'bloom-check.svg': plot({
      title: 'A check of a Bloom filter that has grown: time in Redis',
      ...{ x: 'layers', y: 'µs', xs: checks('module').map((row) => Number(row.layers)) },
      series: {
        RedisBloom: column(checks('module'), 'µs a check of an absent item'),
        'plain Redis': column(checks('fallback'), 'µs a check of an absent item'),
      },
    }),
  };
}

/** WIRE.md's, by the commands' descriptors. */
const commandsTable = (): string =>
  markdown(
    ['command', 'effect', 'payload', 'answer'],
    descriptors.map(({ name, effect, documented }) => [`\`${name}\``, effect, documented.payload, documented.answer]),
  );

const MARKED = /(<!-- figures: ([\w-]+) -->\n)[^]*?(<!-- end of figures -->)/g;

/** A page with its tables filled in. */
export function fill(page: string): string {
  const tables = [
    { main: mainTable(), commands: commandsTable() },
    optionTables(),
    servingTables(),
    storeTables(),
    bloomTables(),
    subjectsTables(),
    notificationsTables(),
  ];
  const all: Record<string, string> = Object.assign({}, ...tables);
  return page.replace(MARKED, (_, before: string, name: string, after: string) => {
    const table = all[name];
    if (table === undefined) throw new Error(`There is no table of figures "${name}"`);
    return `${before}${table}\n${after}`;
  });
}
