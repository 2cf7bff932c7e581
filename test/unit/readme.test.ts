import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
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
    const paths = {
      'intelligent-session': ['../../lib/index.ts'],
      'intelligent-session/store': ['../../lib/session/index.ts'],
      'intelligent-session/*': ['../../lib/*/index.ts'],
    };
    const compilerOptions = { paths, noUnusedLocals: false };
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

  it('links and shows nothing, nor does another page of the package, that is not in the package', () => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
    });
    const files = new Set((JSON.parse(packed) as [{ files: { path: string }[] }])[0].files.map(({ path }) => path));
    const pages = [...files].filter((file) => file.endsWith('.md'));
    expect(pages).to.include('README.md');
    const anchors = (page: string) =>
      [...readFileSync(root + page, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => slug(heading));
    for (const page of pages) {
      const text = readFileSync(root + page, 'utf8').replace(/```[^]*?```/g, '');
      const targets = [...text.matchAll(/\]\(([^()\s]+)\)|(?:src|href|srcset)="([^"]+)"/g)].map(
        (found) => found[1] ?? found[2] ?? '',
      );
      for (const target of targets) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? page : posix.join(posix.dirname(page), path);
        expect(files, `${page}: ${target}`).to.include(file);
        if (anchor) expect(anchors(file), `${page}: ${target}`).to.include(anchor);
      }
    }
  });
});

/** A heading's anchor, as npm's and other pages make it. */
const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
