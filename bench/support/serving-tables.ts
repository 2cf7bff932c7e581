/** Tables of bench/results/serving.json. */
import { markdown, PATTERN, PUBSUB, Results, short, whole } from './results.js';

const STREAM = 'ours, stream';
const PLAIN = 'ours, pub/sub, without RedisBloom';

const serving = new Results('serving');

export const asks = (side: string, waiting: number, column: string): number =>
  serving.number('asks a second, one', { side, waiting }, column);

/** A second, and how many times the pattern's. */
export function rate(side: string, waiting: number): string {
  const perSecond = short(asks(side, waiting, 'asks a second'));
  return side === PATTERN ? perSecond : `${perSecond} (${asks(side, waiting, 'x the pattern').toFixed(1)} times)`;
}

export const commands = (side: string, waiting: number): number =>
  serving.number('Redis commands a page view', { side }, `commands a page view, ${waiting} waiting`);

/** By the name that stands in the marker before each. */
export function servingTables(): Record<string, string> {
  const cpu = (side: string, waiting: number) =>
    ['CPU µs an ask: serving', 'worker', 'Redis'].reduce((sum, column) => sum + asks(side, waiting, column), 0);
  const sides = [PATTERN, PUBSUB, STREAM, PLAIN];
  const scale = (serving_: number, workers: number) => (column: string) =>
    serving.number('more workers', { 'serving processes': serving_, workers }, column);
  const two = scale(2, 1);
  const aRedis = 'CPU µs a page view: Redis';
  const cluster = (transport: string) => (column: string) => serving.number('a Cluster', { transport }, column);
  const ofMasters = 'CPU µs a page view: all masters';
  const site = (side: string, column: string) => serving.number('an Express site', { side }, column);
  const siteSides = [
    'sessions only',
    'page view not waited for',
    'page view waited for',
    'embedded, page view not waited for',
    'embedded, page view waited for',
  ];
  const embedded = (side: string, waiting: number, column: string) =>
    serving.number('without a worker', { side, waiting }, column);
  const without = (who: string, column: string) => serving.number('what an ask takes', { 'no worker': who }, column);
  const withoutRow = (title: string, who: string) => [
    title,
    short(without(who, 'p50 ms')),
    short(without(who, 'p99 ms')),
  ];

  return {
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
    embedded: markdown(
      [
        'page views that are waited for',
        'waiting',
        'a second',
        'x the bare script',
        'median, ms',
        'CPU of the process, µs each',
        'x the bare script',
      ],
      [1, 32, 256].flatMap((waiting) =>
        ['the bare script, run by the application', 'ours, embedded', 'ours, pub/sub'].map((side) => [
          side,
          waiting,
          short(embedded(side, waiting, 'asks a second')),
          embedded(side, waiting, 'x the bare script'),
          short(embedded(side, waiting, 'p50 ms')),
          short(embedded(side, waiting, 'CPU µs an ask: this process')),
          embedded(side, waiting, 'CPU, x the bare script'),
        ]),
      ),
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
      `One Redis can do some ${whole(Math.floor((0.9 * 1_000_000) / two(aRedis) / 5000) * 5000)} page views a second before its one thread is full, and it is the first to be.`,
      `A Cluster of three masters on the same two cores did ${short(cluster('pubsub')('asks a second'))} (pub/sub) and ${short(cluster('stream')('asks a second'))} (streams) a second.`,
      `A hundred thousand a second are then, by streams, ${(cluster('stream')(ofMasters) / 10).toFixed(1)} cores of Redis (${Math.ceil(cluster('stream')(ofMasters) / 10 / 0.6)} masters at 60 %),`,
      `${Math.ceil(cluster('stream')('worker') / 10)} workers at the least (16 partitions are shared evenly by 8), and ${(cluster('stream')('serving') / 10).toFixed(1)} cores of Express processes beside their pages.`,
    ].join('\n'),
  };
}
