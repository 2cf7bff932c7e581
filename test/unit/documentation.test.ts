import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type * as v from 'valibot';
import { fill, plots } from '../../bench/support/documented.js';
import { optionsSchema as bloomSchema } from '../../lib/bloom/bloom-options.js';
import { schema as storeSchema } from '../../lib/session/options.js';
import { schema as workerSchema } from '../../lib/worker/options.js';
import { schema as middlewareSchema } from '../../middleware/options.js';
import { anchorsOf, isThere, linksOf, otherPages, type Page, pages, root, tableBelow } from '../support/pages.js';

const everyPage = [...pages, ...otherPages];
const pageAt = (path: string) => everyPage.find((page) => page.path === path) as Page;
const options = pageAt('docs/options.md');
const nothing = Symbol('no default');

type Schema = v.GenericSchema & {
  entries?: Record<string, Schema>;
  wrapped?: Schema;
  item?: Schema;
  default?: unknown;
};

/** The options of a schema with their defaults; those of an object or of a list's objects by a path. */
function optionsOf(schema: Schema, path = ''): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [name, entry] of Object.entries(schema.entries ?? {})) {
    const inner = entry.wrapped ?? entry;
    const value = entry.type === 'optional' ? (entry.default ?? nothing) : nothing;
    const isObject = inner.type === 'strict_object' && !others.includes(path + name);
    if (!isObject) found.set(path + name, value);
    if (isObject) for (const one of optionsOf(inner, `${path}${name}.`)) found.set(...one);
    if (inner.type === 'array' && inner.item?.type === 'strict_object')
      for (const one of optionsOf(inner.item, `${path}${name}[].`)) found.set(...one);
  }
  return found;
}

/** What another package documents. */
const others = ['session'];

/** Defaults that code finds out, in words: what the page says of them. */
const inWords: Readonly<Record<string, string>> = {
  redis: '`REDIS_URL`, or `redis://127.0.0.1:6379`',
  secret: '`SESSION_SECRET`',
  bots: 'isbot, by the user agent',
  serializer: '`JSON`',
  touchAfter: "1 % of the session's ttl, at most 300",
};

/** `16384` is 16384, `'inbox'` is the text, none is none. */
function defaultIn(cell: string): unknown {
  if (cell === 'none') return nothing;
  const [, literal = ''] = /^`([^`]+)`$/.exec(cell) ?? [];
  return JSON.parse(literal.replaceAll("'", '"'));
}

function compare(schema: Schema, heading: string, columns: { name: number; value: number }): void {
  const rows = tableBelow(options, heading).map((row) => ({
    name: (row[columns.name] as string).replaceAll('`', ''),
    cell: row[columns.value] as string,
  }));
  const known = optionsOf(schema);
  expect(rows.map(({ name }) => name)).to.have.members([...known.keys()]);
  for (const { name, cell } of rows) {
    const value = known.get(name);
    if (inWords[name] === undefined) expect(value, name).to.deep.equal(defaultIn(cell));
    else {
      // what is a function or nothing in the schema has no literal to be compared
      expect(typeof value === 'function' || value === nothing, name).to.equal(true);
      expect(cell, name).to.equal(inWords[name]);
    }
  }
}

describe('the documentation, as a text,', () => {
  it('has a README of at most 900 words, all that is in it counted', () => {
    expect(pageAt('README.md').text.trim().split(/\s+/)).to.have.lengthOf.at.most(900);
  });

  it('links only to pages, headings and pictures that are there', () => {
    const broken = everyPage.flatMap((page) =>
      linksOf(page)
        .filter(({ file, anchor }) => {
          if (!isThere(file)) return true;
          if (anchor === undefined) return false;
          const target = everyPage.find(({ path }) => path === file);
          return !target || !anchorsOf(target).has(anchor);
        })
        .map(({ link }) => `${page.path}: ${link}`),
    );
    expect(broken).to.deep.equal([]);
  });

  it('is all in the package: whatever README and docs link to', () => {
    const { files } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { files: string[] };
    const packed = (file: string) => file === 'README.md' || files.some((one) => `${file}/`.startsWith(`${one}/`));
    const missing = pages.flatMap((page) => linksOf(page).filter(({ file }) => !packed(file)));
    expect(missing).to.deep.equal([]);
  });

  it('is found from its index', () => {
    const linked = new Set(linksOf(pageAt('docs/README.md')).map(({ file }) => file));
    expect(
      pages.map(({ path }) => path).filter((path) => !linked.has(path) && path !== 'docs/README.md'),
    ).to.deep.equal([]);
  });

  it('has every option of intelligentSession() with its default, and no other', () =>
    compare(middlewareSchema, 'intelligentSession()', { name: 0, value: 1 }));

  it('has every option of RedisSessionStore with its default, and no other', () =>
    compare(storeSchema, 'RedisSessionStore', { name: 0, value: 1 }));

  it('has every option of createWorker() with its default, and no other', () =>
    compare(workerSchema, 'createWorker()', { name: 0, value: 2 }));

  it('has every option of createBloomFilter() with its default, and no other', () =>
    compare(bloomSchema, 'createBloomFilter()', { name: 0, value: 1 }));

  it('has every flag of the worker’s command line with its default, and no other', () => {
    const { bin, name } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
    const file = `${root}${bin[name].replace(/^dist\//, '').replace(/js$/, 'ts')}`;
    const help = execFileSync(process.execPath, ['--import', 'tsx', file, 'worker', '--help'], {
      encoding: 'utf8',
      cwd: root,
      env: { PATH: process.env.PATH },
    });
    const flags = new Map<string, unknown>();
    for (const [, flag = '', about = ''] of help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)([^]*?)(?=^ {2}-|(?![^]))/gm)) {
      const text = about.replace(/\s+/g, ' ');
      const [, value] = /default: ("[^"]*"|[^\s,)]+)/.exec(text) ?? [];
      flags.set(flag, value === undefined ? nothing : /^("|\d+(\.\d+)?$)/.test(value) ? JSON.parse(value) : value);
    }
    const rows = [
      ...tableBelow(options, 'createWorker()').map(([, flag = '', value = '']) => ({ flag, value })),
      ...tableBelow(options, 'The command line of the worker').map(([flag = '', value = '']) => ({ flag, value })),
    ].filter(({ flag }) => flag !== '');
    expect(rows.map(({ flag }) => flag.replaceAll('`', ''))).to.have.members([...flags.keys()]);
    for (const { flag, value } of rows) {
      const known = flags.get(flag.replaceAll('`', ''));
      if (flag === '`--redis`') expect(value).to.contain(`\`${known as string}\``);
      // lists of files are nothing where no file is named
      else if (/^`[[{]/.test(value)) expect(known, flag).to.equal(nothing);
      else expect(known, flag).to.deep.equal(defaultIn(value));
    }
  });

  it('has the figures that the benchmarks have written (npm run docs:figures)', () => {
    for (const path of ['README.md', 'WIRE.md', 'docs/figures.md'])
      expect(pageAt(path).text).to.equal(fill(pageAt(path).text));
    for (const [file, svg] of Object.entries(plots()))
      expect(readFileSync(`${root}docs/plots/${file}`, 'utf8') === svg, file).to.equal(true);
  });
});
