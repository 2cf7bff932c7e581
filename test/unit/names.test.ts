import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('../../', import.meta.url));
const sources = ['lib', 'middleware', 'fallback'].flatMap((folder) =>
  readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|lua)$/.test(file))
    .map((file) => `${folder}/${file}`),
);

/** The texts in quotes of a TypeScript or Lua file: a name that only a comment speaks of is not spelled there. */
function textsOf(file: string): string[] {
  const comment = file.endsWith('.lua') ? /--.*/ : /\/\/.*|\/\*[^]*?\*\//;
  const token = new RegExp(
    `${comment.source}|'(?:\\\\.|[^'\\\\\\n])*'|"(?:\\\\.|[^"\\\\\\n])*"|\`(?:\\\\.|[^\`\\\\])*\``,
    'g',
  );
  return Array.from(readFileSync(root + file, 'utf8').matchAll(token), ([text]) => text).filter((text) =>
    /^['"`]/.test(text),
  );
}

const filesThatSpell = (name: RegExp) => sources.filter((file) => textsOf(file).some((text) => name.test(text)));

describe('The names of the wire and of the keys', () => {
  it('only protocol.ts spells a list of replies, and beside keys.ts the beginning of a channel', () => {
    expect(filesThatSpell(/async:/)).to.deep.equal(['lib/transport/protocol.ts']);
    // behind a namespace, or at the beginning: `ss:`, `ss@1:`
    expect(filesThatSpell(/(^.|\})ss[@:$]/)).to.deep.equal(['lib/redis/keys.ts', 'lib/transport/protocol.ts']);
  });

  it('only keys.ts spells a key', () => {
    expect(filesThatSpell(/(^.|[}:])((sess|users|ended|stream|notifications):|ss:[{a-z])|\}:worker/)).to.deep.equal([
      'lib/redis/keys.ts',
    ]);
  });

  it('only protocol.ts spells a channel of changes', () => {
    expect(filesThatSpell(/(^.|[}:])changes:/)).to.deep.equal(['lib/transport/protocol.ts']);
  });

  it('only channels.ts spells a channel of Redis’ own', () => {
    expect(filesThatSpell(/__(redis|key(event|space)@?)/)).to.deep.equal(['lib/redis/channels.ts']);
  });
});

describe('The benchmarks', () => {
  it('load modules that a build makes', () => {
    const folder = 'bench/support/';
    const loaded = readdirSync(root + folder).flatMap((file) =>
      Array.from(
        readFileSync(root + folder + file, 'utf8').matchAll(/\bdist\('([^']+)\.js'\)|dist\/(lib\/[^'$]+)\.js'/g),
        ([, inLib, path]) => path ?? `lib/${inLib}`,
      ),
    );
    expect(loaded).to.include('lib/index').and.to.include('lib/intelligence/script');
    expect(loaded.filter((module) => !existsSync(`${root}${module}.ts`))).to.deep.equal([]);
  });
});
