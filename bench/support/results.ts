/** What the benchmarks wrote into bench/results, and Markdown of it. */
import { readFileSync } from 'node:fs';

export type Row = Readonly<Record<string, string | number>>;

/** One file of bench/results. A title (its beginning), row or column that is not there is an error that names it. */
export class Results {
  readonly #tables: Readonly<Record<string, readonly Row[]>>;

  constructor(readonly name: string) {
    const file = new URL(`../results/${name}.json`, import.meta.url);
    this.#tables = JSON.parse(readFileSync(file, 'utf8'));
  }

  table(title: string): readonly Row[] {
    const found = Object.entries(this.#tables).find(([key]) => key.startsWith(title));
    return found?.[1] ?? this.#miss(`table "${title}"`);
  }

  row(title: string, where: Row): Row {
    const found = this.table(title).find((one) => Object.entries(where).every(([key, value]) => one[key] === value));
    return found ?? this.#miss(`row ${JSON.stringify(where)} in "${title}"`);
  }

  number(title: string, where: Row, column: string): number {
    const value = this.row(title, where)[column];
    return typeof value === 'number' ? value : this.#miss(`number "${column}" in "${title}"`);
  }

  #miss(what: string): never {
    throw new Error(`bench/results/${this.name}.json has no ${what}`);
  }
}

export const whole = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 0 });

/** Three digits are as many as such a measurement has. */
export const short = (value: number): string =>
  value >= 1000
    ? whole(Number(value.toPrecision(3)))
    : value.toLocaleString('en', { maximumSignificantDigits: value < 10 ? 2 : 3 });

export type Cells = readonly (string | number)[];

export function markdown(head: Cells, rows: readonly Cells[]): string {
  const line = (cells: Cells) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

export const PATTERN = 'the paper’s pattern';
export const PUBSUB = 'ours, pub/sub';
export const CONNECT_REDIS = 'connect-redis 9';
