import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { IntelligentSessionError, OptionError } from '../../lib/index.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string) => readFileSync(root + file, 'utf8');

/** What stands in quotes in the code: a code that is only spoken of in a comment is none. */
const codesInCode = new Set(
  ['lib', 'middleware', 'fallback'].flatMap((folder) =>
    readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => [...read(`${folder}/${file}`).matchAll(/'((?:ERR_)?INTELLIGENT_SESSION_[A-Z_]+)'/g)])
      .map(([, code]) => code as string)
      // of the environment, for the command line
      .filter((code) => code !== 'INTELLIGENT_SESSION_ITEM_SECRET'),
  ),
);

describe('docs/errors.md', () => {
  const text = read('docs/errors.md');
  const entries = [...text.matchAll(/^### (\S+)\n\n([^]*?)(?=\n##|$(?![^]))/gm)];

  it('has an entry for each code of the code, and for no other', () => {
    expect(entries.map(([, code]) => code).sort()).to.deep.equal([...codesInCode].sort());
  });

  it('each entry says what it means and what to do', () => {
    for (const [, code, entry] of entries)
      expect(entry, code)
        .to.match(/\*\*What\*\*: .{20}/s)
        .and.match(/\*\*Do\*\*: .{7}/s);
  });

  it('is where messages point to, and part of the package', () => {
    const code = 'ERR_INTELLIGENT_SESSION_REDIS';
    const end = `(${code}, see docs/errors.md#err_intelligent_session_redis)`;
    expect(new IntelligentSessionError(code, 'Redis: x').message).to.equal(`Redis: x ${end}`);
    expect(new OptionError('x', code).message).to.equal(`x ${end}`);
    expect(JSON.parse(read('package.json')).files).to.include('docs');
    // as GitHub and npm make anchors of headings
    for (const [, target = ''] of text.matchAll(/\]\(#([^)]+)\)/g))
      expect(codesInCode).to.include(target.toUpperCase());
  });
});
