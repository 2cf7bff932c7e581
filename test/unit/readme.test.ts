import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

describe('README.md', () => {
  it('has code that compiles, each block by itself', () => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    const folder = `${root}.cache/readme/`;
    const blocks = [...readFileSync(`${root}README.md`, 'utf8').matchAll(/```ts\n([^]*?)```/g)].map(([, code]) => code);
    expect(blocks).to.have.lengthOf.above(2);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [i, code] of blocks.entries()) writeFileSync(`${folder}block-${i}.ts`, code as string);
    const compilerOptions = { paths: { 'intelligent-session': ['../../lib/index.ts'] }, noUnusedLocals: false };
    writeFileSync(
      `${folder}tsconfig.json`,
      JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['.'] }),
    );
    try {
      execFileSync('node', [`${root}node_modules/typescript/bin/tsc`, '-p', folder], { encoding: 'utf8' });
    } catch (error) {
      expect.fail(String((error as { stdout: string }).stdout));
    }
  });
});
