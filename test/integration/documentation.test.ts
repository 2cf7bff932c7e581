import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { makeFolder, type Places, runCode, runLine, writeBlock } from '../support/examples.js';
import { type Block, blocksOf, pages, root } from '../support/pages.js';
import { startSentinel } from '../support/sentinel.js';

/** As many as the machine of the tests has cores. */
const AT_ONCE = 2;
const blocks = pages.flatMap(blocksOf);
const isCode = ({ language, info }: Block) => (language === 'js' || language === 'ts') && info !== 'browser';

describe('the documentation', function () {
  this.timeout(120_000);
  const results = new Map<string, Promise<void>>();
  const folder = makeFolder();
  let redis: PrivateRedis;
  let cluster: PrivateCluster;
  let sentinel: Awaited<ReturnType<typeof startSentinel>>;

  /** Jobs by their titles, so many at once; what has no other block to wait for is started before the first test. */
  function startAll(jobs: readonly { title: string; run(): Promise<void> }[]): void {
    const waiting = [...jobs];
    const settle = new Map<string, { resolve(): void; reject(error: unknown): void }>();
    for (const { title } of jobs) {
      const result = new Promise<void>((resolve, reject) => settle.set(title, { resolve, reject }));
      result.catch(() => {}); // its test tells it
      results.set(title, result);
    }
    const work = async () => {
      for (let job = waiting.shift(); job; job = waiting.shift())
        await job.run().then(settle.get(job.title)?.resolve, settle.get(job.title)?.reject);
    };
    for (let i = 0; i < AT_ONCE; i++) void work();
  }

  const titleOf = ({ page, line }: Block) => `${page}, line ${line}`;
  const run = async (block: Block, places: Places, database: number) => {
    if (isCode(block)) await runCode(folder.path, block, places, database);
    else if (block.language === 'sh')
      for (const line of block.code.trim().split('\n')) await runLine(folder.path, block, line, places, database);
    else if (block.language === 'json') JSON.parse(block.code);
    else throw new Error(`A block of ${block.language}: nothing runs it`);
  };
  const ran = blocks.filter(({ info }) => info !== 'browser');

  before(async () => {
    redis = await startPrivateRedis({ args: ['--databases', '200'] });
    [cluster, sentinel] = await Promise.all([startCluster(1), startSentinel(redis.port)]);
    const [node = { port: 0 }] = cluster.nodes;
    const places = { redis, cluster: node, sentinel };
    // files that other blocks read
    for (const block of ran) if (block.info) writeBlock(folder.path, block);
    startAll([
      { title: 'types', run: compile },
      ...ran.map((block, i) => ({ title: titleOf(block), run: () => run(block, places, i + 1) })),
    ]);
  });

  after(async () => {
    await Promise.allSettled(results.values());
    await Promise.all([redis?.stop(), cluster?.stop(), sentinel?.stop()]);
    folder.remove();
  });

  /** In a folder of their own, as they stand on the page. */
  async function compile(): Promise<void> {
    const types = makeFolder();
    for (const block of blocks.filter(isCode)) writeBlock(types.path, block);
    // what JavaScript may put into a session
    const any = `import 'express-session';\ndeclare module 'express-session' {\n  interface SessionData {\n    [key: string]: any;\n  }\n}\n`;
    writeFileSync(join(types.path, 'session-data.d.ts'), any);
    const compilerOptions = {
      ...{ module: 'nodenext', allowJs: true, checkJs: true, noImplicitAny: false, noUnusedLocals: false },
      ...{ noUnusedParameters: false, types: ['node'], typeRoots: [`${root}node_modules/@types`], noEmit: true },
    };
    const config = {
      extends: `${root}tsconfig.json`,
      compilerOptions,
      include: ['*.d.ts', '*-md/**/*.mts', '*-md/**/*.mjs'],
    };
    writeFileSync(join(types.path, 'tsconfig.json'), JSON.stringify(config));
    const tsc = `${root}node_modules/typescript/bin/tsc`;
    await promisify(execFile)(process.execPath, [tsc, '-p', types.path]).then(types.remove, (error) => {
      types.remove();
      throw new Error(String(error.stdout));
    });
  }

  it('has code that compiles, each block by itself', () => results.get('types'));

  describe('has blocks that run as they stand:', () => {
    for (const block of ran) it(`${titleOf(block)} (${block.language})`, () => results.get(titleOf(block)));
  });

  it('has one block for browsers, which runs in Chromium (test/e2e/navigation.test.ts)', () => {
    const browsers = blocks.filter(({ info }) => info === 'browser');
    expect(browsers.map(({ page }) => page)).to.deep.equal(['docs/page-views.md']);
  });
});
