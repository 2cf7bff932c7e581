import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { build } from 'esbuild';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';

// Projects as users have them, with the packed tarball installed: `npm run test:consumers`.

const root = fileURLToPath(new URL('../../', import.meta.url));
const projects = fileURLToPath(new URL('./projects/', import.meta.url));
const VISITS = [
  { pages: 1, visits: 1 },
  { pages: 2, visits: 2 },
];
/** esbuild's ES modules have no require(), which express and ioredis call for Node's own modules. */
const BANNER = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/** The bin that starts a worker, and its arguments. */
const WORKER = ['intelligent-session-worker'] as const;

const INSTALLED = [
  'express@5',
  'express4@npm:express@4',
  'express-session@1.19',
  '@nestjs/core@11',
  '@nestjs/common@11',
  '@nestjs/platform-express@11',
  'reflect-metadata',
  'rxjs',
  'jest',
  'vitest',
];

describe('the packed package', function () {
  this.timeout(300_000);
  const folder = mkdtempSync(join(tmpdir(), 'consumers-'));
  const app = join(folder, 'app');
  let redis: PrivateRedis;
  let tarball: string;

  const run = async (cwd: string, command: string, args: readonly string[]): Promise<string> => {
    const env = { ...process.env, REDIS_URL: redis.url, NODE_PATH: '' };
    const done = await promisify(execFile)(command, args, { cwd, env, timeout: 240_000 }).catch((error) =>
      expect.fail(`${command} ${args.join(' ')}\n${error.stdout}\n${error.stderr}`),
    );
    // a warning of Node's, or of ours, is what a user would ask about
    if (command === process.execPath) expect(done.stderr).to.equal('');
    return done.stdout;
  };
  const visits = async (...args: string[]): Promise<unknown> => JSON.parse(await run(app, process.execPath, args));

  before(async () => {
    redis = await startPrivateRedis();
    if (!existsSync(`${root}dist/index.mjs`)) expect.fail('npm run build comes first');
    const packed = await run(root, 'npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]);
    tarball = join(folder, (JSON.parse(packed) as [{ filename: string }])[0].filename);
    mkdirSync(app);
    writeFileSync(join(app, 'package.json'), '{ "private": true }');
    await run(app, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball, ...INSTALLED]);
    cpSync(projects, app, { recursive: true });
  });

  after(async () => {
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const express of ['express', 'express4']) {
    it(`is imported (${express}), and is one copy with what is required`, async () => {
      const refused = 'ERR_INTELLIGENT_SESSION_OPTION';
      expect(await visits('esm.mjs', express)).to.deep.equal({ answers: VISITS, same: true, refused });
    });

    it(`is required (${express}), and is one copy with what is imported`, async () => {
      expect(await visits('cjs.cjs', express)).to.deep.equal({ answers: VISITS, same: true });
    });
  }

  it('serves a plain http server', async () => {
    expect(await visits('http.mjs')).to.deep.equal({ answers: VISITS });
  });

  it('serves NestJS', async () => {
    expect(await visits('nest.cjs')).to.deep.equal({ answers: VISITS });
  });

  it('runs under Jest', async () => {
    await run(app, 'node_modules/.bin/jest', ['jest.test.js']);
  });

  it('runs under Vitest', async () => {
    expect(await run(app, 'node_modules/.bin/vitest', ['run', 'vitest.test.mjs'])).to.match(/1 passed/);
  });

  for (const format of ['cjs', 'esm'] as const)
    it(`runs as a bundle (${format}) from a folder where nothing else is`, async () => {
      const empty = join(folder, `${format}`);
      const outfile = join(empty, format === 'esm' ? 'site.mjs' : 'site.cjs');
      await build({
        absWorkingDir: app,
        entryPoints: ['bundle.mjs'],
        bundle: true,
        platform: 'node',
        format,
        outfile,
        logLevel: 'error',
        ...(format === 'esm' && { banner: { js: BANNER } }),
      });
      expect(JSON.parse(await run(empty, process.execPath, [outfile]))).to.deep.equal({ answers: VISITS });
    });

  it('has a worker that loads commands of an application’s own', async () => {
    const bin = join(app, 'node_modules/.bin', WORKER[0]);
    const args = [...WORKER.slice(1), '--redis', redis.url, '--commands', 'commands.mjs'];
    const worker = spawn(bin, args, { cwd: app, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [line] = await once(worker.stdout, 'data');
      expect(String(line)).to.match(/^listening/);
      expect(await visits('ask.mjs')).to.deep.equal({ answers: ['hello you', 'hello you'] });
    } finally {
      worker.kill();
      await once(worker, 'exit');
    }
  });

  it('has its scripts in its JavaScript, without their comments, and no .lua file', () => {
    const installed = join(app, 'node_modules/intelligent-session');
    const scripts = readFileSync(join(installed, 'dist/lib/redis/load-script.js'), 'utf8');
    expect(scripts).to.contain('lib/scripts/work.lua').and.not.contain('-- Works on messages');
    expect(existsSync(join(installed, 'dist/lib/scripts/work.lua'))).to.equal(false);
  });
});
