/** The figures of bench/results as README and docs/figures.md show them: tables in Markdown, and plots. */
import { readFileSync } from 'node:fs';
import { plot } from './plot.js';

type Row = Readonly<Record<string, string | number>>;

const file = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** What a benchmark wrote, by the titles of its tables. An unknown title, row or column is an error that names it. */
function results(name: string) {
  const all = JSON.parse(file(`bench/results/${name}.json`)) as Record<string, Row[]>;
  const table = (title: string): Row[] => {
    const found = Object.entries(all).find(([key]) => key.startsWith(title));
    if (!found) throw new Error(`bench/results/${name}.json has no table "${title}"`);
    return found[1];
  };
  const row = (title: string, where: Row): Row => {
    const found = table(title).find((one) => Object.entries(where).every(([key, value]) => one[key] === value));
    if (!found) throw new Error(`bench/results/${name}.json: no row ${JSON.stringify(where)} in "${title}"`);
    return found;
  };
  const number = (title: string, where: Row, column: string): number => {
    const value = row(title, where)[column];
    if (typeof value !== 'number') throw new Error(`bench/results/${name}.json: no number "${column}" in "${title}"`);
    return value;
  };
  return { machine: all.machine as unknown as { cpu: string; cores: number; node: string }, table, row, number };
}

const whole = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 0 });
/** Three digits are as many as such a measurement has. */
const short = (value: number): string =>
  value >= 1000
    ? whole(Number(value.toPrecision(3)))
    : value.toLocaleString('en', { maximumSignificantDigits: value < 10 ? 2 : 3 });
const times = (value: number): string => `${value.toFixed(1)} times`;

