/** The table of bench/results/bloom.json. */
import { markdown, Results, type Row, short, whole } from './results.js';

const bloom = new Results('bloom');

/** By the name that stands in the marker before it. */
export function bloomTables(): Record<string, string> {
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

  return {
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
