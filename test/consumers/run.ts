import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Analysis, checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { expect } from 'chai';
import { build } from 'esbuild';
import { publint } from 'publint';
import { type PrivateRedis, startPrivateRedis } from '../../demo/private-redis.js';

// Projects as users have them, with the packed tarball installed: `npm run test:consumers`.

type Lock = { packages: Record<string, { hasInstallScript?: boolean }> };

const root = fileURLToPath(new URL('../../', import.meta.url));
const projects = fileURLToPath(new URL('./projects/', import.meta.url));
const VISITS = [
  { pages: 1, visits: 1 },
  { pages: 2, visits: 2 },
];
/** esbuild's ES modules have no require(), which express and ioredis call for Node's own modules. */
const BANNER = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/** The bin that starts a worker, and its arguments. */
const WORKER = ['intelligent-session', 'worker'] as const;

const INSTALLED = [
  'express@5',
  'express4@npm:express@4',
  'express-session@1.19',
  '@types/express@5',
  '@types/express-session@1.19',
  'types-1.19@npm:@types/express-session@1.19',
  'types-1.17@npm:@types/express-session@1.17',
  'types-1.18@npm:@types/express-session@1.18',
  '@types/node@20',
  'typescript5@npm:typescript@5.9',
  '@nestjs/core@11',
  '@nestjs/common@11',
  '@nestjs/platform-express@11',
  'reflect-metadata',
  'rxjs',
  'jest',
  'vitest',
  'pnpm@10',
];

/** Compilers of today and of the year before; without skipLibCheck, so that our types are checked too. */
const COMPILERS = { 7: `${root}node_modules/typescript/bin/tsc`, 5: 'node_modules/typescript5/bin/tsc' };
const STRICT = {
  noEmit: true,
  target: 'es2023',
  lib: ['es2023'],
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  skipLibCheck: false,
};
const MODES = {
  nodenext: { module: 'nodenext' },
  node16: { module: 'node16' },
  bundler: { module: 'preserve', moduleResolution: 'bundler' },
  // as NestJS sets up
  node: { module: 'commonjs', moduleResolution: 'node', esModuleInterop: true },
};
const COMPILED: readonly [keyof typeof COMPILERS, keyof typeof MODES, string][] = [
  [7, 'nodenext', '1.19'],
  [7, 'nodenext', '1.18'],
  [7, 'nodenext', '1.17'],
  [7, 'node16', '1.19'],
  [7, 'bundler', '1.19'],
  [5, 'node16', '1.17'],
  [5, 'node', '1.18'],
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

  for (const [version, mode, types] of COMPILED)
    it(`compiles: TypeScript ${version}, ${mode}, @types/express-session ${types}`, async () => {
      const config = join(app, 'types', `tsconfig.${version}-${mode}-${types}.json`);
      const paths = { 'express-session': [`../node_modules/types-${types}`] };
      // a .cts file is CommonJS for Node only
      const include = mode === 'node16' || mode === 'nodenext' ? ['site.ts', 'site.cts'] : ['site.ts'];
      writeFileSync(config, JSON.stringify({ compilerOptions: { ...STRICT, ...MODES[mode], paths }, include }));
      await run(app, process.execPath, [COMPILERS[version], '-p', config]);
    });

  it('compiles: the store alone, whose types know no req.intelligence', async () => {
    const config = join(app, 'types', 'tsconfig.store.json');
    writeFileSync(
      config,
      JSON.stringify({ compilerOptions: { ...STRICT, ...MODES.nodenext }, include: ['store-only.ts'] }),
    );
    await run(app, process.execPath, [COMPILERS[7], '-p', config]);
  });

  it('has types and modules that agree, by publint and attw', async () => {
    const { problems } = (await checkPackage(createPackageFromTarballData(readFileSync(tarball)))) as Analysis;
    expect(problems).to.deep.equal([]);
    const { messages } = await publint({
      pkgDir: join(app, 'node_modules/intelligent-session'),
      pack: false,
      strict: true,
    });
    expect(messages).to.deep.equal([]);
  });

  it('is installed by pnpm, with an older express-session and types, and with prom-client', async () => {
    const project = join(folder, 'pnpm');
    const pnpm = join(app, 'node_modules/.bin/pnpm');
    cpSync(join(projects, 'pnpm'), project, { recursive: true });
    cpSync(join(projects, 'visit.cjs'), join(project, 'visit.cjs'));
    writeFileSync(join(project, 'package.json'), '{ "private": true }');
    const packages = [
      'express@5',
      '@types/express-session@1.18',
      '@types/node@20',
      'prom-client@15',
      'express-session@1.17',
    ];
    await run(project, pnpm, ['add', '--store-dir', join(folder, 'store'), tarball, ...packages]);
    const config = { compilerOptions: { ...STRICT, module: 'nodenext' }, include: ['site.ts'] };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config));
    await run(project, process.execPath, [COMPILERS[7], '-p', project]);
    const { answers, metrics } = JSON.parse(await run(project, process.execPath, ['site.mjs']));
    expect(answers).to.deep.equal(VISITS);
    expect(metrics).to.deep.equal([
      'intelligent_session_store_total{event="saved"} 2',
      'intelligent_session_requests_total{command="pageview",result="answered"} 2',
    ]);
  });

  it('counts without prom-client, and says what to install to who asks for metrics', async () => {
    expect(await visits('no-metrics.mjs')).to.deep.equal({
      answers: VISITS,
      codes: Array.from({ length: 2 }, () => 'ERR_INTELLIGENT_SESSION_METRICS'),
    });
    const bin = join(app, 'node_modules/.bin', WORKER[0]);
    const args = [...WORKER.slice(1), '--redis', redis.url, '--metrics-port', '0'];
    const { stderr } = await promisify(execFile)(bin, args, { cwd: app }).catch((error) => error);
    expect(stderr).to.match(/npm install prom-client.*ERR_INTELLIGENT_SESSION_METRICS/);
  });

  it('loads no worker, no command line, no Bloom filter and no near cache before they are asked for', async () => {
    const loaded = await visits('loaded.mjs');
    expect(loaded).to.deep.equal({
      ...{ '.': [], './store': [], './worker': ['worker', 'bloom'], './bloom': ['bloom'], './notifications': [] },
    });
  });

  it('is at most 25 packages beside Express, and none of them has an install script', async () => {
    const beside = join(folder, 'beside');
    mkdirSync(beside);
    writeFileSync(join(beside, 'package.json'), '{ "private": true }');
    const count = async (...packages: string[]) => {
      await run(beside, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...packages]);
      const { packages: all } = JSON.parse(readFileSync(join(beside, 'package-lock.json'), 'utf8')) as Lock;
      return Object.values(all);
    };
    const before = (await count('express@5')).length;
    const after = await count(tarball);
    expect(after.length - before).to.be.within(5, 25);
    expect(after.filter(({ hasInstallScript }) => hasInstallScript)).to.deep.equal([]);
    // npm 11 warns of each, `prepare` too
    const { scripts } = JSON.parse(readFileSync(join(beside, 'node_modules/intelligent-session/package.json'), 'utf8'));
    expect(scripts).to.not.have.any.keys('preinstall', 'install', 'postinstall', 'prepare');
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
    expect(scripts)
      .to.contain('lib/intelligence/script/loop.lua')
      .and.not.match(/(^|\\n|")\s*--/m);
    expect(existsSync(join(installed, 'dist/lib/intelligence/script/loop.lua'))).to.equal(false);
  });
});
