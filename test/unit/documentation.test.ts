import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { fill, plots } from '../../bench/support/documented.js';
import { fillComments, interfaces, optionsOf, schemas } from '../../bench/support/option-tables.js';
import { factsOf } from '../../lib/options/option-facts.js';
import { anchorsOf, isThere, linksOf, otherPages, type Page, pages, root, tableBelow } from '../support/pages.js';

const everyPage = [...pages, ...otherPages];
const pageAt = (path: string) => everyPage.find((page) => page.path === path) as Page;
const filled = ['README.md', 'WIRE.md', 'docs/figures.md', 'docs/options.md'];

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

  it('has every option in one whole sentence, with what it needs by its name', () => {
    for (const [name, schema] of Object.entries(schemas))
      for (const [path, option] of optionsOf(schema)) {
        const { text, more = '', flagText = '', needs = {} } = factsOf(option);
        expect(text, `${name}: ${path}`).to.match(/^(express-session|[A-Z[`])[^]*\.$/);
        expect(`${text}${more}${flagText}`, `${name}: ${path}`).to.not.match(/[|\n]/);
        expect(Object.keys(schema.entries ?? {}), `${name}: ${path}`).to.include.members(Object.keys(needs));
      }
  });

  it('leaves out no option of a schema', () => {
    for (const [name, { entries = {} }] of Object.entries(schemas))
      for (const [option, entry] of Object.entries(entries))
        expect(factsOf(entry), `${name}: ${option}`).to.have.property('text');
  });

  it('has the options’ sentences as comments of their types (npm run docs:figures)', () => {
    for (const { file, name, schema } of interfaces) {
      const source = readFileSync(`${root}${file}`, 'utf8');
      expect(fillComments(source, name, schema)).to.equal(source);
      const members = /^export interface \w+Options \{\n([^]*?)^\}$/m.exec(source)?.[1] ?? '';
      for (const option of Object.keys(schema.entries ?? {}))
        expect(members, option).to.contain(`readonly ${option}?:`);
    }
  });

  for (const command of ['worker', 'acl'])
    it(`has every flag of the command line of ${command}, and no other`, () => {
      const { bin, name } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
      const file = `${root}${bin[name].replace(/^dist\//, '').replace(/js$/, 'ts')}`;
      const help = execFileSync(process.execPath, ['--import', 'tsx', file, command, '--help'], {
        encoding: 'utf8',
        cwd: root,
        env: { PATH: process.env.PATH },
      });
      const flags = Array.from(help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm), ([, flag]) => flag);
      const tables = {
        worker: ['createWorker()', 'The command line of the worker'],
        acl: ['The command line for ACLs'],
      };
      const documented = tables[command as 'worker' | 'acl'].flatMap((heading) =>
        tableBelow(pageAt('docs/options.md'), heading).flatMap((row) =>
          row.slice(0, 2).flatMap((cell) => /^`(--.*)`$/.exec(cell)?.[1] ?? []),
        ),
      );
      expect([...documented, '--help']).to.have.members(flags);
    });

  it('has the figures that the benchmarks have written, and the options of the schemas (npm run docs:figures)', () => {
    for (const path of filled) expect(pageAt(path).text).to.equal(fill(pageAt(path).text));
    for (const [file, svg] of Object.entries(plots()))
      expect(readFileSync(`${root}docs/plots/${file}`, 'utf8') === svg, file).to.equal(true);
  });
});