function markdown(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

const PATTERN = 'the paper’s pattern';
const PUBSUB = 'ours, pub/sub';
const STREAM = 'ours, stream';
const PLAIN = 'ours, pub/sub, without RedisBloom';
const REDIS = 'connect-redis 9';
const NEAR = 'ours, near cache';

/** The tables, by the name that stands in the marker before each. */
export function tables(): Readonly<Record<string, string>> {
  const serving = results('serving');
  const store = results('store');
  const redirect = results('redirect');
  const bloom = results('bloom');
  const life = results('real-life');

  const asks = (side: string, waiting: number, column: string) =>
    serving.number('asks a second, one', { side, waiting }, column);
  const cpu = (side: string, waiting: number) =>
    ['CPU µs an ask: serving', 'worker', 'Redis'].reduce((sum, column) => sum + asks(side, waiting, column), 0);
  const rate = (side: string, waiting: number) => {
    const factor = asks(side, waiting, 'x the pattern');
    return `${short(asks(side, waiting, 'asks a second'))}${side === PATTERN ? '' : ` (${times(factor)})`}`;
  };
  const commands = (side: string, waiting: number) =>
    serving.number('Redis commands a page view', { side }, `commands a page view, ${waiting} waiting`);
  const sides = [PATTERN, PUBSUB, STREAM, PLAIN];
  const network = (side: string) => store.number('a millisecond of network', { side }, 'p50 ms of a reading request');
  const concurrent = (side: string, column: string) => store.number('concurrent requests', { side }, column);
  const lost = 'lost of 20 changes each';
  const alive = 'alive after their logout';
  const changes = concurrent('ours', 'sessions') * 20;

  const scale = (serving_: number, workers: number) => (column: string) =>
    serving.number('more workers', { 'serving processes': serving_, workers }, column);
  const two = scale(2, 1);
  const aRedis = 'CPU µs a page view: Redis';
  const cluster = (transport: string) => (column: string) => serving.number('a Cluster', { transport }, column);
  const ofMasters = 'CPU µs a page view: all masters';
  const site = (side: string, column: string) => serving.number('an Express site', { side }, column);
  const siteSides = ['sessions only', 'page view not waited for', 'page view waited for'];
  const without = (who: string, column: string) => serving.number('what an ask takes', { 'no worker': who }, column);
  const withoutRow = (title: string, who: string) => [
    title,
    short(without(who, 'p50 ms')),
    short(without(who, 'p99 ms')),
  ];

  const storeSides = [REDIS, 'connect-redis 8', 'MemoryStore', 'ours', NEAR];
  const perStore = (title: string, get: (side: string) => string | number) => [
    title,
    ...storeSides.map((side) => {
      try {
        return get(side);
      } catch {
        return ''; // MemoryStore has no network
      }
    }),
  ];
  const counted = (side: string, request: string) => {
    const where = { side, request };
    const title = 'commands and round trips';
    return `${store.number(title, where, 'commands a request')}, ${store.number(title, where, 'round trips waited for')}`;
  };
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

  const took = (what: string) => bloom.number('server time a call', { what }, 'µs');
  const wrong = (items: number, made: string, configured: number) =>
    bloom.number('false positives', { items, made, configured }, 'fallback');
  const memory = (items: number, column: string) =>
    bloom.number('memory', { items, made: 'at its size' }, column) / 1000;
  const million = 1_000_000;
  const kB = (items: number, column: string) => `${short(memory(items, column))} kB`;
  const rates = [0.05, 0.01, 0.001];
  const adds = (filter: string, column: string) => short(bloom.number('adds a second', { filter }, column));
  const grown = (side: string) => {
    const rows = bloom.table('a check of a grown filter').filter((row) => row.side === side);
    return `${short(Number(rows.at(-1)?.['µs a check of an absent item']))} µs`;
  };
  const sum = (rows: readonly Row[], column: string) => rows.reduce((total, row) => total + Number(row[column]), 0);
  const same = bloom.table('the same answers and bytes');
  const negatives = (side: string) => bloom.row('false negatives', { side });

  const [[trouble]] = [
    Object.keys(JSON.parse(file('bench/results/real-life.json'))).filter((key) => /rounds/.test(key)),
  ];

  return {
    main: markdown(
      ['', 'compared with', '', 'intelligent-session'],
      [
        [
          'answered page views a second',
          'the white paper’s pattern',
          short(asks(PATTERN, 256, 'asks a second')),
          rate(PUBSUB, 256),
        ],
        ['Redis commands for each of them', 'the same', commands(PATTERN, 256), commands(PUBSUB, 256)],
        [
          'median of a page that reads its session, Redis 1 ms away',
          'connect-redis 9',
          `${short(network(REDIS))} ms`,
          `${short(network('ours'))} ms`,
        ],
        [
          `changes lost, of ${whole(changes)} made at once`,
          'connect-redis 9',
          whole(concurrent(REDIS, lost)),
          concurrent('ours', lost),
        ],
        [
          `sessions alive after ${whole(concurrent('ours', 'sessions'))} logouts`,
          'connect-redis 9',
          whole(concurrent(REDIS, alive)),
          concurrent('ours', alive),
        ],
      ],
    ),
    serving: markdown(
      ['', 'the pattern', 'ours, pub/sub', 'ours, stream', 'pub/sub, plain Redis'],
      [
        ['asks a second, 32 waiting', ...sides.map((side) => rate(side, 32))],
        ['asks a second, 256 waiting', ...sides.map((side) => rate(side, 256))],
        ['median at 32 waiting, ms', ...sides.map((side) => short(asks(side, 32, 'p50 ms')))],
        ['99th percentile at 256 waiting, ms', ...sides.map((side) => short(asks(side, 256, 'p99 ms')))],
        ['CPU of all three processes for each ask, µs, 256 waiting', ...sides.map((side) => short(cpu(side, 256)))],
        [
          'connections of a serving process while 10,000 wait',
          ...sides
            .slice(0, 3)
            .map((side) => serving.number('connections', { side }, 'connections of the serving process')),
          'as with RedisBloom',
        ],
        [
          'Redis commands for each page view: 1, 32, 256 waiting',
          ...sides.slice(0, 3).map((side) => [1, 32, 256].map((waiting) => commands(side, waiting)).join(', ')),
          'as with RedisBloom',
        ],
        [
          'one call of up to 64 page views holds Redis for, ms: median, longest',
          '',
          ...[PUBSUB, '', PLAIN].map((side) => {
            const held = (column: string) => short(serving.number('how long a call', { side }, column));
            return side === '' ? '' : `${held('median ms')}, ${held('longest ms')}`;
          }),
        ],
      ],
    ),
    site: markdown(
      ['', ...siteSides],
      [
        [
          'CPU of the Express process for each request, µs',
          ...siteSides.map((side) => short(site(side, 'CPU µs a request'))),
        ],
        ['the same, as a multiple', ...siteSides.map((side) => site(side, 'CPU, x sessions only'))],
        [
          'requests a second: site, worker, Redis and load on two cores',
          ...siteSides.map((side) => short(site(side, 'requests a second'))),
        ],
        ['median, ms', ...siteSides.map((side) => site(side, 'p50 ms'))],
      ],
    ),
    away: markdown(
      ['what an ask takes, ms', 'median', '99th percentile'],
      [
        withoutRow('no worker listens, pub/sub', 'pub/sub'),
        withoutRow('no worker listens, streams', 'stream'),
        withoutRow('the worker is frozen, `timeout` 100: the first five', 'frozen, the first five'),
        withoutRow('the same, when the circuit is open', 'frozen, the circuit open'),
      ],
    ),
    counted: markdown(
      ['what was done', 'sent', 'counted'],
      serving
        .table('nothing lost')
        .map((row) => [
          `${row.what}${row['unfinished at that moment'] === undefined ? '' : `, ${row['unfinished at that moment']} messages unfinished at that moment`}`,
          whole(Number(row.sent)),
          whole(Number(row.counted)),
        ]),
    ),
    scale: markdown(
      [
        'CPU for each page view that is waited for, µs',
        'Redis',
        'all workers',
        'all Express processes, beside their pages',
      ],
      [
        ...[1, 2, 4].map((workers) => {
          const of = scale(2, workers);
          return [
            `one Redis, 2 serving processes, ${workers} worker${workers === 1 ? '' : 's'}`,
            short(of(aRedis)),
            short(of('all workers')),
            short(of('all serving')),
          ];
        }),
        ...(['pubsub', 'stream'] as const).map((transport) => {
          const of = cluster(transport);
          return [
            `a Cluster of three masters, ${transport === 'pubsub' ? 'pub/sub' : 'streams'}`,
            short(of(ofMasters)),
            short(of('worker')),
            short(of('serving')),
          ];
        }),
      ],
    ),
    limit: [
      `One Redis can do some ${whole(Math.floor((0.9 * million) / two(aRedis) / 5000) * 5000)} page views a second before its one thread is full, and it is the first to be.`,
      `A Cluster of three masters on the same two cores did ${short(cluster('pubsub')('asks a second'))} (pub/sub) and ${short(cluster('stream')('asks a second'))} (streams) a second.`,
      `A hundred thousand a second are then, by streams, ${(cluster('stream')(ofMasters) / 10).toFixed(1)} cores of Redis (${Math.ceil(cluster('stream')(ofMasters) / 10 / 0.6)} masters at 60 %),`,
      `${Math.ceil(cluster('stream')('worker') / 10)} workers at the least (16 partitions are shared evenly by 8), and ${(cluster('stream')('serving') / 10).toFixed(1)} cores of Express processes beside their pages.`,
    ].join('\n'),
    store: markdown(
      ['', ...storeSides],
      [
        perStore('commands, and round trips waited for: a request that reads', (side) => counted(side, 'reads')),
        perStore('the same: a request that changes the session', (side) => counted(side, 'changes')),
        perStore('median of a reading request, 1 ms of network each way, ms', (side) => short(network(side))),
        perStore('reading requests a second, 64 connections', (side) => requests(side, 'reads a second')),
        perStore('changing requests a second', (side) => requests(side, 'changes a second')),
        perStore(`1,000 sessions, 20 changes of each at once: lost`, (side) => whole(concurrent(side, lost))),
        perStore('1,000 logouts during a slow request: sessions alive after', (side) => whole(concurrent(side, alive))),
        perStore('`length()` of a million sessions: longest SCAN in Redis, ms', (side) =>
          short(store.number('length()', { side }, 'longest SCAN in Redis, ms')),
        ),
      ],
    ),
    redirect: markdown(
      ['', 'Redis', 'login by', 'logged out, of 200', 'the same, 32 at once'],
      [...redirected(REDIS, REDIS), ...redirected('ours', 'ours'), ...redirected('ours, users', 'ours, with `user`')],
    ),
    trouble: markdown(
      ['trouble', '', 'answered', 'of these without a session', 'failed', 'slowest, ms'],
      life
        .table(trouble ?? '')
        .map((row) => [
          String(row.trouble),
          String(row.side),
          whole(Number(row.answered)),
          whole(Number(row.without)),
          whole(Number(row.failed)),
          whole(Number(row.slowestMs)),
        ]),
    ),
    bloom: markdown(
      ['', 'RedisBloom', 'plain Redis'],
      [
        [
          `answers that differ in ${whole(sum(same, 'operations'))} adds and checks, five shapes; bytes that differ after them`,
          '',
          `${sum(same, 'differing answers')}; ${sum(same, 'differing bytes')}`,
        ],
        [
          'false negatives in some 10,000,000 checks, across growth and four writers',
          Number(negatives('module').negatives),
          Number(negatives('fallback').negatives),
        ],
        [
          'false positives at 0.05, 0.01, 0.001: a million items, reserved at that size',
          rates.map((rate) => short(wrong(million, 'at its size', rate))).join(', '),
          'the same',
        ],
        [
          'the same, grown from 100 in fourteen layers',
          rates.map((rate) => short(wrong(million, 'grown from 100', rate))).join(', '),
          'the same',
        ],
        [
          'memory of 100, 10,000, 1,000,000 items at 0.01',
          [100, 10_000, million].map((items) => kB(items, 'module')).join(', '),
          [100, 10_000, million].map((items) => kB(items, 'fallback')).join(', '),
        ],
        [
          'server time of a check, filter under 4 KB; of 100,000 items (RedisBloom: BF.EXISTS)',
          ['100', '100000'].map((of) => `${short(took(`capacity ${of}: check, BF.EXISTS`))} µs`).join('; '),
          ['100', '100000'].map((of) => `${short(took(`capacity ${of}: check, fallback`))} µs`).join('; '),
        ],
        [
          'server time of an add, filter for 100; for 100,000',
          ['100', '100000'].map((of) => `${short(took(`capacity ${of}: add, BF.ADD`))} µs`).join('; '),
          ['100', '100000'].map((of) => `${short(took(`capacity ${of}: add, fallback`))} µs`).join('; '),
        ],
        [
          'the filter’s part of a page view (in the script that had one view a call): new page; page again',
          ...['module µs', 'fallback µs'].map((column) =>
            ['new page', 'page again']
              .map(
                (page) =>
                  `${short(bloom.number('inside the page-view', { what: `the filter’s part of a page view, ${page}` }, column))} µs`,
              )
              .join('; '),
          ),
        ],
        [
          'adds a second, one pipelined client, reserved; grown to 50,000',
          ...['module', 'fallback'].map((column) =>
            [adds('reserved for 100000', column), adds('grown from 100 to 50000', column)].join('; '),
          ),
        ],
        ['check of a filter that has grown ten times, one round trip', grown('module'), grown('fallback')],
      ],
    ),
  };
}

/** The plots, by their file in docs/plots. */
export function plots(): Readonly<Record<string, string>> {
  const serving = results('serving');
  const store = results('store');
  const bloom = results('bloom');
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

const MARKED = /(<!-- figures: ([\w-]+) -->\n)[^]*?(<!-- end of figures -->)/g;

/** A page with its tables filled in. */
export function fill(page: string): string {
  const all = tables();
  return page.replace(MARKED, (_, before: string, name: string, after: string) => {
    const table = all[name];
    if (table === undefined) throw new Error(`There is no table of figures "${name}"`);
    return `${before}${table}\n${after}`;
  });
}
