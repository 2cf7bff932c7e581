/** What every benchmark needs: medians, counts from Redis, and one place for the results. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';

export const quick = process.argv.includes('--quick');

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

export interface CommandStat {
  readonly calls: number;
  readonly usec: number;
}

/** INFO commandstats by lower-case name. */
export async function commandStats(client: Redis): Promise<Record<string, CommandStat>> {
  const text = await client.info('commandstats');
  const found = text.matchAll(/^cmdstat_(\S+?):calls=(\d+),usec=(\d+)/gm);
  return Object.fromEntries(
    [...found].map(([, name = '', calls, usec]) => [name.toLowerCase(), { calls: Number(calls), usec: Number(usec) }]),
  );
}

/** Prints a table and writes bench/results/<name>.json. */
export function report(name: string, tables: Readonly<Record<string, readonly object[]>>): void {
  for (const [title, rows] of Object.entries(tables)) {
    console.log(`\n${title}`);
    console.table(rows);
  }
  const folder = fileURLToPath(new URL('../results/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length };
  writeFileSync(`${folder}${name}.json`, `${JSON.stringify({ machine, quick, ...tables }, null, 2)}\n`);
}
