import { readFileSync } from 'node:fs';
import { expect } from 'chai';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Limit {
  readonly value: number;
  readonly file: string;
  readonly name: string;
  readonly test: string;
  readonly title: string;
}

/** The rows of docs/security.md, "Limits". */
function limits(): Limit[] {
  const [, section = ''] = /^## Limits\n([^]*?)^## /m.exec(read('docs/security.md')) ?? [];
  const rows = section.matchAll(/^\| [^|]+ \| ([^|]+) \| `(\S+)` `(\w+)` \| [^|]+ \| `(\S+)`: ([^|]+) \|$/gm);
  return Array.from(rows, ([, value = '', file = '', name = '', test = '', title = '']) => {
    const digits = value.match(/\d[\d,]*/g)?.at(-1) ?? '';
    return { value: Number(digits.replaceAll(',', '')), file, name, test, title };
  });
}

/** What a constant, or an option's default, is in the code: numbers and names of the same file. */
function valueOf(file: string, name: string): number {
  const source = read(file);
  const constant = new RegExp(`(?:const|local) ${name} = ([^;\\n]+)`).exec(source)?.[1];
  const option = new RegExp(
    `^ +${name}: v\\.pipe\\(\\s*v\\.optional\\((?:check\\.)?\\w+\\([^)]*\\), ([^)]+)\\)`,
    'm',
  ).exec(source)?.[1];
  const text = (constant ?? option ?? '').replace(/ --.*/, '').trim(); // A comment of Lua's may follow.
  if (text === '') throw new Error(`${file} has no ${name}`);
  return text.split('*').reduce((product, factor) => {
    const [dividend = '', divisor = '1'] = factor.split('/').map((part) => part.trim());
    const number = /^[\d_]+$/.test(dividend) ? Number(dividend.replaceAll('_', '')) : valueOf(file, dividend);
    return (product * number) / Number(divisor);
  }, 1);
}

describe('docs/security.md', () => {
  const rows = limits();

  it('has each row of its tables read here', () => {
    const [, section = ''] = /^## Limits\n([^]*?)^## /m.exec(read('docs/security.md')) ?? [];
    const lines = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| bound'));
    expect(rows).to.have.lengthOf(lines.length).and.lengthOf.above(40);
  });

  for (const { value, file, name, test, title } of rows)
    it(`says of ${name} what ${file} says, and a test that is there: ${title}`, () => {
      expect(valueOf(file, name)).to.equal(value);
      expect(read(test)).to.contain(title.trim());
    });

  it('has every constant whose name says that it is a bound', () => {
    const files = new Set(rows.map(({ file }) => file).filter((file) => file.endsWith('.ts')));
    for (const file of files)
      for (const [, name = ''] of read(file).matchAll(/^(?:export )?const ((?:MOST|MAX)_?[A-Z_]*) = [\d_]/gm))
        if (!LESS.has(name)) expect(rows.map((row) => `${row.file} ${row.name}`)).to.include(`${file} ${name}`);
  });
});

describe('SECURITY.md', () => {
  const text = read('SECURITY.md');
  const own = JSON.parse(read('package.json'));
  const runs = (scripts: Record<string, string> = {}) =>
    ['preinstall', 'install', 'postinstall'].filter((name) => name in scripts);

  it('is in the package, with the limits', () => {
    expect(own.files).to.include.members(['SECURITY.md', 'docs']);
  });

  it('has each runtime dependency, and no other', () => {
    const named = (head: string) => {
      const [, table = ''] = new RegExp(`\\| ${head} \\|.*\\n\\|[-|]+\\n((?:\\|.*\\n?)*)`).exec(text) ?? [];
      return Array.from(table.matchAll(/^\| (\S+) \|/gm), ([, name]) => name).sort();
    };
    expect(named('dependency')).to.deep.equal(Object.keys(own.dependencies).sort());
    expect(named('peer')).to.deep.equal(Object.keys(own.peerDependencies).sort());
  });

  it('says that nothing runs at an install: neither of ours nor of a runtime dependency', () => {
    expect(runs(own.scripts)).to.deep.equal([]);
    expect(own.scripts).to.not.have.property('prepare');
    const locked = JSON.parse(read('package-lock.json')).packages as Record<
      string,
      { dev?: boolean; devOptional?: boolean; hasInstallScript?: boolean }
    >;
    const running = Object.entries(locked).filter(([, one]) => one.hasInstallScript && !one.dev && !one.devOptional);
    expect(running.map(([name]) => name)).to.deep.equal([]);
  });
});

/** Bounds of what is no cost of anybody's: times, the longest ones that a timer or Redis takes. */
const LESS = new Set(['MAX_TIMEOUT_MS', 'MAX_WAIT_MS', 'MAX_REQUEST_LENGTH', 'MAX_MS']);
